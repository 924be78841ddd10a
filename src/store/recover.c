/* SPDX-License-Identifier: MIT */
/* Recovery: the checkpoint, then the log files behind it. What a crash may leave is taken; what it
 * may not leave is refused. The cases are told apart in docs/design/log.md. */
#include "base/assert.h"
#include "base/atomic.h"
#include "base/file.h"
#include "store/reader.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct recovery {
    weft_log *log;
    weft_log_record_fn on_record;
    void *ctx;
    weft_log_report *report;
    weft_store_files files;
    uint64_t base;    /* frames before this one are in the checkpoint */
    uint64_t end_lsn; /* the checkpoint says that the log was durable up to here */
    uint64_t next;    /* the frame that comes next */
} recovery;

__attribute__((format(printf, 3, 4))) static int refuse(recovery *r, int status, const char *format,
                                                        ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(r->report->text, sizeof r->report->text, format, arguments);
    va_end(arguments);
    r->report->end = WEFT_LOG_END_REFUSED;
    return status;
}

static int refuse_error(recovery *r, const char *what, const char *path, int error) {
    return refuse(r, weft_store_status(error), "cannot %s %s: %s", what, path,
                  weft_store_error_text(error));
}

static int refuse_damage(recovery *r, const weft_store_reader *reader, const char *problem) {
    return refuse(r, WEFT_E_CORRUPT, "%s at offset %" PRIu64 ": %s; restore the file from a copy",
                  reader->path, reader->offset, problem);
}

/* Hand the records of one frame over. */
static int deliver(recovery *r, const unsigned char *at, size_t size, uint64_t *count) {
    const unsigned char *end = at + size;
    weft_log_record record;
    while (at < end) {
        if (!weft_store_next_record(&at, end, &record)) {
            return WEFT_E_CORRUPT;
        }
        ++*count;
        if (!r->on_record(r->ctx, &record)) {
            return WEFT_ABORTED;
        }
    }
    return WEFT_OK;
}

/* Every record of a frame is well formed: asked before the first is handed over. [A] */
static bool well_formed(const unsigned char *at, size_t size, uint64_t *count) {
    const unsigned char *end = at + size;
    weft_log_record record;
    while (at < end) {
        if (!weft_store_next_record(&at, end, &record)) {
            return false;
        }
        ++*count;
    }
    return true;
}

/* One pass over a checkpoint; the first only verifies it, the second delivers. */
static int read_checkpoint(recovery *r, weft_store_reader *reader, bool delivering) {
    const char *problem;
    uint64_t entries = 0;
    int error = weft_store_reader_header(reader, WEFT_STORE_CHECKPOINT, r->base, &problem);
    if (error == 0 && problem) {
        return refuse_damage(r, reader, problem);
    }
    for (uint64_t block = 1; error == 0; block++) {
        weft_store_frame_header header;
        weft_store_footer footer;
        const unsigned char *payload;
        error = weft_store_reader_frame(reader, block, &header, &payload);
        if (error) {
            break;
        }
        if (!payload) {
            return refuse_damage(r, reader, "a block of the checkpoint is damaged or missing");
        }
        if (header.durable == WEFT_STORE_FOOTER_MARK) {
            if (!weft_store_get_footer(payload, header.size, &footer) ||
                footer.entries != entries || reader->offset != reader->size) {
                return refuse_damage(r, reader, "the end of the checkpoint is damaged");
            }
            r->end_lsn = footer.end_lsn;
            r->report->checkpoint_entries = entries;
            r->report->checkpoint_bytes = reader->size;
            return WEFT_OK;
        }
        if (!delivering) {
            if (!well_formed(payload, header.size, &entries)) {
                return refuse_damage(r, reader, "a record of the checkpoint is damaged");
            }
        } else {
            int status = deliver(r, payload, header.size, &entries);
            if (status != WEFT_OK) {
                return status;
            }
        }
    }
    return refuse_error(r, "read", reader->path, error);
}

static int recover_checkpoint(recovery *r) {
    r->base = 1;
    if (r->files.checkpoint_count == 0) {
        return WEFT_OK;
    }
    r->base = r->files.checkpoints[r->files.checkpoint_count - 1];
    r->report->checkpoint_lsn = r->base;
    weft_store_reader reader;
    int error = weft_store_reader_open(&reader, r->log, WEFT_STORE_NAME_SNAP, r->base);
    int status = error ? refuse_error(r, "open", reader.path, error) : WEFT_OK;
    for (int pass = 0; status == WEFT_OK && pass < 2; pass++) {
        status = read_checkpoint(r, &reader, pass == 1);
    }
    weft_store_reader_close(&reader);
    return status;
}

/* The frames of one file up to the first that is not whole, at most up to frame `stop`. */
static int read_frames(recovery *r, weft_store_reader *reader, uint64_t stop) {
    while (r->next != stop) {
        weft_store_frame_header header;
        const unsigned char *payload;
        uint64_t count = 0;
        int error = weft_store_reader_frame(reader, r->next, &header, &payload);
        if (error) {
            return refuse_error(r, "read", reader->path, error);
        }
        if (!payload) {
            break;
        }
        if (!well_formed(payload, header.size, &count)) {
            return refuse_damage(r, reader, "a record is damaged behind a good checksum");
        }
        r->next++;
        if (header.lsn < r->base) {
            continue;
        }
        r->report->frames++;
        r->report->bytes += WEFT_STORE_FRAME_HEADER_SIZE + weft_store_padded(header.size);
        int status = deliver(r, payload, header.size, &r->report->records);
        if (status != WEFT_OK) {
            return status;
        }
    }
    return WEFT_OK;
}

/* The end of the last file: is it the end of the log, one that a crash has torn, or damage? */
static int judge_end(recovery *r, weft_store_reader *reader) {
    weft_store_tail tail;
    int error = weft_store_reader_tail(reader, r->next, &tail);
    if (error) {
        return refuse_error(r, "read", reader->path, error);
    }
    if (tail.durable_frame) {
        return refuse(r, WEFT_E_CORRUPT,
                      "%s at offset %" PRIu64 ": frame %" PRIu64 " is damaged or missing, and the "
                      "frame at offset %" PRIu64
                      " shows that it was durable; restore the file from "
                      "a copy",
                      reader->path, reader->offset, r->next, tail.durable_frame);
    }
    if (r->next < r->base || r->next <= r->end_lsn) {
        return refuse(r, WEFT_E_CORRUPT,
                      "%s at offset %" PRIu64 ": the log ends before frame %" PRIu64
                      ", and the checkpoint shows that frame %" PRIu64 " was durable; restore the "
                      "file from a copy",
                      reader->path, reader->offset, r->next,
                      r->end_lsn >= r->base ? r->end_lsn : r->base - 1);
    }
    r->report->dropped_bytes = tail.dropped;
    r->report->end = tail.dropped ? WEFT_LOG_END_TORN : WEFT_LOG_END_CLEAN;
    (void)snprintf(r->report->text, sizeof r->report->text,
                   tail.dropped ? "%s: an unfinished frame at offset %" PRIu64 " was dropped"
                                : "%s: complete up to its end at offset %" PRIu64,
                   reader->path, reader->offset);
    return WEFT_OK;
}

/* What was read may still be in the kernel's memory alone, and the torn part must not come back. */
static int settle_end(recovery *r, weft_store_reader *reader) {
    int error = weft_file_truncate(reader->fd, reader->offset);
    if (error == 0) {
        error = weft_file_sync(reader->fd);
    }
    return error ? refuse_error(r, "synchronize", reader->path, error) : WEFT_OK;
}

static int recover_segment(recovery *r, size_t index) {
    const char *problem = NULL;
    weft_store_reader reader;
    bool last = index + 1 == r->files.segment_count;
    uint64_t stop = last ? UINT64_MAX : r->files.segments[index + 1];
    int error =
        weft_store_reader_open(&reader, r->log, WEFT_STORE_NAME_LOG, r->files.segments[index]);
    if (error == 0) {
        error = weft_store_reader_header(&reader, WEFT_STORE_SEGMENT, r->files.segments[index],
                                         &problem);
    }
    int status = error     ? refuse_error(r, "read", reader.path, error)
                 : problem ? refuse_damage(r, &reader, problem)
                           : read_frames(r, &reader, stop);
    if (status == WEFT_OK && !last && r->next != stop) {
        status = refuse(r, WEFT_E_CORRUPT,
                        "%s at offset %" PRIu64 ": frame %" PRIu64
                        " is damaged or missing, and a later file begins with frame %" PRIu64
                        "; restore the file from a copy",
                        reader.path, reader.offset, r->next, stop);
    }
    if (status == WEFT_OK && last) {
        status = judge_end(r, &reader);
    }
    if (status == WEFT_OK && last) {
        status = settle_end(r, &reader);
    }
    weft_store_reader_close(&reader);
    r->report->segments++;
    return status;
}

static int recover_segments(recovery *r) {
    size_t count = r->files.segment_count;
    const uint64_t *firsts = r->files.segments;
    r->next = r->base;
    if (count == 0) {
        if (r->report->checkpoint_lsn) {
            return refuse(
                r, WEFT_E_CORRUPT,
                "%s: the log file behind the checkpoint is missing; restore it from a copy",
                r->log->directory);
        }
        (void)snprintf(r->report->text, sizeof r->report->text, "%s: new and empty",
                       r->log->directory);
        return WEFT_OK;
    }
    if (firsts[0] > r->base) {
        return refuse(r, WEFT_E_CORRUPT,
                      "%s: frames %" PRIu64 " to %" PRIu64 " are missing: the first log file "
                      "begins behind them; restore it from a copy",
                      r->log->directory, r->base, firsts[0] - 1);
    }
    size_t index = 0;
    while (index + 1 < count && firsts[index + 1] <= r->base) {
        index++;
    }
    r->next = firsts[index];
    int status = WEFT_OK;
    for (; status == WEFT_OK && index < count; index++) {
        status = recover_segment(r, index);
    }
    return status;
}

/* A new file for what comes now, then nothing before the checkpoint is needed any more. */
static int begin_writing(recovery *r) {
    weft_log *log = r->log;
    weft_store_remove_unfinished(log);
    int error = weft_store_segment_create(log, r->next, 0);
    if (error) {
        return refuse_error(r, "create a log file in", log->directory, error);
    }
    weft_store_files_free(&r->files);
    error = weft_store_files_read(log, &r->files);
    if (error) {
        return refuse_error(r, "read the directory", log->directory, error);
    }
    WEFT_ASSERT(r->files.segment_count != 0);
    log->segments = weft_store_files_trim(log, &r->files, r->base);
    log->next_lsn = r->next;
    log->log_bytes = r->report->bytes;
    log->checkpoint_lsn = r->report->checkpoint_lsn;
    log->checkpoint_bytes = r->report->checkpoint_bytes;
    log->checkpoint_entries = r->report->checkpoint_entries;
    weft_store_relaxed(&log->written_lsn, r->next - 1);
    weft_store_relaxed(&log->durable_lsn, r->next - 1);
    /* pairs with the acquire loads of the state */
    weft_store_release(&log->state, (uint64_t)WEFT_LOG_GOOD);
    log->threaded = weft_thread_start(&log->thread, weft_store_writer_run, log);
    if (!log->threaded) {
        weft_store_release(&log->state, (uint64_t)WEFT_LOG_OPENED);
        return refuse(r, WEFT_E_NOMEM, "%s: cannot start a thread", log->directory);
    }
    r->report->next_lsn = r->next;
    return WEFT_OK;
}

int weft_log_recover(weft_log *log, weft_log_record_fn on_record, void *ctx,
                     weft_log_report *report) {
    int saved = errno;
    weft_log_report own;
    recovery r = {.log = log, .on_record = on_record, .ctx = ctx, .report = report ? report : &own};
    memset(r.report, 0, sizeof *r.report);
    if (log->recovered) {
        return refuse(&r, WEFT_E_INVALID, "%s: recovered already", log->directory);
    }
    log->recovered = true;
    int error = weft_store_files_read(log, &r.files);
    int status = error ? refuse_error(&r, "read the directory", log->directory, error) : WEFT_OK;
    if (status == WEFT_OK) {
        status = recover_checkpoint(&r);
    }
    if (status == WEFT_OK) {
        status = recover_segments(&r);
    }
    if (status == WEFT_OK) {
        status = begin_writing(&r);
    }
    if (status == WEFT_ABORTED) {
        (void)refuse(&r, status, "%s: the caller stopped it", log->directory);
    }
    weft_store_files_free(&r.files);
    errno = saved;
    return status;
}
