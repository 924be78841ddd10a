/* SPDX-License-Identifier: MIT */
/* The reader of the log against hostile directories. The first byte chooses:
 *   0  the rest edits a genuine directory of log files and a checkpoint, byte by byte;
 *   1  the rest is the payload of a frame with good checksums, in a log file;
 *   2  the same, as a block of a checkpoint;
 *   3  the rest is what stands behind the header of a log file.
 * Recovery must end with an answer; what it delivers in 0 and 3 must be genuine and in order. */
#include "harness/log_kit.h"
#include "store/format.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES_MAX = 8, DIRECTORY = 1, BUILD_MAX = 1 << 20, EDIT_SIZE = 8 };

typedef struct image {
    const char *name;
    unsigned char *data;
    size_t size;
    bool gone;
} image;

static weft_log_kit kit;
static weft_store_key key = {.directory = DIRECTORY};
static image genuine[FILES_MAX];
static size_t file_count;
static unsigned char build[BUILD_MAX];

static void must(bool condition, const char *what) {
    if (!condition) {
        (void)fprintf(stderr, "%s: %s %s\n", what, kit.options.error_text, kit.report.text);
        abort();
    }
}

static void write_file(const char *name, const void *data, size_t size) {
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", kit.directory, name);
    FILE *file = fopen(path, "w");
    must(file && (size == 0 || fwrite(data, 1, size, file) == size) && fclose(file) == 0, "write");
}

static void read_file(const char *name) {
    char path[256];
    struct stat about;
    (void)snprintf(path, sizeof path, "%s/%s", kit.directory, name);
    must(stat(path, &about) == 0 && file_count < FILES_MAX, "stat");
    image *fresh = &genuine[file_count++];
    *fresh = (image){.name = name, .size = (size_t)about.st_size};
    fresh->data = malloc(fresh->size);
    FILE *file = fopen(path, "r");
    must(fresh->data && file && fread(fresh->data, 1, fresh->size, file) == fresh->size &&
             fclose(file) == 0,
         "read");
}

static void begin_directory(void) {
    char format[128];
    int size = snprintf(format, sizeof format, "weft log\nversion 1\ndirectory %016x\n", DIRECTORY);
    must(mkdir(kit.directory, 0755) == 0, "mkdir");
    write_file("FORMAT", format, (size_t)size);
}

/* Frames 1 to 30 in two files; the checkpoint of frames 1 to 10; frames 21 to 30 in a third. */
static void make_genuine(void) {
    weft_log_kit_init(&kit);
    weft_hash_make_secret(key.secret, DIRECTORY);
    begin_directory();
    must(weft_log_kit_open(&kit, WEFT_LOG_ALWAYS) == WEFT_OK, "open");
    must(weft_log_kit_append_durable(&kit, 10) == WEFT_OK, "append");
    must(weft_log_kit_checkpoint(&kit, 5) == WEFT_OK, "checkpoint");
    for (int i = 0; i < 10; i++) {
        must(weft_log_kit_append_durable(&kit, 1) == WEFT_OK, "append");
    }
    must(weft_log_kit_close(&kit) == WEFT_OK, "close");
    must(weft_log_kit_open(&kit, WEFT_LOG_NO) == WEFT_OK, "open");
    must(weft_log_kit_append_durable(&kit, 10) == WEFT_OK, "append");
    must(weft_log_kit_close(&kit) == WEFT_OK, "close");
    read_file("FORMAT");
    read_file("log-000000000000000b.weft");
    read_file("log-0000000000000015.weft");
    read_file("snap-000000000000000b.weft");
    weft_log_kit_remove(&kit);
}

/* One edit: file, what, where (4 bytes), how much, with what. */
static void edit(image *files, const uint8_t *order) {
    image *file = &files[order[0] % file_count];
    uint32_t at;
    memcpy(&at, order + 2, sizeof at);
    size_t count = order[6];
    if (file->size == 0) {
        return;
    }
    at %= (uint32_t)file->size;
    count = count > file->size - at ? file->size - at : count;
    switch (order[1] % 5) {
    case 0:
        file->data[at] = order[7];
        break;
    case 1:
        memset(file->data + at, order[7], count);
        break;
    case 2:
        file->size = at;
        break;
    case 3:
        file->gone = true;
        break;
    default: {
        const image *from = &files[order[7] % file_count];
        memmove(file->data + at, from->data, count < from->size ? count : from->size);
        break;
    }
    }
}

static void build_edited(const uint8_t *data, size_t size) {
    image files[FILES_MAX];
    memcpy(files, genuine, sizeof files);
    for (size_t i = 0; i < file_count; i++) {
        files[i].data = malloc(genuine[i].size);
        must(files[i].data != NULL, "memory");
        memcpy(files[i].data, genuine[i].data, genuine[i].size);
    }
    for (; size >= EDIT_SIZE; data += EDIT_SIZE, size -= EDIT_SIZE) {
        edit(files, data);
    }
    must(mkdir(kit.directory, 0755) == 0, "mkdir");
    for (size_t i = 0; i < file_count; i++) {
        if (!files[i].gone) {
            write_file(files[i].name, files[i].data, files[i].size);
        }
        free(files[i].data);
    }
}

static size_t seal(unsigned char *out, uint64_t lsn, const uint8_t *data, size_t size) {
    weft_store_frame_header header = {
        .lsn = lsn, .size = size, .payload_sum = weft_store_sum(&key, data, size)};
    weft_store_put_frame_header(&key, &header, out);
    size_t padded = (size_t)weft_store_padded(size);
    memset(out + WEFT_STORE_FRAME_HEADER_SIZE, 0, padded);
    memcpy(out + WEFT_STORE_FRAME_HEADER_SIZE, data, size);
    return WEFT_STORE_FRAME_HEADER_SIZE + padded;
}

static void build_sealed(int what, const uint8_t *data, size_t size) {
    size_t used = WEFT_STORE_FILE_HEADER_SIZE;
    begin_directory();
    if (what == 2) {
        weft_store_put_file_header(&key, WEFT_STORE_CHECKPOINT, 1, build);
        used += seal(build + used, 1, data, size);
        write_file("snap-0000000000000001.weft", build, used);
        return;
    }
    weft_store_put_file_header(&key, WEFT_STORE_SEGMENT, 1, build);
    if (what == 1) {
        used += seal(build + used, 1, data, size);
    } else {
        memcpy(build + used, data, size);
        used += size;
    }
    write_file("log-0000000000000001.weft", build, used);
}

static bool touch(void *ctx, const weft_log_record *record) {
    uint64_t *sum = ctx;
    const unsigned char *bytes = record->key.data;
    for (size_t i = 0; i < record->key.size; i++) {
        *sum += bytes[i];
    }
    bytes = record->value.body.data;
    for (size_t i = 0; i < record->value.body.size; i++) {
        *sum += bytes[i];
    }
    return true;
}

static void recover_sealed(void) {
    uint64_t sum = 0;
    must(weft_log_open(&kit.log, &kit.options) == WEFT_OK, "open");
    int status = weft_log_recover(kit.log, touch, &sum, &kit.report);
    must(status == WEFT_OK || status == WEFT_E_CORRUPT, "status");
    must(sum != UINT64_MAX, "sum");
    (void)weft_log_kit_close(&kit);
}

static void recover_genuine(void) {
    int status = weft_log_kit_open(&kit, WEFT_LOG_NO);
    must(status == WEFT_OK || status == WEFT_E_CORRUPT || status == WEFT_E_INVALID ||
             status == WEFT_E_UNSUPPORTED,
         "status");
    if (status != WEFT_OK) {
        return;
    }
    must(kit.wrong == NULL, kit.wrong ? kit.wrong : "");
    must(weft_log_kit_append(&kit, NULL) == WEFT_OK, "append");
    must(weft_log_kit_close(&kit) == WEFT_OK, "close");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (file_count == 0) {
        make_genuine();
    }
    if (size < 2 || size > BUILD_MAX / 2) {
        return 0;
    }
    int what = data[0] % 4;
    if (what == 0) {
        build_edited(data + 1, size - 1);
        recover_genuine();
    } else {
        build_sealed(what, data + 1, size - 1);
        if (what == 3) {
            recover_genuine();
        } else {
            recover_sealed();
        }
    }
    weft_log_kit_remove(&kit);
    return 0;
}
