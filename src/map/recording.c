/* SPDX-License-Identifier: MIT */
/* Recording: operations go through a ring to a thread that writes them to a trace file. The
 * protocol, and what the order of a trace means: docs/design/record.md. */
#include "map/recording.h"

#include "base/assert.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/thread.h"
#include "map/ring.h"
#include <errno.h>
#include <stdio.h>

#define BUFFER_DEFAULT (UINT64_C(16) << 20)
#define BUFFER_MIN (UINT64_C(256) << 10)
#define BUFFER_MAX (UINT64_C(1) << 30)
#define NAP_MIN_NS UINT64_C(1000000) /* the writer sleeps so long, if nobody wakes it */
#define NAP_FIRST_NS UINT64_C(10000000)
#define NAP_MAX_NS UINT64_C(80000000)
#define WAIT_NS UINT64_C(5000000) /* the same for an operation that waits for room */

enum {
    BATCH_ITEMS = 1024, /* taken from the ring before their room is released */
    /* Of a hash: above the index of any table that fits into memory, and those that know least of a
     * number; and below the tags. */
    FIRST_THAT_TELLS = 36,
    BITS_THAT_TELL = 12,
    BITS_THAT_TELL_MOST = 9 /* so that seeds make a difference */
};

struct weft_recording {
    weft_recording_filter filter; /* first: what the map points to */
    bool exact;
    bool numbers;    /* the map's shape */
    uint32_t forks;  /* of the process, when the recording began */
    uint32_t state;  /* weft_recording_state, but for FORKED */
    uint32_t failed; /* 1: a thread is about to set FAILED, or has */
    weft_ring ring;
    uint64_t dropped WEFT_LINE_ALIGNED;
    uint64_t waits;
    weft_map_impl *map; /* NULL: it was closed */
    weft_trace_writer *writer;
    weft_thread thread;
    weft_mutex lock; /* for sleeping only: what is waited for is in atomic words */
    weft_cond work;
    weft_cond room;
    uint32_t sleepers; /* operations that wait for room */
    uint32_t ending;
    uint64_t prefill;
    uint64_t recorded; /* this and what follows: written by the writer's thread */
    uint64_t bytes;
    uint64_t values; /* sizes of stored values are known: how many, and their sum */
    uint64_t value_bytes;
    int error; /* a status, once the state is FAILED */
    char error_text[WEFT_RECORDING_TEXT_MAX];
};

/* Forks that this process and its ancestors came out of as the child. */
static uint32_t forks;

static void after_fork_in_child(void) {
    weft_store_relaxed(&forks, forks + 1);
}

__attribute__((constructor)) static void install_hook(void) {
    weft_thread_at_fork_child(after_fork_in_child);
}

static inline weft_recording_state state_of(const weft_recording *r) {
    if (r->forks != weft_load_relaxed(&forks)) {
        return WEFT_RECORDING_FORKED;
    }
    /* Acquire: the error. Pairs with fail. */
    return (weft_recording_state)weft_load_acquire(&r->state);
}

/* ---- failure --------------------------------------------------------------------------------- */

static int status_of(int error) {
    switch (error) {
    case -ENOSPC:
    case -EDQUOT:
    case -EFBIG:
        return WEFT_E_FULL;
    case -ENOMEM:
        return WEFT_E_NOMEM;
    case -EEXIST:
        return WEFT_E_INVALID;
    default:
        return WEFT_E_IO;
    }
}

static void wake_all(weft_recording *r) {
    weft_mutex_lock(&r->lock);
    weft_cond_broadcast(&r->room);
    weft_cond_broadcast(&r->work);
    weft_mutex_unlock(&r->lock);
}

/* The first failure counts. */
static void fail(weft_recording *r, int status, const char *text) {
    if (weft_exchange_acq_rel(&r->failed, 1) == 0) { /* pairs with itself: one thread goes on */
        r->error = status;
        (void)snprintf(r->error_text, sizeof r->error_text, "%s", text);
        weft_store_release(&r->state, WEFT_RECORDING_FAILED); /* pairs with state_of */
        wake_all(r);
    }
}

static void fail_writing(weft_recording *r, int error) {
    char text[WEFT_RECORDING_TEXT_MAX];
    (void)snprintf(text, sizeof text, "the trace file cannot be written: %s", strerror(-error));
    fail(r, status_of(error), text);
}

/* ---- operations ------------------------------------------------------------------------------ */

static weft_recording *recording_of(weft_recording_filter *filter) {
    return WEFT_CONTAINER(filter, weft_recording, filter);
}

static void refuse(weft_recording *r, const char *what) {
    if (r->exact) {
        fail(r, WEFT_E_UNSUPPORTED, what);
    } else {
        weft_fetch_add_relaxed(&r->dropped, 1);
    }
}

/* Let the writer make room, or time pass. */
static void wait_for_room(weft_recording *r) {
    weft_mutex_lock(&r->lock);
    weft_fetch_add_relaxed(&r->sleepers, 1);
    weft_cond_signal(&r->work);
    weft_cond_wait(&r->room, &r->lock, WAIT_NS);
    weft_fetch_add_relaxed(&r->sleepers, (uint32_t)-1);
    weft_mutex_unlock(&r->lock);
}

/* There was no room. */
static WEFT_COLD void put_anyhow(weft_recording *r, const weft_ring_item *item) {
    bool waited = false;
    if (!r->exact) {
        weft_fetch_add_relaxed(&r->dropped, 1);
        return;
    }
    while (!weft_ring_put(&r->ring, item)) {
        if (state_of(r) != WEFT_RECORDING_RUNNING) {
            return;
        }
        if (!waited) {
            weft_fetch_add_relaxed(&r->waits, 1);
            waited = true;
        }
        wait_for_room(r);
    }
}

static WEFT_NOINLINE void refuse_key(weft_recording *r) {
    refuse(r, "a key of no byte or of more than 65535 bytes, which a trace cannot hold");
}

void weft_recording_note(weft_recording_filter *filter, weft_trace_op op, const weft_key *key,
                         uint32_t value_size) {
    weft_recording *r = recording_of(filter);
    weft_ring_item item;
    if (WEFT_UNLIKELY(state_of(r) != WEFT_RECORDING_RUNNING)) {
        return;
    }
    item.code = (uint8_t)op;
    item.value_size = value_size;
    if (r->numbers) {
        item.key = &key->number;
        item.key_size = sizeof key->number;
    } else if (WEFT_UNLIKELY(key->bytes.size - 1 >= WEFT_RING_KEY_MAX)) {
        refuse_key(r);
        return;
    } else {
        item.key = key->bytes.data;
        item.key_size = (uint32_t)key->bytes.size;
    }
    if (WEFT_UNLIKELY(!weft_ring_put(&r->ring, &item))) {
        put_anyhow(r, &item);
    }
}

/* What a write amounts to, so that a replay leaves the same keys. */
static weft_trace_op effect_of(const weft_recorded_write *write) {
    if (write->status == WEFT_OK) {
        return write->verdict == WEFT_SET ? write->op : WEFT_TRACE_REMOVE;
    }
    bool same =
        write->op == WEFT_TRACE_INSERT || (write->op == WEFT_TRACE_REMOVE && !write->existed);
    return same ? write->op : WEFT_TRACE_GET;
}

void weft_recording_note_write(weft_recording_filter *filter, const weft_key *key,
                               const weft_recorded_write *write) {
    if (write->status >= 0) { /* after an error the map is what it was */
        weft_recording_note(filter, effect_of(write), key, write->value_size);
    }
}

void weft_recording_refuse(weft_map_impl *map, const char *what) {
    weft_recording_filter *filter = weft_load_acquire(&map->recording); /* pairs with attach */
    if (filter != NULL && state_of(recording_of(filter)) == WEFT_RECORDING_RUNNING) {
        refuse(recording_of(filter), what);
    }
}

/* ---- the writer's thread --------------------------------------------------------------------- */

static void count_value(weft_recording *r, uint32_t size) {
    if (size != 0) {
        r->values++;
        r->value_bytes += size;
    }
}

/* Items of any kind, at most a batch: adds to the count; 0 or a negated errno. */
static int write_items(weft_recording *r, int *count) {
    weft_ring_item item;
    int error = 0;
    while (error == 0 && *count < BATCH_ITEMS && weft_ring_take(&r->ring, &item)) {
        error = weft_trace_append(r->writer, (weft_trace_op)item.code, item.key, item.key_size);
        count_value(r, item.value_size);
        ++*count;
    }
    return error;
}

/* The same for a map of numbers, whose values have one size. */
static int write_numbers(weft_recording *r, int *count) {
    uint8_t codes[BATCH_ITEMS];
    uint64_t keys[BATCH_ITEMS];
    size_t taken = weft_ring_take_numbers(&r->ring, codes, keys, BATCH_ITEMS);
    *count = (int)taken;
    return weft_trace_append_numbers(r->writer, codes, keys, taken);
}

/* Write what is there, at most a batch; the number of items, or a negated errno. */
static int write_batch(weft_recording *r) {
    int count = 0;
    int error = r->numbers ? write_numbers(r, &count) : write_items(r, &count);
    weft_store_relaxed(&r->recorded, r->recorded + (uint64_t)count);
    weft_store_relaxed(&r->bytes, weft_trace_bytes(r->writer));
    weft_ring_release(&r->ring);
    if (weft_load_relaxed(&r->sleepers) != 0) {
        wake_all(r);
    }
    return error != 0 ? error : count;
}

/* Each awakening takes a processor from the operations: as few as keep most of the buffer free. The
 * length of the next sleep. */
static uint64_t await_work(weft_recording *r, uint64_t nap_ns) {
    weft_mutex_lock(&r->lock);
    if (weft_load_relaxed(&r->ending) == 0) {
        weft_cond_wait(&r->work, &r->lock, nap_ns);
    }
    weft_mutex_unlock(&r->lock);
    uint64_t used = weft_ring_used(&r->ring);
    if (used < r->ring.capacity / 16) {
        return nap_ns < NAP_MAX_NS ? nap_ns * 2 : nap_ns;
    }
    return used > r->ring.capacity / 8 && nap_ns > NAP_MIN_NS ? nap_ns / 2 : nap_ns;
}

/* Ends when all is written that was put in before `ending` was set, or with a failure. */
static void *write_operations(void *ctx) {
    weft_recording *r = ctx;
    uint64_t nap_ns = NAP_FIRST_NS;
    while (state_of(r) == WEFT_RECORDING_RUNNING) {
        bool last = weft_load_acquire(&r->ending) != 0; /* pairs with end_writing */
        int count = write_batch(r);
        if (count < 0) {
            fail_writing(r, count);
        } else if (count == 0 && last) {
            break;
        } else if (count == 0) {
            nap_ns = await_work(r, nap_ns);
        }
    }
    return NULL;
}

/* No operation uses the recording any more. Completes the file, or leaves it unfinished. */
static void end_writing(weft_recording *r) {
    weft_mutex_lock(&r->lock);
    weft_store_release(&r->ending, 1); /* pairs with write_operations */
    weft_cond_signal(&r->work);
    weft_mutex_unlock(&r->lock);
    weft_thread_join(&r->thread);
    if (state_of(r) == WEFT_RECORDING_FAILED) {
        weft_trace_abandon(r->writer);
    } else {
        if (r->values != 0) {
            weft_trace_set_value_bytes(r->writer, (r->value_bytes + r->values / 2) / r->values);
        }
        weft_store_relaxed(&r->bytes, weft_trace_bytes(r->writer));
        int error = weft_trace_finish(r->writer);
        if (error != 0) {
            fail_writing(r, error);
        }
    }
    r->writer = NULL;
}

/* ---- the entries at the beginning ------------------------------------------------------------ */

typedef struct taking {
    weft_recording *recording;
    weft_walk walk;
    int status;
} taking;

static bool take_entry(void *ctx, uint64_t number, uint64_t cell) {
    taking *t = ctx;
    weft_recording *r = t->recording;
    weft_core *core = t->walk.core;
    weft_bytes bytes = {&number, sizeof number};
    uint64_t hash = 0;
    uint32_t value_size = 0;
    if (core->shape == WEFT_SHAPE_U64) {
        hash = weft_key_of_u64(core, number).hash;
    } else {
        const weft_entry *entry = (const weft_entry *)(uintptr_t)cell;
        bytes = weft_entry_key_bytes(entry);
        hash = weft_core_hash_bytes(core, bytes);
        value_size = entry->value_size;
    }
    if (!weft_recording_chooses(&r->filter, hash)) {
        return true;
    }
    count_value(r, value_size);
    if (bytes.size == 0 || bytes.size > WEFT_RING_KEY_MAX) {
        refuse(r, "an entry whose key has no byte or more than 65535, which a trace cannot hold");
    } else {
        int error = weft_trace_prefill(r->writer, bytes.data, bytes.size);
        if (error != 0) {
            fail_writing(r, error);
        }
        r->prefill++;
    }
    return state_of(r) == WEFT_RECORDING_RUNNING;
}

static int take_entries(weft_recording *r) {
    weft_part all = {0, 1, NULL, NULL};
    taking t = {.recording = r, .walk = {.visit = take_entry, .ctx = &t}};
    weft_walk_part(r->map, &all, &t.walk);
    return state_of(r) == WEFT_RECORDING_RUNNING ? WEFT_OK : r->error;
}

/* ---- start ----------------------------------------------------------------------------------- */

/* So many of the bits that may tell, drawn by the seed. */
static uint64_t draw_bits(unsigned count, uint64_t seed) {
    uint64_t bits = 0;
    unsigned left = BITS_THAT_TELL;
    for (unsigned i = 0; i < BITS_THAT_TELL; i++, left--) {
        uint64_t drawn = weft_mix_u64(i + 1, seed) % left < count;
        bits |= drawn << (FIRST_THAT_TELLS + i);
        count -= (unsigned)drawn;
    }
    return bits;
}

/* Each bit halves what is recorded; what is missing to 1 key in `sample` the product does. */
weft_recording_filter weft_recording_filter_of(uint64_t sample, uint64_t seed) {
    unsigned bits = 0;
    while (bits < BITS_THAT_TELL_MOST && sample >> bits >= 2) {
        bits++;
    }
    uint64_t share = UINT64_MAX / (sample == 0 ? 1 : sample) + 1; /* of 2^64; 2^64 itself is 0 */
    return (weft_recording_filter){
        .multiplier = weft_mix_u64(seed, 0) | 1,
        .limit = (share << bits) - 1,
        .unrecorded = draw_bits(bits, seed),
    };
}

static int say(weft_recording_options *o, int status, const char *text) {
    (void)snprintf(o->error_text, sizeof o->error_text, "%s", text);
    return status;
}

static int say_file(weft_recording_options *o, int error) {
    const char *why = error == -EEXIST ? "is there already; name a new file" : strerror(-error);
    (void)snprintf(o->error_text, sizeof o->error_text, "%.150s: %s", o->file, why);
    return status_of(error);
}

static int check_options(weft_recording_options *o) {
    if (o == NULL || o->size != sizeof *o) {
        return WEFT_E_INVALID; /* where its error_text is, is not known */
    }
    o->error_text[0] = '\0';
    if (o->file == NULL || o->file[0] == '\0') {
        return say(o, WEFT_E_INVALID, "no file is named");
    }
    if (o->name != NULL && strlen(o->name) >= sizeof((weft_trace_header *)NULL)->name) {
        return say(o, WEFT_E_INVALID, "the name has more than 63 bytes");
    }
    if (o->buffer_bytes != 0 && (o->buffer_bytes < BUFFER_MIN || o->buffer_bytes > BUFFER_MAX)) {
        return say(o, WEFT_E_INVALID, "buffer_bytes is not 0, and not from 256 KiB to 1 GiB");
    }
    if (weft_epoch_inside()) {
        return say(o, WEFT_E_BUSY, "this thread is inside a guard");
    }
    return WEFT_OK;
}

static void free_recording(weft_recording *r) {
    /* In a child of fork the locks may look held, and waited for, by threads that it has not. */
    if (state_of(r) != WEFT_RECORDING_FORKED) {
        weft_cond_destroy(&r->room);
        weft_cond_destroy(&r->work);
        weft_mutex_destroy(&r->lock);
    }
    weft_ring_close(&r->ring);
    weft_memory_free(NULL, r, sizeof *r, WEFT_CACHE_LINE);
}

static bool make_locks(weft_recording *r) {
    if (!weft_mutex_init(&r->lock)) {
        return false;
    }
    if (!weft_cond_init(&r->work)) {
        weft_mutex_destroy(&r->lock);
        return false;
    }
    if (!weft_cond_init(&r->room)) {
        weft_cond_destroy(&r->work);
        weft_mutex_destroy(&r->lock);
        return false;
    }
    return true;
}

static weft_recording *make_recording(weft_map_impl *map, const weft_recording_options *o) {
    weft_recording *r = weft_memory_alloc(NULL, sizeof *r, WEFT_CACHE_LINE);
    if (r == NULL) {
        return NULL;
    }
    memset(r, 0, sizeof *r);
    uint64_t wanted = o->buffer_bytes == 0 ? BUFFER_DEFAULT : o->buffer_bytes;
    r->filter = weft_recording_filter_of(o->sample, o->seed);
    r->exact = o->sample <= 1;
    r->numbers = map->shape == WEFT_SHAPE_U64;
    r->forks = weft_load_relaxed(&forks);
    r->map = map;
    if (!weft_ring_open(&r->ring, UINT64_C(1) << weft_bits_for(wanted))) {
        weft_memory_free(NULL, r, sizeof *r, WEFT_CACHE_LINE);
        return NULL;
    }
    if (!make_locks(r)) {
        weft_ring_close(&r->ring);
        weft_memory_free(NULL, r, sizeof *r, WEFT_CACHE_LINE);
        return NULL;
    }
    return r;
}

static void name_trace(weft_trace_header *header, const weft_recording_options *o) {
    if (o->name != NULL) {
        (void)snprintf(header->name, sizeof header->name, "%s", o->name);
    } else if (o->sample <= 1) {
        (void)snprintf(header->name, sizeof header->name, "recorded");
    } else {
        (void)snprintf(header->name, sizeof header->name, "recorded, 1 key in %llu",
                       (unsigned long long)o->sample);
    }
}

/* A file that is there already is somebody's; it is never written over. */
static int create_file(weft_recording *r, weft_recording_options *o) {
    int fd = weft_file_open(o->file, O_CREAT | O_EXCL | O_WRONLY, 0644);
    if (fd < 0) {
        return say_file(o, fd);
    }
    (void)weft_file_close(fd);
    weft_trace_header header = {.value_bytes = WEFT_TRACE_VALUE_MIN};
    header.shape = r->map->shape == WEFT_SHAPE_U64 ? WEFT_TRACE_U64 : WEFT_TRACE_BYTES;
    name_trace(&header, o);
    int error = weft_trace_create(&r->writer, o->file, &header);
    if (error != 0) {
        (void)weft_file_unlink(o->file);
        return say_file(o, error);
    }
    return WEFT_OK;
}

/* From here on operations find the recording. */
static bool attach(weft_recording *r) {
    weft_recording_filter *none = NULL;
    /* Release: the fields. Pairs with weft_recording_for. */
    bool attached = weft_cas_seq_cst(&r->map->recording, &none, &r->filter);
    if (attached) {
        /* Before the walk: a write that does not see it is seen by the walk. */
        weft_store_seq_cst(&r->map->unrecorded, r->filter.unrecorded);
    }
    return attached;
}

/* From its return on no operation uses the recording. This thread is not inside a guard. */
static void detach(weft_recording *r) {
    weft_store_seq_cst(&r->map->unrecorded, UINT64_MAX); /* first: what is next may be attached */
    weft_store_seq_cst(&r->map->recording, NULL);
    bool waited = weft_epoch_synchronize();
    WEFT_ASSERT(waited);
    (void)waited;
}

/* The recording is attached; undo all if it cannot begin. */
static int begin(weft_recording *r, weft_recording_options *o) {
    int status = o->prefill ? take_entries(r) : WEFT_OK;
    if (status != WEFT_OK) {
        (void)say(o, status, r->error_text);
    } else if (!weft_thread_start(&r->thread, write_operations, r)) {
        status = say(o, WEFT_E_NOMEM, "no thread can be started");
        fail(r, status, o->error_text); /* operations that wait for room wait no longer */
    }
    if (status != WEFT_OK) {
        detach(r);
        weft_trace_abandon(r->writer);
        (void)weft_file_unlink(o->file);
    }
    return status;
}

static int start(weft_map_impl *map, weft_recording **recording, weft_recording_options *o) {
    weft_recording *r = map == NULL ? NULL : make_recording(map, o);
    if (r == NULL) {
        return say(o, WEFT_E_NOMEM, "out of memory");
    }
    int status = create_file(r, o);
    if (status == WEFT_OK && !attach(r)) {
        weft_trace_abandon(r->writer);
        (void)weft_file_unlink(o->file);
        status = say(o, WEFT_E_BUSY, "this map is being recorded already");
    } else if (status == WEFT_OK) {
        status = begin(r, o);
    }
    if (status != WEFT_OK) {
        free_recording(r);
        return status;
    }
    *recording = r;
    return WEFT_OK;
}

int weft_recording_start(weft_map *map, weft_recording **recording,
                         weft_recording_options *options) {
    int status = check_options(options);
    return status != WEFT_OK ? status
                             : start(weft_map_of(&map->impl, WEFT_SHAPE_BYTES), recording, options);
}

int weft_recording_start_u64(weft_u64map *map, weft_recording **recording,
                             weft_recording_options *options) {
    int status = check_options(options);
    return status != WEFT_OK ? status
                             : start(weft_map_of(&map->impl, WEFT_SHAPE_U64), recording, options);
}

/* ---- stop ------------------------------------------------------------------------------------ */

void weft_recording_end(weft_map_impl *map) {
    weft_recording_filter *filter = map->recording;
    if (filter == NULL) {
        return;
    }
    weft_recording *r = recording_of(filter);
    map->recording = NULL;
    map->unrecorded = UINT64_MAX;
    if (state_of(r) != WEFT_RECORDING_FORKED) {
        end_writing(r);
        uint32_t running = WEFT_RECORDING_RUNNING;
        (void)weft_cas_acq_rel(&r->state, &running, WEFT_RECORDING_ENDED); /* pairs with state_of */
    }
    r->map = NULL;
}

int weft_recording_stop(weft_recording *r, weft_recording_stats *stats) {
    if (weft_epoch_inside()) {
        return WEFT_E_BUSY;
    }
    bool forked = state_of(r) == WEFT_RECORDING_FORKED;
    if (r->map != NULL) {
        detach(r);
    }
    if (r->map != NULL && !forked) {
        end_writing(r);
    }
    if (forked && r->writer != NULL) {
        weft_trace_abandon(r->writer);
    }
    if (stats != NULL) {
        weft_recording_stats_get(r, stats);
    }
    int status = forked ? WEFT_E_CLOSED : state_of(r) == WEFT_RECORDING_FAILED ? r->error : WEFT_OK;
    free_recording(r);
    return status;
}

void weft_recording_stats_get(const weft_recording *r, weft_recording_stats *stats) {
    *stats = (weft_recording_stats){
        .state = state_of(r),
        .prefill = r->prefill,
        .recorded = weft_load_relaxed(&r->recorded),
        .dropped = weft_load_relaxed(&r->dropped),
        .waits = weft_load_relaxed(&r->waits),
        .waiting_bytes = weft_ring_used(&r->ring),
        .bytes = weft_load_relaxed(&r->bytes),
    };
    if (stats->state == WEFT_RECORDING_FAILED) {
        memcpy(stats->error_text, r->error_text, sizeof r->error_text);
    }
}
