/* SPDX-License-Identifier: MIT */
/* Checkpoints: written beside the log, named when whole, then the older files go. */
#include "base/assert.h"
#include "base/atomic.h"
#include "base/file.h"
#include "store/log.h"

#include <errno.h>

enum { BLOCK_SIZE = 256 << 10 };

/* The log's own trouble, as a status. */
static int trouble(weft_log *log) {
    switch (weft_log_state_get(log)) {
    case WEFT_LOG_OPENED:
        return WEFT_E_INVALID;
    case WEFT_LOG_GOOD:
        return WEFT_OK;
    case WEFT_LOG_FULL:
        return WEFT_E_FULL;
    case WEFT_LOG_FAILED:
        break;
    }
    return WEFT_E_IO;
}

static int write_at_end(weft_store_checkpoint *checkpoint, const void *data, size_t size) {
    int error = weft_file_pwrite(checkpoint->fd, data, size, checkpoint->offset);
    checkpoint->offset += size;
    return error;
}

static int open_unfinished(weft_log *log) {
    weft_store_checkpoint *checkpoint = &log->checkpoint;
    unsigned char header[WEFT_STORE_FILE_HEADER_SIZE];
    char path[WEFT_STORE_PATH_MAX];
    weft_store_path(log, WEFT_STORE_NAME_SNAP_TMP, checkpoint->lsn, path);
    checkpoint->fd = weft_file_open(path, O_RDWR | O_CREAT | O_TRUNC, 0640);
    if (checkpoint->fd < 0) {
        return checkpoint->fd;
    }
    weft_store_put_file_header(&log->key, WEFT_STORE_CHECKPOINT, checkpoint->lsn, header);
    return write_at_end(checkpoint, header, sizeof header);
}

int weft_log_checkpoint_begin(weft_log *log, uint64_t *lsn) {
    int saved = errno;
    weft_store_checkpoint *checkpoint = &log->checkpoint;
    weft_mutex_lock(&log->lock);
    int status = checkpoint->running ? WEFT_E_BUSY : trouble(log);
    if (status == WEFT_OK) {
        *checkpoint = (weft_store_checkpoint){
            .running = true, .fd = -1, .lsn = log->next_lsn, .log_bytes = log->log_bytes};
        if (log->newest) {
            weft_store_seal(log->newest);
        }
        log->rotate = true;
    }
    weft_mutex_unlock(&log->lock);
    if (status == WEFT_OK) {
        status = weft_store_status(open_unfinished(log));
        if (status != WEFT_OK) {
            weft_log_checkpoint_abort(log);
        } else if (lsn) {
            *lsn = checkpoint->lsn;
        }
    }
    errno = saved;
    return status;
}

/* One block: a frame whose number counts blocks. */
static int write_block(weft_log *log, weft_store_frame_header *header,
                       const unsigned char *payload) {
    weft_store_checkpoint *checkpoint = &log->checkpoint;
    static const unsigned char zeros[8];
    unsigned char out[WEFT_STORE_FRAME_HEADER_SIZE];
    header->lsn = ++checkpoint->blocks;
    header->payload_sum = weft_store_sum(&log->key, payload, header->size);
    weft_store_put_frame_header(&log->key, header, out);
    int error = write_at_end(checkpoint, out, sizeof out);
    if (error == 0) {
        error = write_at_end(checkpoint, payload, header->size);
    }
    size_t padding = (size_t)(weft_store_padded(header->size) - header->size);
    if (error == 0 && padding) {
        error = write_at_end(checkpoint, zeros, padding);
    }
    return error;
}

static int flush(weft_log *log) {
    weft_store_checkpoint *checkpoint = &log->checkpoint;
    if (checkpoint->error != WEFT_OK || checkpoint->block.size == 0) {
        return checkpoint->error;
    }
    weft_store_frame_header header = {.size = checkpoint->block.size};
    checkpoint->error = weft_store_status(write_block(log, &header, checkpoint->block.data));
    checkpoint->entries += checkpoint->block.records;
    weft_log_frame_reset(&checkpoint->block);
    return checkpoint->error;
}

int weft_log_checkpoint_add(weft_log *log, const weft_log_record *record) {
    int saved = errno;
    weft_store_checkpoint *checkpoint = &log->checkpoint;
    if (!checkpoint->running) {
        return WEFT_E_INVALID;
    }
    int status = checkpoint->error;
    if (status == WEFT_OK) {
        status = weft_log_frame_add(&checkpoint->block, record);
        if (status == WEFT_E_NOMEM) {
            checkpoint->error = status;
        }
    }
    if (status == WEFT_OK && checkpoint->block.size >= BLOCK_SIZE) {
        status = flush(log);
    }
    errno = saved;
    return status;
}

/* Whole and durable under its unfinished name, and the log as far as it was when the walk was
 * over. */
static int complete(weft_log *log) {
    weft_store_checkpoint *checkpoint = &log->checkpoint;
    weft_store_footer footer = {0};
    weft_mutex_lock(&log->lock);
    footer.end_lsn = log->next_lsn - 1;
    weft_mutex_unlock(&log->lock);
    int status = flush(log);
    if (status == WEFT_OK) {
        status = weft_store_wait_durable(log, footer.end_lsn, WEFT_WAIT_FOREVER, true);
    }
    if (status != WEFT_OK) {
        return status;
    }
    unsigned char out[WEFT_STORE_FOOTER_SIZE];
    weft_store_frame_header header = {.size = sizeof out, .durable = WEFT_STORE_FOOTER_MARK};
    footer.entries = checkpoint->entries;
    weft_store_put_footer(&footer, out);
    int error = write_block(log, &header, out);
    return weft_store_status(error ? error : weft_file_sync(checkpoint->fd));
}

/* From the rename on the new checkpoint counts; that it is durable decides if the old may go. */
static int install(weft_log *log) {
    weft_store_checkpoint *checkpoint = &log->checkpoint;
    char unfinished[WEFT_STORE_PATH_MAX];
    char path[WEFT_STORE_PATH_MAX];
    weft_store_path(log, WEFT_STORE_NAME_SNAP_TMP, checkpoint->lsn, unfinished);
    weft_store_path(log, WEFT_STORE_NAME_SNAP, checkpoint->lsn, path);
    int error = weft_file_rename(unfinished, path);
    return weft_store_status(error ? error : weft_file_sync_directory(log->directory));
}

static void delete_older(weft_log *log) {
    weft_store_checkpoint *checkpoint = &log->checkpoint;
    weft_store_files files;
    uint64_t left = 0;
    if (weft_store_files_read(log, &files) == 0) {
        left = weft_store_files_trim(log, &files, checkpoint->lsn);
    }
    weft_store_files_free(&files);
    weft_mutex_lock(&log->lock);
    log->segments = left ? left : log->segments;
    log->obsolete_bytes = checkpoint->log_bytes;
    log->checkpoint_lsn = checkpoint->lsn;
    log->checkpoint_bytes = checkpoint->offset;
    log->checkpoint_entries = checkpoint->entries;
    weft_mutex_unlock(&log->lock);
}

static void give_up_file(weft_log *log) {
    weft_store_checkpoint *checkpoint = &log->checkpoint;
    if (checkpoint->fd >= 0) {
        (void)weft_file_close(checkpoint->fd);
    }
    weft_log_frame_free(&checkpoint->block);
    weft_mutex_lock(&log->lock);
    checkpoint->running = false;
    weft_mutex_unlock(&log->lock);
}

int weft_log_checkpoint_end(weft_log *log) {
    int saved = errno;
    if (!log->checkpoint.running) {
        return WEFT_E_INVALID;
    }
    WEFT_ASSERT(log->checkpoint.fd >= 0);
    int status = complete(log);
    if (status == WEFT_OK) {
        status = install(log);
    }
    if (status == WEFT_OK) {
        delete_older(log);
        give_up_file(log);
    } else {
        weft_log_checkpoint_abort(log);
    }
    errno = saved;
    return status;
}

void weft_log_checkpoint_abort(weft_log *log) {
    int saved = errno;
    if (log->checkpoint.running) {
        char path[WEFT_STORE_PATH_MAX];
        weft_store_path(log, WEFT_STORE_NAME_SNAP_TMP, log->checkpoint.lsn, path);
        (void)weft_file_unlink(path);
        give_up_file(log);
    }
    errno = saved;
}
