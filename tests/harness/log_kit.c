/* SPDX-License-Identifier: MIT */
#include "harness/log_kit.h"

#include "base/hash.h"
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BODY_MAX = 256 };

void weft_log_kit_init(weft_log_kit *kit) {
    /* In memory where there is such a place: these tests ask what is synchronized, not how fast. */
    const char *root = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    memset(kit, 0, sizeof *kit);
    (void)snprintf(kit->directory, sizeof kit->directory, "%s/weft-log-XXXXXX", root);
    if (!mkdtemp(kit->directory) || rmdir(kit->directory) != 0) {
        perror(kit->directory);
        abort();
    }
    kit->options = (weft_log_options){
        .size = sizeof kit->options, .directory = kit->directory, .segment_bytes = 64 << 10};
}

static uint64_t each_file(const char *directory, bool remove_it) {
    uint64_t bytes = 0;
    DIR *list = opendir(directory);
    for (struct dirent *entry; list && (entry = readdir(list));) {
        char path[512];
        struct stat about;
        (void)snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        if (entry->d_name[0] != '.' && stat(path, &about) == 0) {
            bytes += (uint64_t)about.st_size;
            if (remove_it) {
                (void)unlink(path);
            }
        }
    }
    if (list) {
        (void)closedir(list);
    }
    return bytes;
}

void weft_log_kit_remove(weft_log_kit *kit) {
    weft_log_frame_free(&kit->frame);
    (void)each_file(kit->directory, true);
    (void)rmdir(kit->directory);
}

uint64_t weft_log_kit_bytes(const weft_log_kit *kit) {
    return each_file(kit->directory, false);
}

void weft_log_kit_path(const weft_log_kit *kit, const char *kind, uint64_t lsn, char path[256]) {
    (void)snprintf(path, 256, "%s/%s-%016" PRIx64 ".weft", kit->directory, kind, lsn);
}

/* The value of a key: 8 bytes of head, and a body of 0 to 255 bytes. */
static size_t value_of(uint64_t number, uint64_t index, uint64_t *head, unsigned char *body) {
    *head = weft_mix_u64(number, index);
    size_t size = (size_t)(*head & 0xff);
    for (size_t i = 0; i < size; i++) {
        body[i] = (unsigned char)(*head >> (8 * (i % 7)));
    }
    return size;
}

static int add_record(weft_log_frame *frame, uint64_t number, uint64_t index) {
    uint64_t key[2] = {number, index};
    uint64_t head;
    unsigned char body[BODY_MAX];
    size_t size = value_of(number, index, &head, body);
    weft_log_record record = {
        .op = WEFT_LOG_PUT,
        .era = index,
        .version = number,
        .key = weft_bytes_of(key, sizeof key),
        .value = {weft_bytes_of(&head, sizeof head), weft_bytes_of(body, size)}};
    return weft_log_frame_add(frame, &record);
}

bool weft_log_kit_genuine(const weft_log_record *record, uint64_t *frame, uint64_t *index) {
    uint64_t key[2];
    uint64_t head;
    unsigned char body[BODY_MAX];
    if (record->op != WEFT_LOG_PUT || record->key.size != sizeof key) {
        return false;
    }
    memcpy(key, record->key.data, sizeof key);
    *frame = key[0];
    *index = key[1];
    size_t size = value_of(key[0], key[1], &head, body);
    const unsigned char *value = record->value.body.data;
    return record->era == *index && record->version == *frame &&
           record->value.body.size == sizeof head + size &&
           memcmp(value, &head, sizeof head) == 0 && memcmp(value + sizeof head, body, size) == 0;
}

static bool complain(weft_log_kit *kit, const char *what) {
    kit->wrong = kit->wrong ? kit->wrong : what;
    return true;
}

static bool on_record(void *ctx, const weft_log_record *record) {
    weft_log_kit *kit = ctx;
    uint64_t frame;
    uint64_t index;
    if (!weft_log_kit_genuine(record, &frame, &index)) {
        return complain(kit, "a false record");
    }
    if (frame == 0) {
        bool next = kit->first == 0 && index == kit->checkpoint_records;
        kit->checkpoint_records++;
        return next || complain(kit, "a checkpoint out of order");
    }
    if (kit->left == 0) {
        if (kit->first != 0 && frame != kit->last + 1) {
            return complain(kit, "a frame is missing or repeated");
        }
        kit->first = kit->first ? kit->first : frame;
        kit->last = frame;
        kit->left = 1 + frame % 4;
    }
    if (frame != kit->last || index != 1 + frame % 4 - kit->left) {
        return complain(kit, "half a frame");
    }
    kit->left--;
    return true;
}

static void check_report(weft_log_kit *kit) {
    const weft_log_report *report = &kit->report;
    uint64_t base = report->checkpoint_lsn ? report->checkpoint_lsn : 1;
    uint64_t frames = kit->first ? kit->last - kit->first + 1 : 0;
    if (kit->left != 0) {
        (void)complain(kit, "half a frame at the end");
    } else if (kit->first != 0 && kit->first != base) {
        (void)complain(kit, "the first frame is not the one behind the checkpoint");
    } else if (report->next_lsn != base + frames || report->frames != frames) {
        (void)complain(kit, "the report tells another number of frames");
    } else if (report->checkpoint_entries != kit->checkpoint_records) {
        (void)complain(kit, "the report tells another number of entries");
    }
}

int weft_log_kit_open(weft_log_kit *kit, weft_log_sync sync) {
    kit->options.sync = sync;
    kit->checkpoint_records = kit->first = kit->last = kit->left = 0;
    kit->wrong = NULL;
    memset(&kit->report, 0, sizeof kit->report);
    int status = weft_log_open(&kit->log, &kit->options);
    if (status == WEFT_OK) {
        status = weft_log_recover(kit->log, on_record, kit, &kit->report);
        if (status == WEFT_OK) {
            check_report(kit);
        } else {
            (void)weft_log_kit_close(kit);
        }
    }
    return status;
}

int weft_log_kit_close(weft_log_kit *kit) {
    int status = weft_log_close(kit->log);
    kit->log = NULL;
    return status;
}

void weft_log_kit_fill(weft_log_frame *frame, uint64_t number) {
    weft_log_frame_reset(frame);
    for (uint64_t i = 0; i < 1 + number % 4; i++) {
        if (add_record(frame, number, i) != WEFT_OK) {
            abort();
        }
    }
}

int weft_log_kit_append(weft_log_kit *kit, uint64_t *lsn) {
    weft_log_stats stats;
    uint64_t got = 0;
    weft_log_stats_get(kit->log, &stats);
    weft_log_kit_fill(&kit->frame, stats.appended_lsn + 1);
    int status = weft_log_append(kit->log, &kit->frame, &got);
    if (status == WEFT_OK && got != stats.appended_lsn + 1) {
        (void)complain(kit, "a frame has not the number that comes next");
    }
    if (lsn) {
        *lsn = got;
    }
    return status;
}

int weft_log_kit_append_durable(weft_log_kit *kit, uint64_t count) {
    uint64_t lsn = 0;
    for (uint64_t i = 0; i < count; i++) {
        int status = weft_log_kit_append(kit, &lsn);
        if (status != WEFT_OK) {
            return status;
        }
    }
    return weft_log_wait_durable(kit->log, lsn, UINT64_C(10000000000));
}

int weft_log_kit_checkpoint(weft_log_kit *kit, uint64_t records) {
    int status = weft_log_checkpoint_begin(kit->log, NULL);
    if (status != WEFT_OK) {
        return status;
    }
    for (uint64_t i = 0; i < records && status == WEFT_OK; i++) {
        uint64_t key[2] = {0, i};
        uint64_t head;
        unsigned char body[BODY_MAX];
        size_t size = value_of(0, i, &head, body);
        weft_log_record record = {
            .op = WEFT_LOG_PUT,
            .era = i,
            .key = weft_bytes_of(key, sizeof key),
            .value = {weft_bytes_of(&head, sizeof head), weft_bytes_of(body, size)}};
        status = weft_log_checkpoint_add(kit->log, &record);
    }
    if (status != WEFT_OK) {
        weft_log_checkpoint_abort(kit->log);
        return status;
    }
    return weft_log_checkpoint_end(kit->log);
}
