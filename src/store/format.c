/* SPDX-License-Identifier: MIT */
#include "store/format.h"

#include "base/assert.h"
#include "base/memory.h"
#include <endian.h>
#include <errno.h>
#include <string.h>

enum {
    VARINT_MAX = 10,
    RECORD_HEAD_MAX = 1 + 4 * VARINT_MAX,
    FRAME_KEEP = 1 << 20, /* what a reset frame keeps at most */
    FRAME_FIRST = 512,
};

static const unsigned char magics[][8] = {
    [WEFT_STORE_SEGMENT] = {'w', 'e', 'f', 't', 'l', 'o', 'g', '1'},
    [WEFT_STORE_CHECKPOINT] = {'w', 'e', 'f', 't', 's', 'n', 'a', 'p'},
};

static void write_u64(unsigned char *to, uint64_t value) {
    value = htole64(value);
    memcpy(to, &value, sizeof value);
}

uint64_t weft_store_read_u64(const unsigned char *from) {
    uint64_t value;
    memcpy(&value, from, sizeof value);
    return le64toh(value);
}

uint64_t weft_store_sum(const weft_store_key *key, const void *data, size_t size) {
    return weft_hash_bytes(data, size, key->secret);
}

void weft_store_put_file_header(const weft_store_key *key, weft_store_kind kind, uint64_t lsn,
                                unsigned char out[WEFT_STORE_FILE_HEADER_SIZE]) {
    WEFT_ASSERT(lsn != 0);
    memcpy(out, magics[kind], sizeof magics[kind]);
    write_u64(out + 8, WEFT_STORE_VERSION);
    write_u64(out + 16, key->directory);
    write_u64(out + 24, lsn);
    write_u64(out + 32, weft_store_sum(key, out, 32));
}

const char *weft_store_check_file_header(const weft_store_key *key, weft_store_kind kind,
                                         uint64_t lsn, const unsigned char *data) {
    if (memcmp(data, magics[kind], sizeof magics[kind]) != 0) {
        return "the header is damaged";
    }
    if (weft_store_read_u64(data + 16) != key->directory) {
        return "the file belongs to another directory";
    }
    if (weft_store_read_u64(data + 32) != weft_store_sum(key, data, 32) ||
        weft_store_read_u64(data + 8) != WEFT_STORE_VERSION) {
        return "the header is damaged";
    }
    return weft_store_read_u64(data + 24) == lsn ? NULL : "the file has another file's name";
}

void weft_store_put_frame_header(const weft_store_key *key, const weft_store_frame_header *header,
                                 unsigned char *out) {
    WEFT_ASSERT(header->lsn != 0 && header->size != 0);
    write_u64(out, header->lsn);
    write_u64(out + 8, header->size);
    write_u64(out + 16, header->durable);
    write_u64(out + 24, header->payload_sum);
    write_u64(out + 32, weft_store_sum(key, out, 32));
}

bool weft_store_get_frame_header(const weft_store_key *key, const unsigned char *data,
                                 weft_store_frame_header *header) {
    header->lsn = weft_store_read_u64(data);
    header->size = weft_store_read_u64(data + 8);
    header->durable = weft_store_read_u64(data + 16);
    header->payload_sum = weft_store_read_u64(data + 24);
    return header->lsn != 0 && header->size != 0 && header->size <= WEFT_LOG_FRAME_SIZE_MAX &&
           weft_store_read_u64(data + 32) == weft_store_sum(key, data, 32);
}

void weft_store_put_footer(const weft_store_footer *footer, unsigned char *out) {
    memcpy(out, "weftdone", 8);
    write_u64(out + 8, footer->entries);
    write_u64(out + 16, footer->end_lsn);
}

bool weft_store_get_footer(const unsigned char *data, size_t size, weft_store_footer *footer) {
    if (size != WEFT_STORE_FOOTER_SIZE || memcmp(data, "weftdone", 8) != 0) {
        return false;
    }
    footer->entries = weft_store_read_u64(data + 8);
    footer->end_lsn = weft_store_read_u64(data + 16);
    return true;
}

/* Seven bits a byte, the least significant first; the top bit: more follow. */
static unsigned char *put_varint(unsigned char *to, uint64_t value) {
    while (value >= 0x80) {
        *to++ = (unsigned char)(value | 0x80);
        value >>= 7;
    }
    *to++ = (unsigned char)value;
    return to;
}

static bool get_varint(const unsigned char **at, const unsigned char *end, uint64_t *value) {
    *value = 0;
    for (unsigned shift = 0; shift < 7 * VARINT_MAX && *at < end; shift += 7) {
        unsigned char byte = *(*at)++;
        if (shift == 63 && byte > 1) {
            return false;
        }
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            return true;
        }
    }
    return false;
}

bool weft_store_next_record(const unsigned char **at, const unsigned char *end,
                            weft_log_record *record) {
    if (*at >= end) {
        return false;
    }
    unsigned op = *(*at)++;
    uint64_t key_size;
    uint64_t value_size;
    if (op < WEFT_LOG_PUT || op > WEFT_LOG_BARRIER || !get_varint(at, end, &record->era) ||
        !get_varint(at, end, &record->version) || !get_varint(at, end, &key_size) ||
        !get_varint(at, end, &value_size)) {
        return false;
    }
    uint64_t left = (uint64_t)(end - *at);
    if (key_size > left || value_size > left - key_size) {
        return false;
    }
    record->op = (weft_log_op)op;
    record->key = weft_bytes_of(*at, key_size);
    record->value.head = weft_bytes_of(NULL, 0);
    record->value.body = weft_bytes_of(*at + key_size, value_size);
    *at += key_size + value_size;
    return true;
}

static bool frame_reserve(weft_log_frame *frame, size_t more) {
    if (frame->capacity - frame->size >= more) {
        return true;
    }
    size_t capacity = frame->capacity ? frame->capacity : FRAME_FIRST;
    while (capacity - frame->size < more) {
        capacity *= 2;
    }
    int saved = errno;
    unsigned char *data = weft_memory_alloc(NULL, capacity, sizeof(uint64_t));
    errno = saved;
    if (!data) {
        return false;
    }
    if (frame->data) {
        memcpy(data, frame->data, frame->size);
        weft_memory_free(NULL, frame->data, frame->capacity, sizeof(uint64_t));
    }
    frame->data = data;
    frame->capacity = capacity;
    return true;
}

static unsigned char *put_bytes(unsigned char *to, weft_bytes bytes) {
    if (bytes.size) {
        memcpy(to, bytes.data, bytes.size);
    }
    return to + bytes.size;
}

int weft_log_frame_add(weft_log_frame *frame, const weft_log_record *record) {
    if (record->op < WEFT_LOG_PUT || record->op > WEFT_LOG_BARRIER) {
        return WEFT_E_INVALID;
    }
    size_t head_size = record->value.head.size;
    size_t body_size = record->value.body.size;
    if (record->key.size > WEFT_KEY_SIZE_MAX || head_size > WEFT_VALUE_SIZE_MAX ||
        body_size > WEFT_VALUE_SIZE_MAX - head_size) {
        return WEFT_E_TOOBIG;
    }
    size_t more = RECORD_HEAD_MAX + record->key.size + head_size + body_size;
    if (more > WEFT_LOG_FRAME_SIZE_MAX - frame->size) {
        return WEFT_E_TOOBIG;
    }
    if (!frame_reserve(frame, more)) {
        return WEFT_E_NOMEM;
    }
    unsigned char *to = frame->data + frame->size;
    *to++ = (unsigned char)record->op;
    to = put_varint(to, record->era);
    to = put_varint(to, record->version);
    to = put_varint(to, record->key.size);
    to = put_varint(to, head_size + body_size);
    to = put_bytes(to, record->key);
    to = put_bytes(to, record->value.head);
    to = put_bytes(to, record->value.body);
    frame->size = (size_t)(to - frame->data);
    frame->records++;
    WEFT_ASSERT(frame->size <= frame->capacity);
    return WEFT_OK;
}

void weft_log_frame_reset(weft_log_frame *frame) {
    if (frame->capacity > FRAME_KEEP) {
        weft_log_frame_free(frame);
    }
    frame->size = 0;
    frame->records = 0;
}

void weft_log_frame_free(weft_log_frame *frame) {
    if (frame->data) {
        weft_memory_free(NULL, frame->data, frame->capacity, sizeof(uint64_t));
    }
    *frame = (weft_log_frame)WEFT_LOG_FRAME_INIT;
}
