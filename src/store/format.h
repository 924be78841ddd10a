/* SPDX-License-Identifier: MIT */
/* The bytes on disk: little-endian, drawn in docs/design/log.md. */
#ifndef WEFT_STORE_FORMAT_H
#define WEFT_STORE_FORMAT_H

#include "base/hash.h"
#include "base/platform.h"
#include <weft/log.h>

enum {
    WEFT_STORE_VERSION = 1,
    WEFT_STORE_FILE_HEADER_SIZE = 40,
    WEFT_STORE_FRAME_HEADER_SIZE = 40,
    WEFT_STORE_FOOTER_SIZE = 24,
};

/* In place of the durable LSN: this frame is the footer of a checkpoint. */
#define WEFT_STORE_FOOTER_MARK UINT64_MAX

/* Keyed by the directory's number, so that bytes of another directory are never taken for ours. */
typedef struct weft_store_key {
    uint64_t directory;
    unsigned char secret[WEFT_HASH_SECRET_SIZE];
} weft_store_key;

typedef enum weft_store_kind { WEFT_STORE_SEGMENT, WEFT_STORE_CHECKPOINT } weft_store_kind;

typedef struct weft_store_frame_header {
    uint64_t lsn;     /* in a checkpoint: the number of the block, from 1 */
    uint64_t size;    /* bytes of records behind the header, without padding */
    uint64_t durable; /* the durable LSN when the frame was appended; or the footer mark */
    uint64_t payload_sum;
} weft_store_frame_header;

typedef struct weft_store_footer {
    uint64_t entries;
    uint64_t end_lsn; /* the log was durable up to here before the checkpoint got its name */
} weft_store_footer;

static inline uint64_t weft_store_padded(uint64_t size) {
    return (size + 7) & ~UINT64_C(7);
}

uint64_t weft_store_read_u64(const unsigned char *from);
uint64_t weft_store_sum(const weft_store_key *key, const void *data, size_t size);

void weft_store_put_file_header(const weft_store_key *key, weft_store_kind kind, uint64_t lsn,
                                unsigned char out[WEFT_STORE_FILE_HEADER_SIZE]);
/* NULL, or what is wrong with it. */
const char *weft_store_check_file_header(const weft_store_key *key, weft_store_kind kind,
                                         uint64_t lsn, const unsigned char *data);

void weft_store_put_frame_header(const weft_store_key *key, const weft_store_frame_header *header,
                                 unsigned char *out);
/* False if it is none. */
bool weft_store_get_frame_header(const weft_store_key *key, const unsigned char *data,
                                 weft_store_frame_header *header);

void weft_store_put_footer(const weft_store_footer *footer, unsigned char *out);
bool weft_store_get_footer(const unsigned char *data, size_t size, weft_store_footer *footer);

/* The next record of a payload; `*at` moves on. False if there is no well-formed one. */
bool weft_store_next_record(const unsigned char **at, const unsigned char *end,
                            weft_log_record *record);

#endif
