/* SPDX-License-Identifier: MIT */
/* The directory: whose it is, what is in it, what may be deleted from it. */
#include "base/assert.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "store/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FORMAT_SIZE_MAX = 128 };

static const struct {
    const char *prefix;
    const char *suffix;
} names[] = {
    [WEFT_STORE_NAME_LOG] = {"log-", ".weft"},
    [WEFT_STORE_NAME_LOG_TMP] = {"log-", ".tmp"},
    [WEFT_STORE_NAME_SNAP] = {"snap-", ".weft"},
    [WEFT_STORE_NAME_SNAP_TMP] = {"snap-", ".tmp"},
};

const char *weft_store_error_text(int error) {
    const char *text = strerrordesc_np(-error);
    return text ? text : "unknown error";
}

int weft_store_status(int error) {
    switch (error) {
    case 0:
        return WEFT_OK;
    case -ENOSPC:
    case -EDQUOT:
        return WEFT_E_FULL;
    case -ENOMEM:
        return WEFT_E_NOMEM;
    default:
        return WEFT_E_IO;
    }
}

void weft_store_path(const weft_log *log, weft_store_name name, uint64_t lsn,
                     char path[WEFT_STORE_PATH_MAX]) {
    (void)snprintf(path, WEFT_STORE_PATH_MAX, "%s/%s%016" PRIx64 "%s", log->directory,
                   names[name].prefix, lsn, names[name].suffix);
}

/* The number in a file's name, 0 if it is not of this sort. */
static uint64_t number_of(const char *text, weft_store_name name) {
    size_t prefix = strlen(names[name].prefix);
    if (strncmp(text, names[name].prefix, prefix) != 0 ||
        strspn(text + prefix, "0123456789abcdef") != 16 ||
        strcmp(text + prefix + 16, names[name].suffix) != 0) {
        return 0;
    }
    return strtoull(text + prefix, NULL, 16);
}

static void file_path(const char *directory, const char *name, char path[WEFT_STORE_PATH_MAX]) {
    (void)snprintf(path, WEFT_STORE_PATH_MAX, "%s/%s", directory, name);
}

__attribute__((format(printf, 3, 4))) static int refuse(char *text, int status, const char *format,
                                                        ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, WEFT_LOG_TEXT_MAX, format, arguments);
    va_end(arguments);
    return status;
}

static int refuse_error(char *text, int error, const char *what, const char *path) {
    const char *advice = error == -EACCES || error == -EPERM || error == -EROFS
                             ? "; give this user the right to write there, or choose another place"
                         : error == -ENOENT ? "; make its parent directory first"
                         : error == -ENOTDIR || error == -EEXIST
                             ? "; choose a path that is a directory or does not exist"
                         : error == -ENOSPC || error == -EDQUOT ? "; make room on the disk"
                                                                : "";
    return refuse(text, weft_store_status(error), "cannot %s %s: %s%s", what, path,
                  weft_store_error_text(error), advice);
}

/* The first name that an unused directory would not have. */
typedef struct foreign_name {
    char name[256];
} foreign_name;

static int find_foreign(void *ctx, const char *name) {
    static const char *const harmless[] = {"LOCK", "FORMAT.tmp", "lost+found"};
    for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++) {
        if (strcmp(name, harmless[i]) == 0) {
            return 0;
        }
    }
    foreign_name *found = ctx;
    (void)snprintf(found->name, sizeof found->name, "%s", name);
    return strcmp(name, "FORMAT") == 0 ? 2 : 1;
}

static int find_format(void *ctx, const char *name) {
    (void)ctx;
    return strcmp(name, "FORMAT") == 0 ? 1 : 0;
}

/* WEFT_OK and whether the directory is one of ours, or a refusal. */
static int look(const char *directory, bool *ours, char *text) {
    int found = weft_file_list(directory, find_format, NULL);
    if (found < 0) {
        return refuse_error(text, found, "read the directory", directory);
    }
    *ours = found != 0;
    if (*ours) {
        return WEFT_OK;
    }
    foreign_name foreign;
    found = weft_file_list(directory, find_foreign, &foreign);
    if (found < 0) {
        return refuse_error(text, found, "read the directory", directory);
    }
    *ours = found == 2; /* made since by another process: its lock decides */
    if (found == 1) {
        return refuse(text, WEFT_E_INVALID,
                      "%s is not a directory of weft: it has \"%s\" in it and no FORMAT file; "
                      "choose an empty directory",
                      directory, foreign.name);
    }
    return WEFT_OK;
}

static void sync_parent(const char *directory) {
    char parent[WEFT_STORE_PATH_MAX];
    (void)snprintf(parent, sizeof parent, "%s", directory);
    size_t size = strlen(parent);
    while (size > 1 && parent[size - 1] == '/') {
        parent[--size] = '\0';
    }
    char *slash = strrchr(parent, '/');
    if (!slash) {
        memcpy(parent, ".", 2);
    } else {
        slash[slash == parent] = '\0';
    }
    /* A parent that cannot be synchronized, for lack of permission, is no reason to refuse. */
    (void)weft_file_sync_directory(parent);
}

static int take_lock(weft_log *log, char *text) {
    char path[WEFT_STORE_PATH_MAX];
    file_path(log->directory, "LOCK", path);
    log->lock_fd = weft_file_open(path, O_RDWR | O_CREAT, 0640);
    if (log->lock_fd < 0) {
        return refuse_error(text, log->lock_fd, "open", path);
    }
    char pid[32] = "";
    size_t got = 0;
    int error = weft_file_lock(log->lock_fd);
    if (error == -EWOULDBLOCK) {
        (void)weft_file_pread(log->lock_fd, (weft_file_room){pid, sizeof pid - 1}, 0, &got);
        pid[strspn(pid, "0123456789")] = '\0';
        return refuse(text, WEFT_E_BUSY,
                      "%s is in use by process %s; stop that one, or choose another directory",
                      log->directory, pid[0] ? pid : "(unknown)");
    }
    if (error == 0) {
        error = weft_file_truncate(log->lock_fd, 0);
    }
    if (error == 0) {
        int size = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
        error = weft_file_pwrite(log->lock_fd, pid, (size_t)size, 0);
    }
    return error ? refuse_error(text, error, "lock", path) : WEFT_OK;
}

static int read_format(weft_log *log, const char *path, char *text) {
    char content[FORMAT_SIZE_MAX] = "";
    size_t got = 0;
    int fd = weft_file_open(path, O_RDONLY, 0);
    if (fd < 0) {
        return refuse_error(text, fd, "open", path);
    }
    int error = weft_file_pread(fd, (weft_file_room){content, sizeof content - 1}, 0, &got);
    (void)weft_file_close(fd);
    if (error) {
        return refuse_error(text, error, "read", path);
    }
    unsigned version = 0;
    int fields = sscanf(content, "weft log\nversion %u\ndirectory %16" SCNx64 "\n", &version,
                        &log->key.directory);
    if (fields >= 1 && version > WEFT_STORE_VERSION) {
        return refuse(text, WEFT_E_UNSUPPORTED,
                      "%s was written by a newer weft (format %u, this one reads %d); use that one",
                      log->directory, version, WEFT_STORE_VERSION);
    }
    if (fields != 2 || version != WEFT_STORE_VERSION) {
        return refuse(text, WEFT_E_CORRUPT, "%s is damaged; restore it from a copy", path);
    }
    return WEFT_OK;
}

static int write_format(weft_log *log, const char *path, char *text) {
    char content[FORMAT_SIZE_MAX];
    char unfinished[WEFT_STORE_PATH_MAX];
    file_path(log->directory, "FORMAT.tmp", unfinished);
    log->key.directory = weft_random_u64();
    int size = snprintf(content, sizeof content, "weft log\nversion %d\ndirectory %016" PRIx64 "\n",
                        WEFT_STORE_VERSION, log->key.directory);
    int fd = weft_file_open(unfinished, O_RDWR | O_CREAT | O_TRUNC, 0640);
    if (fd < 0) {
        return refuse_error(text, fd, "create", unfinished);
    }
    int error = weft_file_pwrite(fd, content, (size_t)size, 0);
    if (error == 0) {
        error = weft_file_sync(fd);
    }
    (void)weft_file_close(fd);
    if (error == 0) {
        error = weft_file_rename(unfinished, path);
    }
    if (error == 0) {
        error = weft_file_sync_directory(log->directory);
    }
    return error ? refuse_error(text, error, "write", path) : WEFT_OK;
}

int weft_store_directory_open(weft_log *log, char *text) {
    int error = weft_file_make_directory(log->directory, 0750);
    if (error) {
        return refuse_error(text, error, "make the directory", log->directory);
    }
    bool ours = false;
    int status = look(log->directory, &ours, text);
    if (status != WEFT_OK) {
        return status;
    }
    status = take_lock(log, text);
    if (status == WEFT_OK) {
        status = look(log->directory, &ours, text); /* again: another may have been before us */
    }
    if (status != WEFT_OK) {
        return status;
    }
    char path[WEFT_STORE_PATH_MAX];
    file_path(log->directory, "FORMAT", path);
    if (!ours) {
        sync_parent(log->directory);
    }
    status = ours ? read_format(log, path, text) : write_format(log, path, text);
    weft_hash_make_secret(log->key.secret, log->key.directory);
    return status;
}

/* A growing array of numbers. */
static int add_number(weft_store_files *files, uint64_t number, bool segment) {
    uint64_t **array = segment ? &files->segments : &files->checkpoints;
    size_t *count = segment ? &files->segment_count : &files->checkpoint_count;
    size_t *capacity = segment ? &files->segment_capacity : &files->checkpoint_capacity;
    if (*count == *capacity) {
        size_t larger = *capacity ? 2 * *capacity : 64;
        uint64_t *copy =
            weft_memory_alloc(files->allocator, larger * sizeof *copy, sizeof(uint64_t));
        if (!copy) {
            return -ENOMEM;
        }
        if (*array) {
            memcpy(copy, *array, *count * sizeof *copy);
            weft_memory_free(files->allocator, *array, *capacity * sizeof *copy, sizeof(uint64_t));
        }
        *array = copy;
        *capacity = larger;
    }
    (*array)[(*count)++] = number;
    return 0;
}

static int note_name(void *ctx, const char *name) {
    weft_store_files *files = ctx;
    uint64_t segment = number_of(name, WEFT_STORE_NAME_LOG);
    uint64_t checkpoint = number_of(name, WEFT_STORE_NAME_SNAP);
    if (segment) {
        return add_number(files, segment, true);
    }
    return checkpoint ? add_number(files, checkpoint, false) : 0;
}

static int compare_numbers(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

int weft_store_files_read(weft_log *log, weft_store_files *files) {
    *files = (weft_store_files){.allocator = &log->allocator};
    int error = weft_file_list(log->directory, note_name, files);
    if (files->segment_count) {
        qsort(files->segments, files->segment_count, sizeof(uint64_t), compare_numbers);
    }
    if (files->checkpoint_count) {
        qsort(files->checkpoints, files->checkpoint_count, sizeof(uint64_t), compare_numbers);
    }
    return error;
}

void weft_store_files_free(weft_store_files *files) {
    if (files->segments) {
        weft_memory_free(files->allocator, files->segments,
                         files->segment_capacity * sizeof(uint64_t), sizeof(uint64_t));
    }
    if (files->checkpoints) {
        weft_memory_free(files->allocator, files->checkpoints,
                         files->checkpoint_capacity * sizeof(uint64_t), sizeof(uint64_t));
    }
}

uint64_t weft_store_files_trim(weft_log *log, const weft_store_files *files, uint64_t lsn) {
    char path[WEFT_STORE_PATH_MAX];
    uint64_t left = files->segment_count;
    for (size_t i = 0; i < files->checkpoint_count && files->checkpoints[i] < lsn; i++) {
        weft_store_path(log, WEFT_STORE_NAME_SNAP, files->checkpoints[i], path);
        (void)weft_file_unlink(path);
    }
    /* A segment ends where the next one begins. What stays behind by a failure is ignored by
     * recovery, which begins at the last segment that is not above the checkpoint, and deleted
     * there. */
    for (size_t i = 0; i + 1 < files->segment_count && files->segments[i + 1] <= lsn; i++) {
        weft_store_path(log, WEFT_STORE_NAME_LOG, files->segments[i], path);
        left -= weft_file_unlink(path) == 0;
    }
    WEFT_ASSERT(left >= 1 || files->segment_count == 0);
    return left;
}

static int remove_unfinished(void *ctx, const char *name) {
    weft_log *log = ctx;
    uint64_t segment = number_of(name, WEFT_STORE_NAME_LOG_TMP);
    uint64_t checkpoint = number_of(name, WEFT_STORE_NAME_SNAP_TMP);
    if (segment || checkpoint) {
        char path[WEFT_STORE_PATH_MAX];
        file_path(log->directory, name, path);
        (void)weft_file_unlink(path);
    }
    return 0;
}

void weft_store_remove_unfinished(weft_log *log) {
    (void)weft_file_list(log->directory, remove_unfinished, log);
}
