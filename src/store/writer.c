/* SPDX-License-Identifier: MIT */
/* From append to disk: the group buffer, and the thread that writes it and synchronizes. */
#include "base/assert.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "store/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MILLISECOND UINT64_C(1000000)
#define WRITE_AGE (20 * MILLISECOND)
#define SYNC_AGE (900 * MILLISECOND)
#define RETRY_AGE (1000 * MILLISECOND)

enum { SPARE_CHUNKS = 16 };

/* What the writer does next. */
typedef enum action { ACT_WAIT, ACT_WRITE, ACT_SYNC, ACT_END } action;

static weft_log_state state_of(weft_log *log) {
    /* pairs with the release in set_state */
    return (weft_log_state)weft_load_acquire(&log->state);
}

/* So much is written at once, however young it is. */
static bool enough_to_write(const weft_log *log) {
    return log->buffered_bytes >= WEFT_STORE_CHUNK_SIZE ||
           log->buffered_bytes >= log->options.buffer_bytes / 2;
}

static void set_state(weft_log *log, weft_log_state state) {
    /* pairs with the acquire in state_of, and in weft_log_state_get */
    weft_store_release(&log->state, (uint64_t)state);
    weft_cond_broadcast(&log->room);
    weft_cond_broadcast(&log->synced);
}

void weft_store_wake_writer(weft_log *log) {
    if (log->asleep || log->lingering) {
        log->asleep = log->lingering = false;
        weft_cond_signal(&log->work);
    }
}

/* ---- append ---- */

static void chunk_free(weft_log *log, weft_store_chunk *chunk) {
    weft_memory_free(&log->allocator, chunk, sizeof *chunk + chunk->capacity, WEFT_CACHE_LINE);
}

static weft_store_chunk *chunk_get(weft_log *log, size_t need) {
    weft_store_chunk *chunk = log->spare;
    if (need <= WEFT_STORE_CHUNK_SIZE && chunk) {
        log->spare = chunk->next;
        log->spares--;
    } else {
        size_t capacity = need > WEFT_STORE_CHUNK_SIZE ? need : WEFT_STORE_CHUNK_SIZE;
        int saved = errno;
        chunk = weft_memory_alloc(&log->allocator, sizeof *chunk + capacity, WEFT_CACHE_LINE);
        errno = saved;
        if (!chunk) {
            return NULL;
        }
        chunk->capacity = capacity;
    }
    chunk->next = NULL;
    chunk->used = 0;
    chunk->done = 0;
    chunk->sealed = false;
    chunk->starts_segment = log->rotate;
    chunk->first_lsn = log->next_lsn;
    chunk->first_ns = weft_clock_monotonic_ns();
    log->rotate = false;
    return chunk;
}

static void chunk_release(weft_log *log, weft_store_chunk *chunk) {
    if (chunk->capacity == WEFT_STORE_CHUNK_SIZE && log->spares < SPARE_CHUNKS) {
        chunk->next = log->spare;
        log->spare = chunk;
        log->spares++;
    } else {
        chunk_free(log, chunk);
    }
}

/* The chunk in which the next `need` bytes go. */
static weft_store_chunk *chunk_for(weft_log *log, size_t need) {
    weft_store_chunk *last = log->newest;
    if (last && !last->sealed && last->capacity - last->used >= need) {
        return last;
    }
    weft_store_chunk *chunk = chunk_get(log, need);
    if (!chunk) {
        return NULL;
    }
    if (last) {
        weft_store_seal(last);
        last->next = chunk;
    } else {
        log->oldest = chunk;
    }
    log->newest = chunk;
    return chunk;
}

/* With the lock held: wait until `need` more bytes may wait in memory. */
static int wait_for_room(weft_log *log, size_t need) {
    for (bool counted = false;; counted = true) {
        weft_log_state state = state_of(log);
        if (state != WEFT_LOG_GOOD) {
            return state == WEFT_LOG_FULL     ? WEFT_E_FULL
                   : state == WEFT_LOG_FAILED ? WEFT_E_IO
                                              : WEFT_E_INVALID;
        }
        if (log->buffered_bytes == 0 || log->buffered_bytes + need <= log->options.buffer_bytes) {
            return WEFT_OK;
        }
        log->waits += !counted;
        if (log->options.no_wait) {
            return WEFT_E_BUSY;
        }
        weft_store_wake_writer(log);
        (void)weft_cond_wait(&log->room, &log->lock, WEFT_WAIT_FOREVER);
    }
}

typedef struct reservation {
    weft_store_chunk *chunk;
    unsigned char *at;
    size_t need;
    weft_store_frame_header header;
} reservation;

static int reserve(weft_log *log, reservation *place) {
    int status = wait_for_room(log, place->need);
    if (status != WEFT_OK) {
        return status;
    }
    weft_store_chunk *chunk = chunk_for(log, place->need);
    if (!chunk) {
        return WEFT_E_NOMEM;
    }
    place->chunk = chunk;
    place->at = chunk->data + chunk->used;
    place->header.lsn = log->next_lsn++;
    place->header.durable = weft_load_relaxed(&log->durable_lsn);
    chunk->used += place->need;
    chunk->last_lsn = place->header.lsn;
    log->buffered_bytes += place->need;
    log->log_bytes += place->need;
    if (log->asleep || (log->lingering && enough_to_write(log))) {
        weft_store_wake_writer(log);
    }
    return WEFT_OK;
}

int weft_log_append(weft_log *log, const weft_log_frame *frame, uint64_t *lsn) {
    reservation place = {.need =
                             WEFT_STORE_FRAME_HEADER_SIZE + (size_t)weft_store_padded(frame->size)};
    if (frame->size == 0) {
        weft_mutex_lock(&log->lock);
        if (lsn) {
            *lsn = log->next_lsn - 1;
        }
        weft_mutex_unlock(&log->lock);
        return WEFT_OK;
    }
    place.header.size = frame->size;
    place.header.payload_sum = weft_store_sum(&log->key, frame->data, frame->size);
    weft_mutex_lock(&log->lock);
    int status = reserve(log, &place);
    weft_mutex_unlock(&log->lock);
    if (status != WEFT_OK) {
        return status;
    }
    /* The place is this thread's: the writer waits for it, so the copy needs no lock. */
    weft_store_put_frame_header(&log->key, &place.header, place.at);
    unsigned char *payload = place.at + WEFT_STORE_FRAME_HEADER_SIZE;
    memset(place.at + place.need - 8, 0, 8);
    memcpy(payload, frame->data, frame->size);
    uint64_t number = place.header.lsn;
    /* pairs with the acquire in wait_for_copies */
    (void)weft_fetch_add_acq_rel(&place.chunk->done, place.need);
    if (lsn) {
        *lsn = number;
    }
    return WEFT_OK;
}

/* ---- the writer ---- */

static void wait_for_copies(weft_store_chunk *chunk) {
    /* pairs with the release part in weft_log_append */
    while (weft_load_acquire(&chunk->done) != chunk->used) {
        weft_yield();
    }
}

/* Errors that may go away by themselves. */
static bool may_pass(int error) {
    return error == -ENOSPC || error == -EDQUOT || error == -ENOMEM || error == -EMFILE ||
           error == -ENFILE;
}

static void note_trouble(weft_log *log, int error, bool final, const char *what) {
    weft_mutex_lock(&log->lock);
    final = final || !may_pass(error);
    (void)snprintf(log->error_text, sizeof log->error_text, "cannot %s in %s: %s%s", what,
                   log->directory, weft_store_error_text(error),
                   final ? "; nothing more is stored until it is opened anew"
                         : "; trying again each second");
    log->retry_ns = weft_clock_monotonic_ns() + RETRY_AGE;
    weft_log_state was = state_of(log);
    set_state(log, final ? WEFT_LOG_FAILED : WEFT_LOG_FULL);
    bool changed = was != state_of(log);
    weft_mutex_unlock(&log->lock);
    if (changed && log->options.notify) {
        log->options.notify(log->options.notify_ctx, weft_load_relaxed(&log->durable_lsn));
    }
}

/* All that was written is on the device now. */
static void note_durable(weft_log *log) {
    weft_mutex_lock(&log->lock);
    uint64_t written = weft_load_relaxed(&log->written_lsn);
    log->unsynced_ns = 0;
    log->syncs++;
    log->round_lsn = log->next_lsn - 1;
    /* pairs with the acquire in weft_log_durable_lsn */
    weft_store_release(&log->durable_lsn, written);
    weft_cond_broadcast(&log->synced);
    weft_mutex_unlock(&log->lock);
    if (log->options.notify) {
        log->options.notify(log->options.notify_ctx, written);
    }
}

static bool synchronize(weft_log *log) {
    int error = weft_file_sync(log->segment.fd);
    if (error) {
        /* The kernel may have dropped what it could not write: a second try would prove nothing. */
        note_trouble(log, error, true, "synchronize the log");
        return false;
    }
    note_durable(log);
    return true;
}

/* Have a segment with room for the chunk. */
static bool prepare_segment(weft_log *log, const weft_store_chunk *chunk) {
    weft_store_segment *segment = &log->segment;
    bool used = segment->offset > WEFT_STORE_FILE_HEADER_SIZE;
    if (segment->fd >= 0 && used &&
        (chunk->starts_segment || segment->offset + chunk->used > segment->size)) {
        int error = weft_store_segment_finish(log);
        if (error) {
            note_trouble(log, error, true, "synchronize the log");
            return false;
        }
        note_durable(log);
    }
    if (segment->fd >= 0) {
        return true;
    }
    int error = weft_store_segment_create(log, chunk->first_lsn, chunk->used);
    if (error) {
        note_trouble(log, error, false, "create a log file");
        return false;
    }
    weft_mutex_lock(&log->lock);
    log->segments++;
    weft_mutex_unlock(&log->lock);
    return true;
}

/* Write the oldest chunk. After an error it stays where it is. */
static void write_chunk(weft_log *log, weft_store_chunk *chunk) {
    wait_for_copies(chunk);
    if (!prepare_segment(log, chunk)) {
        return;
    }
    WEFT_ASSERT(chunk->used != 0 && chunk->sealed);
    int error = weft_file_pwrite(log->segment.fd, chunk->data, chunk->used, log->segment.offset);
    if (error) {
        note_trouble(log, error, false, "write to the log");
        return;
    }
    log->segment.offset += chunk->used;
    weft_mutex_lock(&log->lock);
    log->oldest = chunk->next;
    if (!log->oldest) {
        log->newest = NULL;
    }
    log->buffered_bytes -= chunk->used;
    log->writes++;
    if (log->unsynced_ns == 0) {
        log->unsynced_ns = chunk->first_ns;
    }
    /* pairs with the acquire in weft_log_written_lsn */
    weft_store_release(&log->written_lsn, chunk->last_lsn);
    bool recovered = state_of(log) == WEFT_LOG_FULL;
    if (recovered) {
        set_state(log, WEFT_LOG_GOOD);
    }
    chunk_release(log, chunk);
    weft_cond_broadcast(&log->room);
    weft_mutex_unlock(&log->lock);
    if (recovered && log->options.notify) {
        log->options.notify(log->options.notify_ctx, weft_load_relaxed(&log->durable_lsn));
    }
}

static bool sync_is_due(const weft_log *log, uint64_t now, uint64_t *wait) {
    uint64_t written = weft_load_relaxed(&log->written_lsn);
    uint64_t durable = weft_load_relaxed(&log->durable_lsn);
    if (written <= durable) {
        return false;
    }
    if (log->stopping && !log->oldest) {
        return true;
    }
    if (log->options.sync == WEFT_LOG_ALWAYS || log->wanted_lsn > durable) {
        /* What was appended while the last one ran goes with this one; what comes now, with the
         * next. */
        return !log->oldest || written >= log->round_lsn;
    }
    if (log->options.sync == WEFT_LOG_NO) {
        return false;
    }
    uint64_t due = log->unsynced_ns + SYNC_AGE;
    if (now < due && due - now < *wait) {
        *wait = due - now;
    }
    return now >= due;
}

static bool write_is_due(const weft_log *log, uint64_t now, uint64_t *wait) {
    if (!log->oldest) {
        return false;
    }
    if (log->options.sync == WEFT_LOG_ALWAYS || log->stopping ||
        log->wanted_lsn > weft_load_relaxed(&log->written_lsn) || enough_to_write(log)) {
        return true;
    }
    uint64_t due = log->oldest->first_ns + WRITE_AGE;
    if (now < due && due - now < *wait) {
        *wait = due - now;
    }
    return now >= due;
}

static action decide(weft_log *log, uint64_t *wait) {
    uint64_t now = weft_clock_monotonic_ns();
    weft_log_state state = state_of(log);
    *wait = WEFT_WAIT_FOREVER;
    if (state == WEFT_LOG_FAILED) {
        return log->stopping ? ACT_END : ACT_WAIT;
    }
    if (sync_is_due(log, now, wait)) {
        return ACT_SYNC;
    }
    if (state == WEFT_LOG_FULL && now < log->retry_ns && !log->stopping) {
        *wait = log->retry_ns - now < *wait ? log->retry_ns - now : *wait;
        return ACT_WAIT;
    }
    if (write_is_due(log, now, wait)) {
        return ACT_WRITE;
    }
    return log->stopping ? ACT_END : ACT_WAIT;
}

/* With the lock held, as at its return. */
static void rest(weft_log *log, uint64_t wait) {
    log->asleep = !log->oldest;
    log->lingering = !log->asleep;
    (void)weft_cond_wait(&log->work, &log->lock, wait);
    log->asleep = log->lingering = false;
}

/* One write; false: it was the last try, at the end, and there is no room. */
static bool write_oldest(weft_log *log) {
    weft_store_chunk *chunk = log->oldest;
    bool last_try = log->stopping;
    weft_store_seal(chunk);
    weft_mutex_unlock(&log->lock);
    write_chunk(log, chunk);
    weft_mutex_lock(&log->lock);
    return !last_try || state_of(log) == WEFT_LOG_GOOD;
}

void *weft_store_writer_run(void *ctx) {
    weft_log *log = ctx;
    weft_mutex_lock(&log->lock);
    for (bool going = true; going;) {
        uint64_t wait;
        switch (decide(log, &wait)) {
        case ACT_WAIT:
            rest(log, wait);
            break;
        case ACT_WRITE:
            going = write_oldest(log);
            break;
        case ACT_SYNC:
            weft_mutex_unlock(&log->lock);
            (void)synchronize(log);
            weft_mutex_lock(&log->lock);
            break;
        case ACT_END:
            going = false;
            break;
        }
    }
    weft_mutex_unlock(&log->lock);
    return NULL;
}

int weft_store_wait_durable(weft_log *log, uint64_t lsn, uint64_t timeout_ns, bool end_if_full) {
    uint64_t begin = weft_clock_monotonic_ns();
    int status = WEFT_OK;
    weft_mutex_lock(&log->lock);
    if (lsn >= log->next_lsn || state_of(log) == WEFT_LOG_OPENED) {
        status = WEFT_E_INVALID;
    } else if (lsn > weft_load_relaxed(&log->durable_lsn)) {
        log->wanted_lsn = lsn > log->wanted_lsn ? lsn : log->wanted_lsn;
        weft_store_wake_writer(log);
    }
    while (status == WEFT_OK && lsn > weft_load_relaxed(&log->durable_lsn)) {
        uint64_t passed = weft_clock_monotonic_ns() - begin;
        if (state_of(log) == WEFT_LOG_FAILED) {
            status = WEFT_E_IO;
        } else if (end_if_full && state_of(log) == WEFT_LOG_FULL) {
            status = WEFT_E_FULL;
        } else if (timeout_ns != WEFT_WAIT_FOREVER && passed >= timeout_ns) {
            status = WEFT_E_BUSY;
        } else {
            uint64_t left =
                timeout_ns == WEFT_WAIT_FOREVER ? WEFT_WAIT_FOREVER : timeout_ns - passed;
            (void)weft_cond_wait(&log->synced, &log->lock, left);
        }
    }
    weft_mutex_unlock(&log->lock);
    return status;
}
