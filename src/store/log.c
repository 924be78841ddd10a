/* SPDX-License-Identifier: MIT */
/* The log as an object: its life, and what it tells about itself. */
#include "store/log.h"

#include "base/assert.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const uint64_t segment_default = 64 << 20;
static const uint64_t buffer_default = 64 << 20;
static const uint64_t size_min = 64 << 10;

static void free_all(weft_log *log) {
    weft_store_chunk *chunk = log->oldest;
    for (int list = 0; list < 2; list++, chunk = log->spare) {
        while (chunk) {
            weft_store_chunk *next = chunk->next;
            weft_memory_free(&log->allocator, chunk, sizeof *chunk + chunk->capacity,
                             WEFT_CACHE_LINE);
            chunk = next;
        }
    }
    if (log->lock_fd >= 0) {
        (void)weft_file_close(log->lock_fd);
    }
    weft_cond_destroy(&log->synced);
    weft_cond_destroy(&log->room);
    weft_cond_destroy(&log->work);
    weft_mutex_destroy(&log->lock);
    weft_allocator allocator = log->allocator;
    weft_memory_free(&allocator, log->directory, strlen(log->directory) + 1, 1);
    weft_memory_free(&allocator, log, sizeof *log, WEFT_CACHE_LINE);
}

static bool make_locks(weft_log *log) {
    if (!weft_mutex_init(&log->lock)) {
        return false;
    }
    if (weft_cond_init(&log->work)) {
        if (weft_cond_init(&log->room)) {
            if (weft_cond_init(&log->synced)) {
                return true;
            }
            weft_cond_destroy(&log->room);
        }
        weft_cond_destroy(&log->work);
    }
    weft_mutex_destroy(&log->lock);
    return false;
}

static weft_log *make(const weft_log_options *options) {
    const weft_allocator *allocator =
        options->allocator ? options->allocator : &weft_memory_default;
    size_t path_size = strlen(options->directory) + 1;
    weft_log *log = weft_memory_alloc(allocator, sizeof *log, WEFT_CACHE_LINE);
    char *directory = log ? weft_memory_alloc(allocator, path_size, 1) : NULL;
    if (directory) {
        memset(log, 0, sizeof *log);
        memcpy(directory, options->directory, path_size);
        log->directory = directory;
        log->allocator = *allocator;
        log->options = *options;
        log->options.segment_bytes =
            options->segment_bytes ? options->segment_bytes : segment_default;
        log->options.buffer_bytes = options->buffer_bytes ? options->buffer_bytes : buffer_default;
        log->lock_fd = log->segment.fd = log->checkpoint.fd = -1;
        log->next_lsn = 1;
        if (make_locks(log)) {
            return log;
        }
        weft_memory_free(allocator, directory, path_size, 1);
    }
    if (log) {
        weft_memory_free(allocator, log, sizeof *log, WEFT_CACHE_LINE);
    }
    return NULL;
}

/* NULL, or what is wrong with the options. */
static const char *check_options(const weft_log_options *options) {
    if (!options->directory || !options->directory[0]) {
        return "no directory is given";
    }
    /* The longest name of ours is far shorter than the room that this leaves. */
    if (strlen(options->directory) > WEFT_STORE_PATH_MAX - 64) {
        return "the directory's path is too long";
    }
    if (options->sync > WEFT_LOG_NO || (int)options->sync < 0) {
        return "the sync policy is unknown";
    }
    if ((options->segment_bytes && options->segment_bytes < size_min) ||
        (options->buffer_bytes && options->buffer_bytes < size_min)) {
        return "segment_bytes and buffer_bytes must be 0 or at least 65536";
    }
    return NULL;
}

int weft_log_open(weft_log **log, weft_log_options *options) {
    *log = NULL;
    if (options->size != sizeof *options) {
        return WEFT_E_INVALID;
    }
    options->error_text[0] = '\0';
    const char *problem = check_options(options);
    if (problem) {
        (void)snprintf(options->error_text, sizeof options->error_text, "%s", problem);
        return WEFT_E_INVALID;
    }
    int saved = errno;
    weft_log *made = make(options);
    int status = WEFT_E_NOMEM;
    if (made) {
        status = weft_store_directory_open(made, options->error_text);
        if (status != WEFT_OK) {
            free_all(made);
            made = NULL;
        }
    } else {
        (void)snprintf(options->error_text, sizeof options->error_text, "out of memory");
    }
    *log = made;
    errno = saved;
    return status;
}

int weft_log_close(weft_log *log) {
    if (!log) {
        return WEFT_OK;
    }
    int saved = errno;
    weft_log_checkpoint_abort(log);
    if (log->threaded) {
        weft_mutex_lock(&log->lock);
        log->stopping = true;
        log->asleep = true;
        weft_store_wake_writer(log);
        weft_mutex_unlock(&log->lock);
        weft_thread_join(&log->thread);
    }
    int status = WEFT_OK;
    if (log->segment.fd >= 0) {
        status = weft_store_status(weft_store_segment_finish(log));
    }
    weft_log_state state = weft_log_state_get(log);
    if (state == WEFT_LOG_FAILED) {
        status = WEFT_E_IO;
    } else if (state == WEFT_LOG_FULL) {
        status = WEFT_E_FULL;
    }
    free_all(log);
    errno = saved;
    return status;
}

uint64_t weft_log_written_lsn(weft_log *log) {
    /* pairs with the release in write_chunk */
    return weft_load_acquire(&log->written_lsn);
}

uint64_t weft_log_durable_lsn(weft_log *log) {
    /* pairs with the release in note_durable */
    return weft_load_acquire(&log->durable_lsn);
}

weft_log_state weft_log_state_get(weft_log *log) {
    /* pairs with the release in set_state */
    return (weft_log_state)weft_load_acquire(&log->state);
}

int weft_log_wait_durable(weft_log *log, uint64_t lsn, uint64_t timeout_ns) {
    if (lsn <= weft_log_durable_lsn(log) && weft_log_state_get(log) != WEFT_LOG_OPENED) {
        return WEFT_OK;
    }
    return weft_store_wait_durable(log, lsn, timeout_ns, false);
}

void weft_log_stats_get(weft_log *log, weft_log_stats *stats) {
    uint64_t now = weft_clock_monotonic_ns();
    weft_mutex_lock(&log->lock);
    uint64_t since = log->unsynced_ns ? log->unsynced_ns : log->oldest ? log->oldest->first_ns : 0;
    WEFT_ASSERT(log->log_bytes >= log->obsolete_bytes);
    *stats = (weft_log_stats){
        .state = weft_log_state_get(log),
        .appended_lsn = log->next_lsn - 1,
        .written_lsn = weft_log_written_lsn(log),
        .durable_lsn = weft_log_durable_lsn(log),
        .buffered_bytes = log->buffered_bytes,
        .oldest_unsynced_age_ns = since && now > since ? now - since : 0,
        .segments = log->segments,
        .log_bytes = log->log_bytes - log->obsolete_bytes,
        .checkpoint_bytes = log->checkpoint_bytes,
        .checkpoint_entries = log->checkpoint_entries,
        .checkpoint_lsn = log->checkpoint_lsn,
        .checkpoint_running = log->checkpoint.running,
        .writes = log->writes,
        .syncs = log->syncs,
        .waits = log->waits,
    };
    memcpy(stats->error_text, log->error_text, sizeof stats->error_text);
    weft_mutex_unlock(&log->lock);
}
