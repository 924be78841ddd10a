/* SPDX-License-Identifier: MIT */
/* What the files of this folder share: the log as an object. Design: docs/design/log.md. */
#ifndef WEFT_STORE_LOG_H
#define WEFT_STORE_LOG_H

#include "base/lock.h"
#include "base/thread.h"
#include "store/format.h"

enum {
    WEFT_STORE_PATH_MAX = 4096,
    WEFT_STORE_CHUNK_SIZE = 256 << 10, /* also what is written at once, at the latest */
};

/* A piece of the group buffer: whole frames, as they will stand in the file. */
typedef struct weft_store_chunk {
    struct weft_store_chunk *next;
    size_t capacity;
    size_t used;   /* reserved by appends; under the lock */
    uint64_t done; /* atomic: copied by appends; the chunk is complete when done = used */
    uint64_t first_lsn;
    uint64_t last_lsn;
    uint64_t first_ns;   /* when its first frame was appended */
    bool sealed;         /* takes no more frames */
    bool starts_segment; /* a checkpoint began before it */
    unsigned char data[];
} weft_store_chunk;

/* With the lock held. A sealed chunk is not written to: the writer reads it without the lock. */
static inline void weft_store_seal(weft_store_chunk *chunk) {
    if (!chunk->sealed) {
        chunk->sealed = true;
    }
}

/* The log file that is being written. Of the writer alone, once it runs. */
typedef struct weft_store_segment {
    int fd; /* -1: none */
    uint64_t first_lsn;
    uint64_t offset; /* where the next frame goes */
    uint64_t size;   /* preallocated */
} weft_store_segment;

/* A checkpoint that is being written. Of the thread that began it. */
typedef struct weft_store_checkpoint {
    bool running; /* under the lock */
    int fd;
    int error; /* status of the first failure */
    uint64_t lsn;
    uint64_t offset;
    uint64_t blocks;
    uint64_t entries;
    uint64_t log_bytes; /* appended before it began */
    weft_log_frame block;
} weft_store_checkpoint;

struct weft_log {
    char *directory;
    weft_log_options options;
    weft_allocator allocator;
    weft_store_key key;
    int lock_fd;

    uint64_t state;       /* atomic: weft_log_state */
    uint64_t written_lsn; /* atomic; written by the writer */
    uint64_t durable_lsn; /* atomic; written by the writer */

    weft_mutex lock;          /* guards what follows */
    weft_cond work;           /* to the writer */
    weft_cond room;           /* to appends that wait for room */
    weft_cond synced;         /* to those who wait for durability */
    weft_store_chunk *oldest; /* the group buffer, in the order of LSNs */
    weft_store_chunk *newest;
    weft_store_chunk *spare;
    uint64_t spares;
    uint64_t buffered_bytes;
    uint64_t next_lsn;
    uint64_t wanted_lsn; /* somebody waits for its durability */
    uint64_t
        unsynced_ns;   /* when the oldest frame was appended that is written and not synchronized */
    uint64_t retry_ns; /* FULL: when to try again */
    bool rotate;       /* the next chunk starts a segment */
    bool stopping;
    bool asleep;    /* the writer waits and must be woken for new frames */
    bool lingering; /* the writer waits for more frames, and must be woken for a full chunk */
    bool threaded;
    bool recovered;          /* weft_log_recover was called */
    uint64_t log_bytes;      /* frames in the directory and the buffer, recovered ones included */
    uint64_t obsolete_bytes; /* of these, before the last checkpoint */
    uint64_t segments;
    uint64_t checkpoint_lsn;
    uint64_t checkpoint_bytes;
    uint64_t checkpoint_entries;
    uint64_t writes;
    uint64_t syncs;
    uint64_t waits;
    char error_text[WEFT_LOG_TEXT_MAX];

    weft_thread thread;
    weft_store_segment segment;
    uint64_t round_lsn; /* of the writer: synchronize when it has written so far */
    weft_store_checkpoint checkpoint;
};

/* directory.c */
typedef struct weft_store_files {
    uint64_t *segments; /* first LSNs, ascending */
    size_t segment_count;
    size_t segment_capacity;
    uint64_t *checkpoints; /* LSNs, ascending */
    size_t checkpoint_count;
    size_t checkpoint_capacity;
    int error;
    const weft_allocator *allocator;
} weft_store_files;

typedef enum weft_store_name {
    WEFT_STORE_NAME_LOG,
    WEFT_STORE_NAME_LOG_TMP,
    WEFT_STORE_NAME_SNAP,
    WEFT_STORE_NAME_SNAP_TMP,
} weft_store_name;

int weft_store_directory_open(weft_log *log, char *text);
void weft_store_path(const weft_log *log, weft_store_name name, uint64_t lsn,
                     char path[WEFT_STORE_PATH_MAX]);
/* 0 or a negated errno. Free it in either case. */
int weft_store_files_read(weft_log *log, weft_store_files *files);
void weft_store_files_free(weft_store_files *files);
/* Delete what the checkpoint at `lsn` stands for; returns how many segments are left. */
uint64_t weft_store_files_trim(weft_log *log, const weft_store_files *files, uint64_t lsn);
/* Delete files that were never finished. Failure is harmless: it is done again at next start. */
void weft_store_remove_unfinished(weft_log *log);
int weft_store_status(int error); /* of a negated errno */
const char *weft_store_error_text(int error);

/* segment.c */
int weft_store_segment_create(weft_log *log, uint64_t first_lsn, uint64_t frame_bytes);
int weft_store_segment_finish(weft_log *log);

/* writer.c */
void *weft_store_writer_run(void *log);
void weft_store_wake_writer(weft_log *log); /* with the lock held */
/* Wait for durability with a further end: a log that is FULL. */
int weft_store_wait_durable(weft_log *log, uint64_t lsn, uint64_t timeout_ns, bool end_if_full);

#endif
