/* SPDX-License-Identifier: MIT */
/* Power cuts on a simulated disk. One life of a log is recorded at the file seam, call by call.
 * Then the power is cut before any of the calls, again and again: what was synchronized is on the
 * disk, of what was not there is nothing, everything, or any subset of 512-byte sectors, some of
 * them torn; likewise of creations, renames and removals whose directory was not synchronized.
 * Each of these directories must open, with whole frames only, and with all that had been reported
 * as durable. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "harness/log_kit.h"
#include "harness/prng.h"
#include "base/file.h"
#include "base/lock.h"
#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    EVENTS_MAX = 8192,
    FILES_MAX = 128,
    SECTOR = 512,
    IMAGE_MAX = 2 << 20, /* of a file */
    TRIALS = 1500,
};

typedef enum event_kind {
    EVENT_CREATE,
    EVENT_WRITE,
    EVENT_ALLOCATE,
    EVENT_TRUNCATE,
    EVENT_SYNC,
    EVENT_RENAME,
    EVENT_UNLINK,
    EVENT_SYNC_DIRECTORY,
} event_kind;

typedef struct event {
    event_kind kind;
    int file;
    uint64_t offset;
    size_t size;
    unsigned char *data;
    uint64_t durable; /* reported before this event */
} event;

typedef struct file_known {
    char name[64]; /* as created */
    ino_t inode;
    bool gone;
} file_known;

/* The recording. */
static struct {
    pthread_mutex_t lock;
    weft_log_kit *kit;
    event events[EVENTS_MAX];
    size_t count;
    size_t begin; /* what is before this event is no life to be cut */
    file_known files[FILES_MAX];
    int file_count;
    uint64_t durable;
} tape = {.lock = PTHREAD_MUTEX_INITIALIZER};

static event *add_event(event_kind kind, int file) {
    if (tape.count == EVENTS_MAX) {
        abort();
    }
    event *fresh = &tape.events[tape.count++];
    *fresh = (event){
        .kind = kind, .file = file, .durable = __atomic_load_n(&tape.durable, __ATOMIC_SEQ_CST)};
    return fresh;
}

static int find_file(ino_t inode) {
    for (int i = 0; i < tape.file_count; i++) {
        if (tape.files[i].inode == inode && !tape.files[i].gone) {
            return i;
        }
    }
    return -1;
}

/* A file that is met for the first time has just been created. */
static int file_of_fd(int fd) {
    struct stat about;
    char link[64];
    char path[512] = "";
    if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode)) {
        return -1;
    }
    int file = find_file(about.st_ino);
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (file >= 0 || readlink(link, path, sizeof path - 1) < 0) {
        return file;
    }
    if (tape.file_count == FILES_MAX) {
        abort();
    }
    file = tape.file_count++;
    tape.files[file].inode = about.st_ino;
    tape.files[file].gone = false;
    (void)snprintf(tape.files[file].name, sizeof tape.files[file].name, "%.63s", basename(path));
    (void)add_event(EVENT_CREATE, file);
    return file;
}

static int file_of_path(const char *path) {
    struct stat about;
    return stat(path, &about) == 0 ? find_file(about.st_ino) : -1;
}

static void record_fd(const weft_file_call *call, event_kind kind) {
    int file = file_of_fd(call->fd);
    if (file < 0) {
        return;
    }
    event *fresh = add_event(kind, file);
    fresh->offset = call->offset;
    fresh->size = call->size;
    if (kind == EVENT_WRITE) {
        fresh->data = malloc(call->size);
        if (!fresh->data) {
            abort();
        }
        memcpy(fresh->data, call->data, call->size);
    }
}

static int record(void *ctx, weft_file_call *call) {
    (void)ctx;
    pthread_mutex_lock(&tape.lock);
    int file;
    switch (call->op) {
    case WEFT_FILE_PWRITE:
        record_fd(call, EVENT_WRITE);
        break;
    case WEFT_FILE_ALLOCATE:
        record_fd(call, EVENT_ALLOCATE);
        break;
    case WEFT_FILE_TRUNCATE:
        record_fd(call, EVENT_TRUNCATE);
        break;
    case WEFT_FILE_SYNC:
        record_fd(call, EVENT_SYNC);
        break;
    case WEFT_FILE_RENAME:
        (void)add_event(EVENT_RENAME, file_of_path(call->path));
        break;
    case WEFT_FILE_UNLINK:
        file = file_of_path(call->path);
        if (file >= 0) {
            (void)add_event(EVENT_UNLINK, file);
            tape.files[file].gone = true;
        }
        break;
    case WEFT_FILE_SYNC_DIRECTORY:
        (void)add_event(EVENT_SYNC_DIRECTORY, -1);
        break;
    default:
        break;
    }
    pthread_mutex_unlock(&tape.lock);
    return 0;
}

static void on_durable(void *ctx, uint64_t durable) {
    (void)ctx;
    __atomic_store_n(&tape.durable, durable, __ATOMIC_SEQ_CST);
}

static void forget_tape(void) {
    for (size_t i = 0; i < tape.count; i++) {
        free(tape.events[i].data);
    }
    tape.count = 0;
    tape.begin = 0;
    tape.file_count = 0;
    tape.durable = 0;
}

static void append_many(weft_log_kit *kit, int count) {
    for (int i = 0; i < count; i++) {
        assert_int_equal(weft_log_kit_append(kit, NULL), WEFT_OK);
    }
}

/* Several files, written but not synchronized where the policy does not ask for it. */
static void append_in_bursts(weft_log_kit *kit) {
    for (int burst = 0; burst < 4; burst++) {
        append_many(kit, 150);
        weft_sleep_ns(UINT64_C(40000000));
    }
}

/* A life with several log files, three checkpoints, and frames under way all the time. */
static void record_life(weft_log_kit *kit, weft_log_sync sync) {
    static const weft_file_hook hook = {record, NULL};
    forget_tape();
    kit->options.notify = on_durable;
    weft_file_set_hook(&hook);
    assert_int_equal(weft_log_kit_open(kit, sync), WEFT_OK);
    assert_int_equal(weft_log_kit_append_durable(kit, 3), WEFT_OK);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 40; i++) {
            append_many(kit, 1 + i % 7);
            if (i % 3 == 0) {
                assert_int_equal(weft_log_kit_append_durable(kit, 1), WEFT_OK);
            }
        }
        assert_int_equal(weft_log_kit_checkpoint(kit, 30), WEFT_OK);
    }
    append_in_bursts(kit);
    assert_int_equal(weft_log_checkpoint_begin(kit->log, NULL), WEFT_OK);
    append_many(kit, 30);
    assert_int_equal(weft_log_checkpoint_end(kit->log), WEFT_OK);
    assert_int_equal(weft_log_kit_append_durable(kit, 5), WEFT_OK);
    assert_int_equal(weft_log_kit_close(kit), WEFT_OK);
    weft_file_set_hook(NULL);
    kit->options.notify = NULL;
}

/* ---- what a cut leaves ---- */

typedef enum keep { KEEP_NONE, KEEP_ALL, KEEP_SOME } keep;

typedef struct cut {
    weft_prng prng;
    keep keep;
    bool lying; /* the disk does not do what a synchronization asks for */
    size_t at;
    int names[FILES_MAX]; /* file -> 0: no name, 1: the name of its creation, 2: its final name */
    unsigned char *image; /* of one file */
    uint64_t size;
} cut;

static bool kept(cut *c) {
    return c->keep == KEEP_ALL || (c->keep == KEEP_SOME && weft_prng_below(&c->prng, 2));
}

static void reach(cut *c, uint64_t size) {
    if (size > IMAGE_MAX) {
        abort();
    }
    if (size > c->size) {
        memset(c->image + c->size, 0, size - c->size);
        c->size = size;
    }
}

static void write_sectors(cut *c, const event *what, bool whole) {
    uint64_t at = what->offset;
    uint64_t end = what->offset + what->size;
    while (at < end) {
        uint64_t next = (at / SECTOR + 1) * SECTOR;
        uint64_t stop = next < end ? next : end;
        uint64_t torn = stop;
        bool here = whole || kept(c);
        if (here && !whole && c->keep == KEEP_SOME && weft_prng_below(&c->prng, 8) == 0) {
            torn = at + weft_prng_below(&c->prng, (uint32_t)(stop - at));
        }
        if (here) {
            reach(c, torn);
            memcpy(c->image + at, what->data + (at - what->offset), torn - at);
        }
        at = stop;
    }
}

static void apply_to_file(cut *c, const event *what, bool synchronized) {
    if (what->kind == EVENT_WRITE) {
        write_sectors(c, what, synchronized);
    } else if (synchronized || kept(c)) {
        if (what->kind == EVENT_ALLOCATE) {
            reach(c, what->offset + what->size);
        } else if (what->kind == EVENT_TRUNCATE) {
            reach(c, what->offset);
            c->size = what->offset;
        }
    }
}

static void build_file(cut *c, int file) {
    size_t synchronized = 0;
    c->size = 0;
    for (size_t i = 0; i < c->at && !c->lying; i++) {
        if (tape.events[i].kind == EVENT_SYNC && tape.events[i].file == file) {
            synchronized = i;
        }
    }
    for (size_t i = 0; i < c->at; i++) {
        if (tape.events[i].file == file) {
            apply_to_file(c, &tape.events[i], i < synchronized);
        }
    }
}

static void build_names(cut *c) {
    size_t synchronized = 0;
    for (size_t i = 0; i < c->at; i++) {
        if (tape.events[i].kind == EVENT_SYNC_DIRECTORY) {
            synchronized = i;
        }
    }
    for (size_t i = 0; i < c->at; i++) {
        const event *what = &tape.events[i];
        bool named =
            what->kind == EVENT_CREATE || what->kind == EVENT_RENAME || what->kind == EVENT_UNLINK;
        if (named && what->file >= 0 && (i < synchronized || kept(c))) {
            c->names[what->file] = what->kind == EVENT_CREATE   ? 1
                                   : what->kind == EVENT_RENAME ? 2
                                                                : 0;
        }
    }
}

static void final_name(const char *created, char name[64]) {
    size_t stem = strlen(created) - strlen(".tmp");
    (void)snprintf(name, 64, "%.*s%s", (int)stem, created,
                   strcmp(created, "FORMAT.tmp") == 0 ? "" : ".weft");
}

static void write_image(cut *c, const char *directory, int file) {
    char name[64];
    char path[256];
    if (c->names[file] == 2) {
        final_name(tape.files[file].name, name);
    } else {
        (void)snprintf(name, sizeof name, "%s", tape.files[file].name);
    }
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *out = fopen(path, "w");
    if (!out || fwrite(c->image, 1, c->size, out) != c->size || fclose(out) != 0) {
        abort();
    }
}

/* NULL, or what is wrong with the directory that the cut has left. */
static const char *judge(weft_log_kit *kit, uint64_t durable) {
    int status = weft_log_kit_open(kit, WEFT_LOG_NO);
    if (status != WEFT_OK) {
        return "refused";
    }
    const char *wrong = kit->wrong;
    uint64_t next = kit->report.next_lsn;
    if (!wrong && next <= durable) {
        wrong = "durable frames are lost";
    }
    if (!wrong && weft_log_kit_append_durable(kit, 2) != WEFT_OK) {
        wrong = "it does not take frames";
    }
    (void)weft_log_kit_close(kit);
    if (!wrong && (weft_log_kit_open(kit, WEFT_LOG_NO) != WEFT_OK || kit->wrong ||
                   kit->report.next_lsn != next + 2)) {
        wrong = "the second start differs";
    }
    (void)weft_log_kit_close(kit);
    return wrong;
}

static const char *try_cut(weft_log_kit *kit, cut *c) {
    if (mkdir(kit->directory, 0755) != 0) {
        abort();
    }
    memset(c->names, 0, sizeof c->names);
    build_names(c);
    for (int file = 0; file < tape.file_count; file++) {
        if (c->names[file] != 0) {
            build_file(c, file);
            write_image(c, kit->directory, file);
        }
    }
    uint64_t durable = c->at < tape.count ? tape.events[c->at].durable : tape.durable;
    const char *wrong = judge(kit, durable);
    weft_log_kit_remove(kit);
    return wrong;
}

/* How many of the cuts go wrong; with `strict` none may. */
static unsigned cut_many(unsigned trials, bool lying, bool strict) {
    weft_log_kit kit;
    unsigned bad = 0;
    cut c = {.image = malloc(IMAGE_MAX), .lying = lying};
    assert_non_null(c.image);
    weft_log_kit_init(&kit);
    for (unsigned trial = 0; trial < trials; trial++) {
        c.prng = weft_prng_of(trial);
        c.at = tape.begin + weft_prng_below(&c.prng, (uint32_t)(tape.count - tape.begin) + 1);
        c.keep = (keep)(trial % 8 < 2 ? trial % 8 : KEEP_SOME);
        const char *wrong = try_cut(&kit, &c);
        bad += wrong != NULL;
        if (wrong && strict) {
            fail_msg("trial %u, cut before event %zu of %zu: %s (%s %s)", trial, c.at, tape.count,
                     wrong, kit.options.error_text, kit.report.text);
        }
    }
    free(c.image);
    return bad;
}

static void power_cuts(weft_log_sync sync) {
    weft_log_kit kit;
    weft_log_kit_init(&kit);
    record_life(&kit, sync);
    weft_log_kit_remove(&kit);
    assert_true(tape.count > 100);
    (void)cut_many(TRIALS, false, true);
}

static void add_write(int file, const unsigned char *data, size_t from, size_t to) {
    event *fresh = add_event(EVENT_WRITE, file);
    fresh->offset = from;
    fresh->size = to - from;
    fresh->data = malloc(to - from);
    assert_non_null(fresh->data);
    memcpy(fresh->data, data + from, to - from);
}

/* A directory as a killed process leaves it: the frames of the newest log file are in the kernel's
 * memory alone; their file's header was synchronized when it was made. */
static void preload(weft_log_kit *kit) {
    static const char *const names[] = {"FORMAT", "log-0000000000000001.weft"};
    static unsigned char data[256 << 10];
    for (int i = 0; i < 2; i++) {
        char path[256];
        (void)snprintf(path, sizeof path, "%s/%s", kit->directory, names[i]);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t size = pread(fd, data, sizeof data, 0);
        assert_true(size > 40 && (size_t)size < sizeof data);
        int file = file_of_fd(fd);
        add_write(file, data, 0, 40);
        if (i == 0) {
            add_write(file, data, 40, (size_t)size);
        }
        (void)add_event(EVENT_SYNC, file);
        if (i == 1) {
            add_write(file, data, 40, (size_t)size);
        }
        assert_int_equal(close(fd), 0);
    }
    (void)add_event(EVENT_SYNC_DIRECTORY, -1);
}

/* What is built upon frames that were read after a kill makes them durable first. */
static void power_cuts_after_a_kill_ABCD(void **state) {
    (void)state;
    static const weft_file_hook hook = {record, NULL};
    weft_log_kit kit;
    weft_log_kit_init(&kit);
    assert_int_equal(weft_log_kit_open(&kit, WEFT_LOG_NO), WEFT_OK);
    assert_int_equal(weft_log_kit_append_durable(&kit, 60), WEFT_OK);
    assert_int_equal(weft_log_kit_close(&kit), WEFT_OK);
    forget_tape();
    preload(&kit);
    tape.begin = tape.count;
    kit.options.notify = on_durable;
    weft_file_set_hook(&hook);
    assert_int_equal(weft_log_kit_open(&kit, WEFT_LOG_ALWAYS), WEFT_OK);
    on_durable(NULL, weft_log_durable_lsn(kit.log));
    assert_int_equal(weft_log_kit_append_durable(&kit, 5), WEFT_OK);
    assert_int_equal(weft_log_kit_checkpoint(&kit, 5), WEFT_OK);
    assert_int_equal(weft_log_kit_close(&kit), WEFT_OK);
    weft_file_set_hook(NULL);
    weft_log_kit_remove(&kit);
    (void)cut_many(TRIALS / 3, false, true);
}

static void power_cuts_with_sync_always_ABCD(void **state) {
    (void)state;
    power_cuts(WEFT_LOG_ALWAYS);
}

static void power_cuts_with_sync_no_ABCD(void **state) {
    (void)state;
    power_cuts(WEFT_LOG_NO);
}

/* The canary: on a disk that does not synchronize, this test must find losses. */
static void a_disk_that_lies_is_found_out(void **state) {
    (void)state;
    weft_log_kit kit;
    weft_log_kit_init(&kit);
    record_life(&kit, WEFT_LOG_ALWAYS);
    weft_log_kit_remove(&kit);
    assert_true(cut_many(50, true, false) > 10);
    forget_tape();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power_cuts_with_sync_always_ABCD),
        cmocka_unit_test(power_cuts_with_sync_no_ABCD),
        cmocka_unit_test(power_cuts_after_a_kill_ABCD),
        cmocka_unit_test(a_disk_that_lies_is_found_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
