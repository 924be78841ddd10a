/* SPDX-License-Identifier: MIT */
/* The file seam. Every call returns 0 (or, where said, a number of 0 or more) or a negated errno;
 * none returns because of a signal, none is satisfied with a part. A test can make the n-th call
 * fail, or put a function of its own before each call. */
#ifndef WEFT_BASE_FILE_H
#define WEFT_BASE_FILE_H

#include "base/platform.h"
#include <fcntl.h>

/* The descriptor, with O_CLOEXEC added; `mode` counts where O_CREAT is given. */
int weft_file_open(const char *path, int flags, unsigned mode);
int weft_file_close(int fd);

/* Write all `size` bytes at `offset`. After an error any part of them may be there. */
int weft_file_pwrite(int fd, const void *data, size_t size, uint64_t offset);
/* Where a read goes. */
typedef struct weft_file_room {
    void *data;
    size_t size;
} weft_file_room;

/* Fill the room from `offset` on; `*got` is less than its size only at the end of the file. */
int weft_file_pread(int fd, weft_file_room room, uint64_t offset, size_t *got);

int weft_file_size(int fd, uint64_t *size);
/* Have `size` bytes from `offset` backed by the disc, the file grown to hold them. -EOPNOTSUPP
 * where the file system cannot. */
int weft_file_allocate(int fd, uint64_t offset, uint64_t size);
int weft_file_truncate(int fd, uint64_t size);
/* Data, and as much of the metadata as is needed to read it back, are on the disc. After an error
 * the state of the file's unsynced part is unknown: a second try proves nothing. */
int weft_file_sync(int fd);

int weft_file_rename(const char *from, const char *to);
int weft_file_unlink(const char *path);
/* 0 also if the directory is there already. */
int weft_file_make_directory(const char *path, unsigned mode);
/* Make creations, renames and removals in a directory durable. */
int weft_file_sync_directory(const char *path);
/* Call fn for each name but "." and "..", in no order, until it returns other than 0, which is
 * returned. */
int weft_file_list(const char *path, int (*fn)(void *ctx, const char *name), void *ctx);
/* Take the exclusive lock of the open file, which its close gives back. -EWOULDBLOCK if another has
 * it. */
int weft_file_lock(int fd);

/* Share the file's first `size` bytes, to read and write, with whoever maps it; at a page. */
int weft_file_map(int fd, size_t size, void **memory);
void weft_file_unmap(void *memory, size_t size);

typedef enum weft_file_op {
    WEFT_FILE_OPEN,
    WEFT_FILE_CLOSE,
    WEFT_FILE_PWRITE,
    WEFT_FILE_PREAD,
    WEFT_FILE_SIZE,
    WEFT_FILE_ALLOCATE,
    WEFT_FILE_TRUNCATE,
    WEFT_FILE_SYNC,
    WEFT_FILE_RENAME,
    WEFT_FILE_UNLINK,
    WEFT_FILE_MAKE_DIRECTORY,
    WEFT_FILE_SYNC_DIRECTORY,
    WEFT_FILE_LIST,
    WEFT_FILE_LOCK,
    WEFT_FILE_MAP,
    WEFT_FILE_OPS,
} weft_file_op;

/* One call to the operating system that is about to be made. A pwrite or pread that goes on after a
 * short transfer is a further call. A close that fails is still a close. */
typedef struct weft_file_call {
    weft_file_op op;
    const char *path; /* NULL for calls on a descriptor */
    int fd;           /* -1 for calls on a path */
    const void *data; /* pwrite */
    uint64_t offset;
    size_t size; /* pwrite, pread: in, and out: less makes it a short transfer, as a disc may do */
} weft_file_call;

/* Failure injection: call number `at`, counted from 1 over the calls whose bit (1u << op) is in
 * `ops`, answers -error; with `forever` all later ones too. `short_size`: if not SIZE_MAX, a pwrite
 * that is hit first writes so many bytes. at = 0 fails none and only counts. */
typedef struct weft_file_fault {
    uint64_t at;
    uint32_t ops; /* 0: all */
    int error;    /* positive errno */
    bool forever;
    size_t short_size;
} weft_file_fault;

void weft_file_fail(const weft_file_fault *fault); /* copied */
void weft_file_fail_off(void);
uint64_t weft_file_count(void); /* calls counted since the last weft_file_fail */

/* Called before each call; not 0: the call is not made, and answers this (a negated errno). The
 * struct must stay alive until another hook, or NULL for none, is set. */
typedef struct weft_file_hook {
    int (*before)(void *ctx, weft_file_call *call);
    void *ctx;
} weft_file_hook;

void weft_file_set_hook(const weft_file_hook *hook);

#endif
