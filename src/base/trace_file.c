/* SPDX-License-Identifier: MIT */
#include "base/trace_file.h"
#include "base/crc32c.h"
#include "base/file.h"
#include "base/memory.h"
#include <errno.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the format is little-endian");

enum { FIRST_KEY_ROOM = 64 * WEFT_TRACE_CHUNK_OPS };

struct weft_trace_writer {
    int fd;
    int error;
    weft_trace_header header;
    weft_trace_chunk chunk; /* the one that is being filled */
    unsigned char codes[WEFT_TRACE_CHUNK_OPS];
    uint32_t offsets[WEFT_TRACE_CHUNK_OPS + 2]; /* one more for padding */
    unsigned char *keys;
    size_t keys_used;
    size_t keys_room;
};

static bool allowed(const weft_trace_header *header) {
    if (header->shape == WEFT_TRACE_U64) {
        return header->value_bytes == WEFT_TRACE_VALUE_MIN;
    }
    return header->shape == WEFT_TRACE_BYTES && header->value_bytes >= WEFT_TRACE_VALUE_MIN &&
           header->value_bytes <= WEFT_TRACE_VALUE_MAX;
}

static weft_trace_writer *make_writer(const weft_trace_header *header) {
    weft_trace_writer *writer =
        weft_memory_alloc(NULL, sizeof *writer, _Alignof(weft_trace_writer));
    if (writer == NULL) {
        return NULL;
    }
    memset(writer, 0, sizeof *writer);
    writer->keys_room = FIRST_KEY_ROOM;
    writer->keys = weft_memory_alloc(NULL, writer->keys_room, 8);
    if (writer->keys == NULL) {
        weft_memory_free(NULL, writer, sizeof *writer, _Alignof(weft_trace_writer));
        return NULL;
    }
    writer->header = (weft_trace_header){.shape = header->shape,
                                         .value_bytes = header->value_bytes,
                                         .distinct = header->distinct,
                                         .seed = header->seed,
                                         .bytes = sizeof writer->header};
    memcpy(writer->header.name, header->name, sizeof header->name);
    return writer;
}

static void free_writer(weft_trace_writer *writer) {
    weft_memory_free(NULL, writer->keys, writer->keys_room, 8);
    weft_memory_free(NULL, writer, sizeof *writer, _Alignof(weft_trace_writer));
}

int weft_trace_create(weft_trace_writer **writer, const char *path,
                      const weft_trace_header *header) {
    if (!allowed(header)) {
        return -EINVAL;
    }
    *writer = make_writer(header);
    if (*writer == NULL) {
        return -ENOMEM;
    }
    static const weft_trace_header unfinished;
    int error = weft_file_open(path, O_CREAT | O_TRUNC | O_WRONLY, 0644);
    if (error >= 0) {
        (*writer)->fd = error;
        error = weft_file_pwrite((*writer)->fd, &unfinished, sizeof unfinished, 0);
        if (error == 0) {
            return 0;
        }
        (void)weft_file_close((*writer)->fd);
    }
    free_writer(*writer);
    return error;
}

/* The next piece of the present chunk: its CRC, and its place in the file. */
static void put_piece(weft_trace_writer *writer, const void *data, size_t size) {
    weft_trace_chunk *chunk = &writer->chunk;
    chunk->crc = weft_crc32c(chunk->crc, data, size);
    if (writer->error == 0) {
        writer->error =
            weft_file_pwrite(writer->fd, data, size, writer->header.bytes + chunk->bytes);
    }
    chunk->bytes += (uint32_t)size;
}

/* Zeros from the end of the keys to the next multiple of 8. There is always room for them. */
static size_t pad_keys(weft_trace_writer *writer) {
    size_t padded = weft_trace_padded(writer->keys_used);
    memset(writer->keys + writer->keys_used, 0, padded - writer->keys_used);
    return padded;
}

static void flush(weft_trace_writer *writer) {
    weft_trace_chunk *chunk = &writer->chunk;
    if (chunk->ops == 0) {
        return;
    }
    size_t codes = weft_trace_padded(chunk->ops);
    memset(writer->codes + chunk->ops, 0, codes - chunk->ops);
    chunk->bytes = sizeof *chunk;
    chunk->crc = 0;
    put_piece(writer, writer->codes, codes);
    if (writer->header.shape == WEFT_TRACE_BYTES) {
        writer->offsets[chunk->ops] = (uint32_t)writer->keys_used;
        writer->offsets[chunk->ops + 1] = 0;
        put_piece(writer, writer->offsets,
                  weft_trace_padded((chunk->ops + 1) * sizeof *writer->offsets));
    }
    put_piece(writer, writer->keys, pad_keys(writer));
    if (writer->error == 0) {
        writer->error = weft_file_pwrite(writer->fd, chunk, sizeof *chunk, writer->header.bytes);
    }
    writer->header.bytes += chunk->bytes;
    writer->header.chunks++;
    chunk->ops = 0;
    writer->keys_used = 0;
}

static bool have_room(weft_trace_writer *writer, size_t size) {
    size_t wanted = writer->keys_used + size + 8;
    if (wanted <= writer->keys_room) {
        return true;
    }
    size_t room = writer->keys_room * 2 < wanted ? wanted : writer->keys_room * 2;
    unsigned char *keys = weft_memory_alloc(NULL, room, 8);
    if (keys == NULL) {
        return false;
    }
    memcpy(keys, writer->keys, writer->keys_used);
    weft_memory_free(NULL, writer->keys, writer->keys_room, 8);
    writer->keys = keys;
    writer->keys_room = room;
    return true;
}

static int check(const weft_trace_writer *writer, weft_trace_op op, size_t size) {
    bool numbers = writer->header.shape == WEFT_TRACE_U64;
    bool fits = numbers ? size == sizeof(uint64_t) : size >= 1 && size <= WEFT_TRACE_KEY_MAX;
    bool known = (unsigned)op < WEFT_TRACE_OPS && (numbers || op != WEFT_TRACE_ADD);
    return fits && known ? 0 : -EINVAL;
}

static int append(weft_trace_writer *writer, weft_trace_op op, const void *key, size_t size) {
    weft_trace_chunk *chunk = &writer->chunk;
    if (writer->error == 0) {
        writer->error = check(writer, op, size);
    }
    if (writer->error == 0 && !have_room(writer, size)) {
        writer->error = -ENOMEM;
    }
    if (writer->error != 0) {
        return writer->error;
    }
    writer->codes[chunk->ops] = (unsigned char)op;
    writer->offsets[chunk->ops] = (uint32_t)writer->keys_used;
    memcpy(writer->keys + writer->keys_used, key, size);
    writer->keys_used += size;
    if (++chunk->ops == WEFT_TRACE_CHUNK_OPS) {
        flush(writer);
    }
    return writer->error;
}

int weft_trace_prefill(weft_trace_writer *writer, const void *key, size_t size) {
    if (writer->error == 0 && writer->header.ops != 0) {
        writer->error = -EINVAL;
    }
    writer->chunk.kind = WEFT_TRACE_PREFILL;
    writer->header.prefill++;
    return append(writer, WEFT_TRACE_INSERT, key, size);
}

int weft_trace_append(weft_trace_writer *writer, weft_trace_op op, const void *key, size_t size) {
    if (writer->header.ops == 0) {
        flush(writer);
        writer->chunk.kind = WEFT_TRACE_RUN;
    }
    writer->header.ops++;
    return append(writer, op, key, size);
}

int weft_trace_append_numbers(weft_trace_writer *writer, const uint8_t *codes, const uint64_t *keys,
                              size_t count) {
    weft_trace_chunk *chunk = &writer->chunk;
    int error = 0;
    for (size_t at = 0; at < count && error == 0;) {
        /* One of each chunk as any other: that checks, and makes room for the keys of a chunk. */
        error = weft_trace_append(writer, (weft_trace_op)codes[at], &keys[at], sizeof *keys);
        at++;
        size_t more = error != 0 || chunk->ops == 0 ? 0 : WEFT_TRACE_CHUNK_OPS - 1 - chunk->ops;
        more = more < count - at ? more : count - at;
        memcpy(writer->codes + chunk->ops, codes + at, more);
        memcpy(writer->keys + writer->keys_used, keys + at, more * sizeof *keys);
        writer->keys_used += more * sizeof *keys;
        chunk->ops += (uint32_t)more;
        writer->header.ops += more;
        at += more;
    }
    return error;
}

void weft_trace_set_distinct(weft_trace_writer *writer, uint64_t distinct) {
    writer->header.distinct = distinct;
}

void weft_trace_set_value_bytes(weft_trace_writer *writer, uint64_t bytes) {
    bytes = bytes < WEFT_TRACE_VALUE_MIN ? WEFT_TRACE_VALUE_MIN : bytes;
    bytes = bytes > WEFT_TRACE_VALUE_MAX ? WEFT_TRACE_VALUE_MAX : bytes;
    if (writer->header.shape == WEFT_TRACE_BYTES) {
        writer->header.value_bytes = (uint32_t)bytes;
    }
}

uint64_t weft_trace_bytes(const weft_trace_writer *writer) {
    uint32_t ops = writer->chunk.ops;
    if (ops == 0) {
        return writer->header.bytes;
    }
    size_t table = writer->header.shape == WEFT_TRACE_BYTES
                       ? weft_trace_padded((ops + 1) * sizeof *writer->offsets)
                       : 0;
    return writer->header.bytes + sizeof writer->chunk + weft_trace_padded(ops) + table +
           weft_trace_padded(writer->keys_used);
}

int weft_trace_finish(weft_trace_writer *writer) {
    flush(writer);
    memcpy(writer->header.magic, WEFT_TRACE_MAGIC, sizeof writer->header.magic);
    int error = writer->error;
    if (error == 0) {
        error = weft_file_pwrite(writer->fd, &writer->header, sizeof writer->header, 0);
    }
    int closed = weft_file_close(writer->fd);
    free_writer(writer);
    return error != 0 ? error : closed;
}

void weft_trace_abandon(weft_trace_writer *writer) {
    (void)weft_file_close(writer->fd);
    free_writer(writer);
}
