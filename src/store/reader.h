/* SPDX-License-Identifier: MIT */
/* Reads the frames of one file, a log file or a checkpoint, and believes nothing. */
#ifndef WEFT_STORE_READER_H
#define WEFT_STORE_READER_H

#include "store/log.h"

typedef struct weft_store_reader {
    weft_log *log;
    char path[WEFT_STORE_PATH_MAX];
    int fd;
    uint64_t size;   /* of the file */
    uint64_t offset; /* of the next frame */
    unsigned char *buffer;
    size_t capacity;
    uint64_t buffer_offset; /* where in the file the buffer begins */
    size_t buffer_size;
} weft_store_reader;

/* What lies behind the last good frame. */
typedef struct weft_store_tail {
    uint64_t dropped;       /* bytes up to the last one that is not zero */
    uint64_t durable_frame; /* offset of a frame that proves the loss of durable data; 0: none */
} weft_store_tail;

/* All answer 0 or a negated errno. Close a reader that was opened, whatever the answer. */
int weft_store_reader_open(weft_store_reader *reader, weft_log *log, weft_store_name name,
                           uint64_t lsn);
void weft_store_reader_close(weft_store_reader *reader);

/* Check the file's header and go behind it; `*problem` is NULL, or what is wrong. */
int weft_store_reader_header(weft_store_reader *reader, weft_store_kind kind, uint64_t lsn,
                             const char **problem);

/* The frame at the offset, if it is whole and has the number `lsn`; else `*payload` is NULL. */
int weft_store_reader_frame(weft_store_reader *reader, uint64_t lsn,
                            weft_store_frame_header *header, const unsigned char **payload);

/* Look at everything behind the offset, where frame `lsn` should be and is not. */
int weft_store_reader_tail(weft_store_reader *reader, uint64_t lsn, weft_store_tail *tail);

#endif
