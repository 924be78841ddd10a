/* SPDX-License-Identifier: MIT */
#include "trace.h"
#include "base/crc32c.h"
#include "base/exit.h"
#include "base/file.h"
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

const char *const weft_trace_op_names[WEFT_TRACE_OPS] = {
    [WEFT_TRACE_GET] = "get",       [WEFT_TRACE_PUT] = "put", [WEFT_TRACE_INSERT] = "insert",
    [WEFT_TRACE_REMOVE] = "remove", [WEFT_TRACE_ADD] = "add", [WEFT_TRACE_RMW] = "rmw",
};

/* What has been seen of a file while it is checked. */
typedef struct check {
    weft_trace *trace;
    uint64_t at; /* byte offset of the chunk */
    uint64_t prefill;
    uint64_t ops;
    uint64_t chunks;
    bool short_chunk; /* the last chunk of the present kind was not full */
    uint32_t kind;
} check;

__attribute__((format(printf, 3, 4))) static bool refuse(const weft_trace *trace, uint64_t at,
                                                         const char *format, ...) {
    va_list list;
    va_start(list, format);
    fprintf(stderr, "weft bench: %s: byte %" PRIu64 ": ", trace->path, at);
    vfprintf(stderr, format, list);
    fprintf(stderr, "\n");
    va_end(list);
    return false;
}

static bool header_is_good(const weft_trace *trace) {
    const weft_trace_header *header = trace->header;
    if (trace->size < sizeof *header) {
        return refuse(trace, 0, "the file has %" PRIu64 " bytes; a trace begins with a head of 128",
                      trace->size);
    }
    if (memcmp(header->magic, WEFT_TRACE_MAGIC, sizeof header->magic) != 0) {
        return refuse(trace, 0,
                      "this is no finished trace: it does not begin with " //
                      WEFT_TRACE_MAGIC);
    }
    if (header->shape > WEFT_TRACE_BYTES) {
        return refuse(trace, 8, "shape %" PRIu32 "; allowed: 0 (u64), 1 (bytes)", header->shape);
    }
    uint32_t most = header->shape == WEFT_TRACE_U64 ? WEFT_TRACE_VALUE_MIN : WEFT_TRACE_VALUE_MAX;
    if (header->value_bytes < WEFT_TRACE_VALUE_MIN || header->value_bytes > most) {
        return refuse(trace, 12, "values of %" PRIu32 " bytes; allowed: 8 to %" PRIu32,
                      header->value_bytes, most);
    }
    if (header->bytes != trace->size) {
        return refuse(trace, 56,
                      "the file has %" PRIu64 " bytes, and should have %" PRIu64
                      ": it is cut off, or something was appended",
                      trace->size, header->bytes);
    }
    if (header->ops == 0 && header->prefill == 0) {
        return refuse(trace, 24, "there are no operations; allowed: 1 or more");
    }
    if (memchr(header->name, 0, sizeof header->name) == NULL) {
        return refuse(trace, 64, "the name does not end; allowed: 63 bytes and a zero");
    }
    return true;
}

static bool chunk_head_is_good(check *c, const weft_trace_chunk *chunk) {
    const weft_trace *trace = c->trace;
    if (chunk->ops < 1 || chunk->ops > WEFT_TRACE_CHUNK_OPS) {
        return refuse(trace, c->at, "%" PRIu32 " operations in a chunk; allowed: 1 to %d",
                      chunk->ops, WEFT_TRACE_CHUNK_OPS);
    }
    if (chunk->bytes % 8 != 0 || chunk->bytes > trace->size - c->at ||
        chunk->bytes < sizeof *chunk) {
        return refuse(trace, c->at + 4,
                      "a chunk of %" PRIu32
                      " bytes; allowed: a multiple of 8 up to the file's end, "
                      "%" PRIu64 " bytes on",
                      chunk->bytes, trace->size - c->at);
    }
    if (chunk->kind > WEFT_TRACE_RUN || chunk->kind < c->kind) {
        return refuse(trace, c->at + 8,
                      "chunk of kind %" PRIu32 "; allowed: 0 (prefill), then 1 (operations)",
                      chunk->kind);
    }
    if (chunk->kind != c->kind) {
        c->kind = chunk->kind;
        c->short_chunk = false;
    }
    if (c->short_chunk) {
        return refuse(trace, c->at,
                      "the chunk before is not full; allowed: only the last of a kind");
    }
    c->short_chunk = chunk->ops < WEFT_TRACE_CHUNK_OPS;
    uint32_t crc = weft_crc32c(0, chunk + 1, chunk->bytes - sizeof *chunk);
    if (crc != chunk->crc) {
        return refuse(trace, c->at + 12,
                      "checksum %08" PRIx32 ", and the chunk's bytes have %08" PRIx32
                      ": the file is damaged",
                      chunk->crc, crc);
    }
    return true;
}

static bool codes_are_good(check *c, const weft_trace_chunk *chunk) {
    const unsigned char *codes = (const unsigned char *)(chunk + 1);
    uint32_t shape = c->trace->header->shape;
    for (uint32_t i = 0; i < chunk->ops; i++) {
        bool known = codes[i] < WEFT_TRACE_OPS &&
                     (codes[i] != WEFT_TRACE_ADD || shape == WEFT_TRACE_U64) &&
                     (codes[i] == WEFT_TRACE_INSERT || chunk->kind == WEFT_TRACE_RUN);
        if (!known) {
            return refuse(c->trace, c->at + sizeof *chunk + i,
                          "operation code %d; allowed: 2 in the prefill, else 0 to 5, add (4) only "
                          "for numbers",
                          codes[i]);
        }
        if (chunk->kind == WEFT_TRACE_RUN) {
            c->trace->codes[codes[i]]++;
        }
    }
    return true;
}

static bool keys_are_good(check *c, const weft_trace_chunk *chunk) {
    size_t codes = weft_trace_padded(chunk->ops);
    size_t left = chunk->bytes - sizeof *chunk;
    size_t table = c->trace->header->shape == WEFT_TRACE_U64
                       ? chunk->ops * sizeof(uint64_t)
                       : weft_trace_padded((chunk->ops + 1) * sizeof(uint32_t));
    if (left < codes + table ||
        (c->trace->header->shape == WEFT_TRACE_U64 && left != codes + table)) {
        return refuse(c->trace, c->at + 4,
                      "a chunk of %" PRIu32 " bytes does not fit its %" PRIu32 " operations",
                      chunk->bytes, chunk->ops);
    }
    if (c->trace->header->shape == WEFT_TRACE_U64) {
        c->trace->key_bytes += table;
        return true;
    }
    const uint32_t *offsets = (const uint32_t *)((const char *)(chunk + 1) + codes);
    for (uint32_t i = 0; i < chunk->ops; i++) {
        if (offsets[i + 1] <= offsets[i] || offsets[i + 1] - offsets[i] > WEFT_TRACE_KEY_MAX) {
            return refuse(c->trace, c->at + sizeof *chunk + codes + i * sizeof *offsets,
                          "key %" PRIu32 " of the chunk; allowed: 1 to %d bytes", i,
                          WEFT_TRACE_KEY_MAX);
        }
    }
    uint32_t last = offsets[chunk->ops];
    if (offsets[0] != 0 || left != codes + table + weft_trace_padded(last)) {
        return refuse(c->trace, c->at + sizeof *chunk + codes,
                      "keys of %" PRIu32 " bytes do not fit a chunk of %" PRIu32, last,
                      chunk->bytes);
    }
    c->trace->key_bytes += last;
    return true;
}

static bool chunk_is_good(check *c) {
    const weft_trace_chunk *chunk = (const weft_trace_chunk *)(c->trace->data + c->at);
    if (c->trace->size - c->at < sizeof *chunk) {
        return refuse(c->trace, c->at, "%" PRIu64 " bytes are left; a chunk has a head of 16",
                      c->trace->size - c->at);
    }
    if (!chunk_head_is_good(c, chunk)) {
        return false;
    }
    /* The codes lie within the chunk if even the shortest keys do. */
    if (!keys_are_good(c, chunk) || !codes_are_good(c, chunk)) {
        return false;
    }
    *(chunk->kind == WEFT_TRACE_PREFILL ? &c->prefill : &c->ops) += chunk->ops;
    c->chunks++;
    c->at += chunk->bytes;
    return true;
}

static bool count_is_good(const check *c, uint64_t at, uint64_t said, uint64_t found) {
    return said == found ||
           refuse(c->trace, at, "the head says %" PRIu64 ", the chunks have %" PRIu64, said, found);
}

static bool all_is_good(weft_trace *trace) {
    check c = {.trace = trace, .at = sizeof *trace->header};
    if (!header_is_good(trace)) {
        return false;
    }
    while (c.at < trace->size) {
        if (!chunk_is_good(&c)) {
            return false;
        }
    }
    return count_is_good(&c, 16, trace->header->prefill, c.prefill) &&
           count_is_good(&c, 24, trace->header->ops, c.ops) &&
           count_is_good(&c, 32, trace->header->chunks, c.chunks);
}

static int map_file(weft_trace *trace) {
    int fd = weft_file_open(trace->path, O_RDONLY, 0);
    if (fd < 0) {
        return fd;
    }
    int error = weft_file_size(fd, &trace->size);
    void *data = MAP_FAILED;
    if (error == 0 && trace->size != 0) {
        data = mmap(NULL, trace->size, PROT_READ, MAP_SHARED, fd, 0);
    }
    (void)weft_file_close(fd);
    trace->data = data == MAP_FAILED ? NULL : data;
    trace->header = data == MAP_FAILED ? NULL : data;
    return error;
}

int weft_trace_open(weft_trace *trace, const char *path) {
    *trace = (weft_trace){.path = path};
    int error = map_file(trace);
    if (error != 0) {
        fprintf(stderr, "weft bench: %s: %s\n", path, strerror(-error));
        return WEFT_EXIT_ENVIRONMENT;
    }
    if (trace->data == NULL) {
        refuse(trace, 0, "the file is empty; a trace begins with a head of 128 bytes");
        return WEFT_EXIT_USAGE;
    }
    if (!all_is_good(trace)) {
        weft_trace_close(trace);
        return WEFT_EXIT_USAGE;
    }
    return 0;
}

void weft_trace_close(weft_trace *trace) {
    if (trace->data != NULL) {
        munmap((void *)trace->data, trace->size);
    }
    *trace = (weft_trace){0};
}

static void each_of_chunk(const weft_trace *trace, const weft_trace_chunk *chunk,
                          void (*fn)(void *ctx, const weft_trace_item *item), void *ctx) {
    const unsigned char *codes = (const unsigned char *)(chunk + 1);
    const unsigned char *rest = codes + weft_trace_padded(chunk->ops);
    bool numbers = trace->header->shape == WEFT_TRACE_U64;
    const uint32_t *offsets = (const uint32_t *)rest;
    const unsigned char *keys =
        numbers ? rest : rest + weft_trace_padded((chunk->ops + 1) * sizeof *offsets);
    for (uint32_t i = 0; i < chunk->ops; i++) {
        weft_trace_item item = {(weft_trace_kind)chunk->kind, (weft_trace_op)codes[i],
                                numbers ? keys + i * sizeof(uint64_t) : keys + offsets[i],
                                numbers ? sizeof(uint64_t) : offsets[i + 1] - offsets[i]};
        fn(ctx, &item);
    }
}

void weft_trace_each(const weft_trace *trace, void (*fn)(void *ctx, const weft_trace_item *item),
                     void *ctx) {
    for (uint64_t at = sizeof *trace->header; at < trace->size;) {
        const weft_trace_chunk *chunk = (const weft_trace_chunk *)(trace->data + at);
        each_of_chunk(trace, chunk, fn, ctx);
        at += chunk->bytes;
    }
}

uint64_t weft_trace_key_number(const weft_trace *trace, const weft_trace_item *item) {
    uint64_t number = UINT64_C(0xcbf29ce484222325);
    if (trace->header->shape == WEFT_TRACE_U64) {
        memcpy(&number, item->key, sizeof number);
        return number;
    }
    for (uint32_t i = 0; i < item->size; i++) {
        number = (number ^ item->key[i]) * UINT64_C(0x100000001b3);
    }
    return number;
}

void weft_trace_print(const weft_trace *trace, FILE *out) {
    const weft_trace_header *header = trace->header;
    uint64_t all = header->ops + header->prefill;
    fprintf(out, "trace       %s\n", header->name[0] != '\0' ? header->name : "(no name)");
    fprintf(out, "shape       %s\n", header->shape == WEFT_TRACE_U64 ? "u64" : "bytes");
    fprintf(out, "keys        %.1f bytes on average", (double)trace->key_bytes / (double)all);
    if (header->distinct != 0) {
        fprintf(out, ", %" PRIu64 " distinct", header->distinct);
    }
    fprintf(out, "\nvalues      %" PRIu32 " bytes\n", header->value_bytes);
    fprintf(out, "prefill     %" PRIu64 " entries\n", header->prefill);
    fprintf(out, "operations  %" PRIu64 " in %" PRIu64 " chunks\n", header->ops, header->chunks);
    for (int i = 0; i < WEFT_TRACE_OPS; i++) {
        if (trace->codes[i] != 0) {
            fprintf(out, "  %-9s %" PRIu64 " (%.1f %%)\n", weft_trace_op_names[i], trace->codes[i],
                    100.0 * (double)trace->codes[i] / (double)header->ops);
        }
    }
    if (header->seed != 0) {
        fprintf(out, "seed        %" PRIu64 "\n", header->seed);
    } else {
        fprintf(out, "seed        none: recorded or converted\n");
    }
    fprintf(out, "file        %" PRIu64 " bytes, every chunk's checksum is right\n", header->bytes);
}
