/* SPDX-License-Identifier: MIT */
/* Engine "fixed": the file that a shared table is in. Everything is looked at before it is mapped,
 * as who touches a page behind the end of a file is killed. Two processes may make a file at the
 * same time: its room is asked for by a call that never makes a file smaller, and where the table
 * ends its header says, which they agree on (fixed_memory.c). */
#include "engine/fixed_layout.h"

#include "base/assert.h"
#include "base/file.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <weft/fixed.h>

enum { OWNER_ALONE = 0600 };

/* A file on its way to be mapped. */
typedef struct visit {
    weft_fixed_mapping *file;
    const char *name; /* for texts */
    int fd;
    uint64_t size;
    size_t wanted; /* of a table that is to be made */
} visit;

static int refuse(weft_fixed_mapping *file, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int refuse(weft_fixed_mapping *file, int status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(file->error_text, sizeof file->error_text, format, arguments);
    va_end(arguments);
    file->memory = NULL;
    file->bytes = 0;
    return status;
}

static int refuse_system(const visit *v, const char *what, int error) {
    return refuse(v->file, WEFT_E_IO, "%s: %s: %s", v->name, what, strerror(-error));
}

/* Zeros, or nothing at all yet. */
static int check_new(const visit *v) {
    return v->size >= v->wanted
               ? WEFT_OK
               : refuse(v->file, WEFT_E_INVALID,
                        "%s: no table yet, and %llu bytes, of which one for this capacity takes "
                        "%zu: empty the file or enlarge it, or ask for less",
                        v->name, (unsigned long long)v->size, v->wanted);
}

static int check_header(const visit *v, const fixed_header *header) {
    WEFT_ASSERT(v->file->memory == NULL);
    size_t bytes = fixed_bytes_of(header->buckets, header->stock);
    switch (weft_fixed_find(header)) {
    case FIXED_NOTHING:
        return check_new(v);
    case FIXED_TABLE:
        return v->size >= bytes
                   ? WEFT_OK
                   : refuse(v->file, WEFT_E_CORRUPT,
                            "%s: cut off: %llu bytes of a table that takes %zu: bring the whole "
                            "file back, or remove it to begin anew",
                            v->name, (unsigned long long)v->size, bytes);
    case FIXED_OTHER_FORMAT:
        return refuse(v->file, WEFT_E_UNSUPPORTED,
                      "%s: a table of format %c, and this library knows format %c: use the "
                      "library that made it, or remove the file to begin anew",
                      v->name, (char)header->magic, (char)FIXED_MAGIC);
    case FIXED_OTHER_ORDER:
        return refuse(v->file, WEFT_E_UNSUPPORTED,
                      "%s: a table of a machine with another order of bytes: use it there, or "
                      "remove the file to begin anew",
                      v->name);
    case FIXED_DAMAGED:
        return refuse(v->file, WEFT_E_CORRUPT,
                      "%s: a damaged table: %llu buckets and %llu lines of stock cannot be: bring "
                      "the file back, or remove it to begin anew",
                      v->name, (unsigned long long)header->buckets,
                      (unsigned long long)header->stock);
    default:
        return refuse(v->file, WEFT_E_CORRUPT,
                      "%s: holds something else than a table: name another file, or remove this "
                      "one if nobody needs it",
                      v->name);
    }
}

/* An empty file gets its room; any other one is looked at. */
static int check_file(visit *v) {
    WEFT_ASSERT(v->fd >= 0);
    fixed_header header = {.magic = 0};
    size_t got = 0;
    int error = v->size == 0 ? weft_file_allocate(v->fd, 0, v->wanted) : 0;
    if (error != 0) {
        return refuse_system(v, "no room for a table", error);
    }
    error = weft_file_size(v->fd, &v->size);
    if (error == 0) {
        error = weft_file_pread(v->fd, (weft_file_room){&header, sizeof header}, 0, &got);
    }
    if (error != 0) {
        return refuse_system(v, "cannot be read", error);
    }
    if (got < sizeof header && header.magic != 0) {
        return refuse(v->file, WEFT_E_CORRUPT,
                      "%s: %zu bytes, less than the beginning of a table: it was cut off, or is "
                      "something else; remove it to begin anew",
                      v->name, got);
    }
    return check_header(v, &header);
}

static int map_visited(visit *v) {
    WEFT_ASSERT(v->wanted > sizeof(fixed_header));
    *v->file = (weft_fixed_mapping){.memory = NULL};
    int error = weft_file_size(v->fd, &v->size);
    if (error != 0) {
        return refuse_system(v, "cannot be looked at", error);
    }
    int status = check_file(v);
    if (status != WEFT_OK) {
        return status;
    }
    void *memory = NULL;
    error = weft_file_map(v->fd, v->size, &memory);
    if (error != 0) {
        return refuse_system(v, "cannot be mapped", error);
    }
    v->file->memory = memory;
    v->file->bytes = v->size;
    return WEFT_OK;
}

int weft_fixed_map_fd(weft_fixed_mapping *file, int fd, size_t capacity) {
    char name[32];
    (void)snprintf(name, sizeof name, "descriptor %d", fd);
    visit v = {.file = file, .name = name, .fd = fd, .wanted = weft_fixed_bytes(capacity)};
    return map_visited(&v);
}

int weft_fixed_map_path(weft_fixed_mapping *file, const char *path, size_t capacity) {
    visit v = {.file = file, .name = path, .wanted = weft_fixed_bytes(capacity)};
    v.fd = weft_file_open(path, O_RDWR | O_CREAT, OWNER_ALONE);
    if (v.fd < 0) {
        return refuse_system(&v, "cannot be opened", v.fd);
    }
    int status = map_visited(&v);
    (void)weft_file_close(v.fd);
    return status;
}

void weft_fixed_unmap(weft_fixed_mapping *file) {
    if (file->memory != NULL) {
        weft_file_unmap(file->memory, file->bytes);
    }
    file->memory = NULL;
    file->bytes = 0;
}
