/* SPDX-License-Identifier: MIT */
#include "store/reader.h"

#include "base/assert.h"
#include "base/file.h"
#include "base/memory.h"

#include <errno.h>
#include <string.h>

enum { READ_SIZE = 1 << 20 };

int weft_store_reader_open(weft_store_reader *reader, weft_log *log, weft_store_name name,
                           uint64_t lsn) {
    memset(reader, 0, sizeof *reader);
    reader->log = log;
    weft_store_path(log, name, lsn, reader->path);
    reader->fd = weft_file_open(reader->path, O_RDWR, 0);
    return reader->fd < 0 ? reader->fd : weft_file_size(reader->fd, &reader->size);
}

void weft_store_reader_close(weft_store_reader *reader) {
    if (reader->fd >= 0) {
        (void)weft_file_close(reader->fd);
        reader->fd = -1;
    }
    if (reader->buffer) {
        weft_memory_free(&reader->log->allocator, reader->buffer, reader->capacity,
                         WEFT_CACHE_LINE);
        reader->buffer = NULL;
    }
}

static int grow(weft_store_reader *reader, size_t capacity) {
    const weft_allocator *allocator = &reader->log->allocator;
    if (reader->buffer) {
        weft_memory_free(allocator, reader->buffer, reader->capacity, WEFT_CACHE_LINE);
    }
    reader->capacity = capacity;
    reader->buffer_size = 0;
    reader->buffer = weft_memory_alloc(allocator, capacity, WEFT_CACHE_LINE);
    return reader->buffer ? 0 : -ENOMEM;
}

/* `size` bytes at `offset`, NULL where the file ends before. */
static int look_at(weft_store_reader *reader, uint64_t offset, uint64_t size,
                   const unsigned char **data) {
    *data = NULL;
    if (offset > reader->size || size > reader->size - offset) {
        return 0;
    }
    bool inside = offset >= reader->buffer_offset &&
                  offset - reader->buffer_offset <= reader->buffer_size &&
                  size <= reader->buffer_size - (offset - reader->buffer_offset);
    if (!inside) {
        size_t capacity = size > READ_SIZE ? (size_t)size : READ_SIZE;
        int error = capacity > reader->capacity ? grow(reader, capacity) : 0;
        if (error == 0) {
            reader->buffer_offset = offset;
            weft_file_room room = {reader->buffer, reader->capacity};
            error = weft_file_pread(reader->fd, room, offset, &reader->buffer_size);
        }
        if (error) {
            reader->buffer_size = 0;
            return error;
        }
        if (size > reader->buffer_size) {
            return 0;
        }
    }
    *data = reader->buffer + (offset - reader->buffer_offset);
    return 0;
}

int weft_store_reader_header(weft_store_reader *reader, weft_store_kind kind, uint64_t lsn,
                             const char **problem) {
    const unsigned char *data;
    int error = look_at(reader, 0, WEFT_STORE_FILE_HEADER_SIZE, &data);
    if (error) {
        return error;
    }
    *problem = data ? weft_store_check_file_header(&reader->log->key, kind, lsn, data)
                    : "the file is too short";
    reader->offset = WEFT_STORE_FILE_HEADER_SIZE;
    return 0;
}

int weft_store_reader_frame(weft_store_reader *reader, uint64_t lsn,
                            weft_store_frame_header *header, const unsigned char **payload) {
    const weft_store_key *key = &reader->log->key;
    const unsigned char *data;
    *payload = NULL;
    int error = look_at(reader, reader->offset, WEFT_STORE_FRAME_HEADER_SIZE, &data);
    if (error || !data || !weft_store_get_frame_header(key, data, header) || header->lsn != lsn) {
        return error;
    }
    uint64_t padded = weft_store_padded(header->size);
    error = look_at(reader, reader->offset, WEFT_STORE_FRAME_HEADER_SIZE + padded, &data);
    if (error || !data) {
        return error;
    }
    data += WEFT_STORE_FRAME_HEADER_SIZE;
    if (weft_store_sum(key, data, header->size) == header->payload_sum) {
        *payload = data;
        reader->offset += WEFT_STORE_FRAME_HEADER_SIZE + padded;
    }
    return 0;
}

/* A frame that was appended when frame `lsn` was durable already. The number is looked at first:
 * it is the cheapest filter, and a copy of the log inside a value cannot carry a number from the
 * future. */
static bool proves_loss(const weft_store_reader *reader, const unsigned char *data, uint64_t lsn) {
    weft_store_frame_header header;
    uint64_t number = weft_store_read_u64(data);
    return number > lsn && number - lsn <= reader->size / WEFT_STORE_FRAME_HEADER_SIZE &&
           weft_store_read_u64(data + 16) >= lsn && weft_store_read_u64(data + 16) < number &&
           weft_store_get_frame_header(&reader->log->key, data, &header);
}

int weft_store_reader_tail(weft_store_reader *reader, uint64_t lsn, weft_store_tail *tail) {
    *tail = (weft_store_tail){0};
    WEFT_ASSERT(reader->offset % 8 == 0);
    for (uint64_t at = reader->offset; at < reader->size; at += 8) {
        uint64_t left = reader->size - at;
        uint64_t size = left < WEFT_STORE_FRAME_HEADER_SIZE ? left : WEFT_STORE_FRAME_HEADER_SIZE;
        const unsigned char *data;
        int error = look_at(reader, at, size, &data);
        if (error || !data) {
            return error ? error : -EIO;
        }
        for (size_t i = 0; i < 8 && i < size; i++) {
            if (data[i]) {
                tail->dropped = at + i + 1 - reader->offset;
            }
        }
        if (tail->durable_frame == 0 && size == WEFT_STORE_FRAME_HEADER_SIZE &&
            proves_loss(reader, data, lsn)) {
            tail->durable_frame = at;
        }
    }
    return 0;
}
