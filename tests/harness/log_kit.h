/* SPDX-License-Identifier: MIT */
/* For tests of the log: directories that come and go, and records that testify for themselves.
 *
 * Frame n holds 1 + n % 4 records. Record i of it is a PUT with the key (n, i) and a value that
 * follows from the key, in two pieces, so that a false, missing, repeated or half frame shows at
 * recovery. The records of a checkpoint are (0, i). */
#ifndef WEFT_TESTS_LOG_KIT_H
#define WEFT_TESTS_LOG_KIT_H

#include <weft/log.h>

typedef struct weft_log_kit {
    char directory[128];
    weft_log *log;
    weft_log_options options;
    weft_log_report report;
    weft_log_frame frame;
    uint64_t checkpoint_records; /* recovered */
    uint64_t first;              /* frame recovered first; 0: none */
    uint64_t last;
    uint64_t left;     /* records of the last frame still to come */
    const char *wrong; /* the first thing that was not as it should be; NULL: nothing */
} weft_log_kit;

/* A new path below the directory for temporary files; nothing is there. */
void weft_log_kit_init(weft_log_kit *kit);
void weft_log_kit_remove(weft_log_kit *kit); /* everything in it, too */
uint64_t weft_log_kit_bytes(const weft_log_kit *kit);
/* The path of a file in it: kind "log" or "snap". */
void weft_log_kit_path(const weft_log_kit *kit, const char *kind, uint64_t lsn, char path[256]);

/* Open and recover, checking all that is delivered. Without success the log is closed. */
int weft_log_kit_open(weft_log_kit *kit, weft_log_sync sync);
int weft_log_kit_close(weft_log_kit *kit);

/* Append the frame that comes next; only one thread may. */
int weft_log_kit_append(weft_log_kit *kit, uint64_t *lsn);
/* Append `count` of them, and wait until they are durable. */
int weft_log_kit_append_durable(weft_log_kit *kit, uint64_t count);
/* A whole checkpoint with so many records. */
int weft_log_kit_checkpoint(weft_log_kit *kit, uint64_t records);

/* Is it what the key says? */
bool weft_log_kit_genuine(const weft_log_record *record, uint64_t *frame, uint64_t *index);
void weft_log_kit_fill(weft_log_frame *frame, uint64_t number);

#endif
