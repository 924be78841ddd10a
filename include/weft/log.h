/* SPDX-License-Identifier: MIT */
/* weft_log: a durable append log with checkpoints, in a directory of its own.
 *
 * START HERE
 *     weft_log *log;
 *     weft_log_options options = {.size = sizeof options, .directory = "./data"};
 *     weft_log_open(&log, &options);                   // refused? options.error_text says why
 *     weft_log_recover(log, restore_one, my_map, NULL); // always, also when the directory is new
 *     weft_log_frame frame = WEFT_LOG_FRAME_INIT;      // one per thread, used again and again
 *     weft_log_frame_add(&frame, &record);             // … any number of records
 *     weft_log_append(log, &frame, &lsn);              // all of them or none will be recovered
 *     weft_log_frame_reset(&frame);
 *     weft_log_close(log);
 *
 * A frame is what is appended at once. Frames are numbered 1, 2, 3, … in the order of their
 * appends: the log sequence number (LSN). Three numbers grow behind one another: the last appended
 * LSN (in memory), the written LSN (given to the operating system: survives the death of the
 * process) and the durable LSN (synchronized to the device: survives a power cut).
 *
 * GUARANTEES (tests name the letter they prove)
 *   A  Atomicity. Recovery delivers all records of a frame, or none.
 *   B  Prefix. If recovery delivers a frame it delivers, or has in a checkpoint, all frames before
 *      it.
 *   C  Durability. A frame whose LSN is not above the durable LSN that was reported is recovered
 *      after any crash of the process or of the machine. The durable LSN is never reported too
 *      high: after a failed synchronization it stands still for good.
 *   D  Start. After a crash at any moment, also in a checkpoint, the directory opens: what a crash
 *      can leave behind is never refused. What a crash cannot leave behind, is: stored data that
 *      is missing or damaged is reported with file and offset, and nothing is written over it.
 *   E  No room. A full disk loses nothing that was appended: it is kept in memory and tried again
 *      each second, and new frames are refused until it has been stored.
 *   F  Memory. What waits in memory is bounded by `buffer_bytes` (one frame may be larger by
 *      itself).
 *   G  Silence. The log never prints, never ends the process, and leaves errno as it was.
 */
#ifndef WEFT_LOG_H
#define WEFT_LOG_H

#include <weft/map.h>

/* The log. Made by weft_log_open. */
typedef struct weft_log weft_log;

typedef enum weft_log_op {
    WEFT_LOG_PUT = 1,     /* the key has this value */
    WEFT_LOG_REMOVE = 2,  /* the key is gone; no value */
    WEFT_LOG_CLEAR = 3,   /* everything of eras before `era` is gone; no key, no value */
    WEFT_LOG_BARRIER = 4, /* a point of the caller's own meaning; no key, no value */
} weft_log_op;

/* One change. The log gives era and version back as they were; it does not order by them. */
typedef struct weft_log_record {
    weft_log_op op;
    uint64_t era;
    uint64_t version;
    weft_bytes key; /* up to WEFT_KEY_SIZE_MAX bytes */
    weft_fresh
        value; /* in two pieces, together up to WEFT_VALUE_SIZE_MAX; recovered as one, in `body` */
} weft_log_record;

/* When what was appended is written, and when it is synchronized. */
typedef enum weft_log_sync {
    WEFT_LOG_EVERYSEC =
        0, /* written within 20 ms or at 256 KiB, synchronized within about a second */
    WEFT_LOG_ALWAYS =
        1,           /* written and synchronized as soon as the one before is done (group commit) */
    WEFT_LOG_NO = 2, /* written as EVERYSEC; synchronized where a segment ends, and on request */
} weft_log_sync;

typedef enum weft_log_state {
    WEFT_LOG_OPENED = 0, /* not recovered yet: nothing can be appended */
    WEFT_LOG_GOOD = 1,
    WEFT_LOG_FULL = 2, /* no room on the disk: tried again each second, appends are refused [E] */
    WEFT_LOG_FAILED =
        3, /* a write or a synchronization failed: for good, until the log is opened anew [C] */
} weft_log_state;

enum { WEFT_LOG_TEXT_MAX = 512 };

typedef struct weft_log_options {
    size_t size; /* sizeof(weft_log_options) */
    const char
        *directory;     /* made if missing (its parent must exist); one process at a time owns it */
    weft_log_sync sync; /* 0: EVERYSEC */
    bool no_wait; /* an append that finds the buffer full answers WEFT_E_BUSY instead of waiting */
    uint64_t segment_bytes;          /* size of a log file, at least 64 KiB; 0: 64 MiB */
    uint64_t buffer_bytes;           /* what may wait in memory, at least 64 KiB; 0: 64 MiB */
    const weft_allocator *allocator; /* NULL: malloc and free of the process; copied */
    /* Called by the log's own thread, with no lock held, when the durable LSN has grown and when
     * the state has changed. Must be short: nothing is written meanwhile. May be NULL. */
    void (*notify)(void *ctx, uint64_t durable_lsn);
    void *notify_ctx;
    char error_text[WEFT_LOG_TEXT_MAX]; /* out: if open is refused, what, where, and what to do */
} weft_log_options;

/* Records on their way into the log, encoded. Belongs to one thread at a time. Fields are private
 * but for `records` and `size`. */
typedef struct weft_log_frame {
    unsigned char *data;
    size_t size; /* bytes encoded; 0: nothing to append */
    size_t capacity;
    uint64_t records; /* added since the last reset */
} weft_log_frame;

#define WEFT_LOG_FRAME_INIT                                                                        \
    { NULL, 0, 0, 0 }

/* A frame holds up to so many encoded bytes. */
#define WEFT_LOG_FRAME_SIZE_MAX ((uint64_t)1 << 34)

/* Called for each recovered record. Its bytes are valid until it returns. true: go on; false: stop,
 * and weft_log_recover answers WEFT_ABORTED. */
typedef bool (*weft_log_record_fn)(void *ctx, const weft_log_record *record);

/* Why recovery came to its end. */
typedef enum weft_log_end {
    WEFT_LOG_END_CLEAN = 0, /* behind the last frame there was nothing */
    WEFT_LOG_END_TORN = 1,  /* behind the last frame there was an unfinished one: dropped */
    WEFT_LOG_END_REFUSED =
        2, /* missing or damaged data, or an error of the operating system: see text */
} weft_log_end;

/* What recovery has done. */
typedef struct weft_log_report {
    uint64_t checkpoint_lsn;     /* the checkpoint stands for all frames before this one; 0: none */
    uint64_t checkpoint_entries; /* records delivered from it */
    uint64_t checkpoint_bytes;
    uint64_t segments;      /* log files read */
    uint64_t frames;        /* delivered from them */
    uint64_t records;       /* delivered from them */
    uint64_t bytes;         /* of these frames */
    uint64_t next_lsn;      /* the LSN that the next append will get */
    uint64_t dropped_bytes; /* of the unfinished end; 0: CLEAN */
    weft_log_end end;
    char text[WEFT_LOG_TEXT_MAX]; /* one line for people: where it stopped, and why */
} weft_log_report;

typedef struct weft_log_stats {
    weft_log_state state;
    uint64_t appended_lsn; /* of the last append */
    uint64_t written_lsn;
    uint64_t durable_lsn;
    uint64_t buffered_bytes;         /* waiting in memory */
    uint64_t oldest_unsynced_age_ns; /* of the oldest frame that is not durable; 0: none */
    uint64_t segments;               /* log files in the directory */
    uint64_t log_bytes;        /* frames in them that the last checkpoint does not stand for */
    uint64_t checkpoint_bytes; /* of the last checkpoint; 0: none */
    uint64_t checkpoint_entries;
    uint64_t checkpoint_lsn; /* it stands for all frames before this one; 0: none */
    bool checkpoint_running;
    uint64_t writes; /* calls to the operating system since open */
    uint64_t syncs;
    uint64_t waits; /* appends that found the buffer full */
    char error_text
        [WEFT_LOG_TEXT_MAX]; /* FULL, FAILED: what happened; else the last such text, or "" */
} weft_log_stats;

WEFT_BEGIN_DECLS

/* weft_log_open — take possession of a directory.
 *
 * log      out
 * options  `size` and `directory` set; zero fields are defaults; error_text is written on refusal
 *
 * Returns  WEFT_OK · WEFT_E_INVALID (size, an option, or no directory of a log: it holds other
 *          things) · WEFT_E_BUSY (another log, here or in another process, owns it; the text tells
 *          the process id) · WEFT_E_UNSUPPORTED (written by a newer version) · WEFT_E_CORRUPT (its
 *          FORMAT file is damaged) · WEFT_E_FULL (no room on the disk) · WEFT_E_IO (not a
 *          directory, no permission, …) · WEFT_E_NOMEM
 * Owns     the log is the caller's until weft_log_close; options are copied
 * Threads  any
 * Progress does file operations
 * Order    none
 * Cost     a few file operations
 */
WEFT_API int weft_log_open(weft_log **log, weft_log_options *options);

/* weft_log_close — store what is still in memory, synchronize, and give the directory up.
 *
 * log      the log, or NULL; gone afterwards, whatever the answer. A checkpoint under way is
 *          aborted
 *
 * Returns  WEFT_OK (all that was appended is durable) · WEFT_E_FULL or WEFT_E_IO (some of it is
 *          not, because the log is FULL or FAILED)
 * Owns     everything of the log is freed
 * Threads  none may use the log meanwhile or afterwards
 * Progress waits for file operations
 * Order    all earlier operations of other threads must happen before
 * Cost     a write and a synchronization
 */
WEFT_API int weft_log_close(weft_log *log);

/* weft_log_recover — read what the directory holds, and begin to log.  [A, B, C, D]
 *
 * log      opened; exactly once, also if the directory is new
 * on_record called for the records of the checkpoint, then for those of the log in LSN order
 * ctx      for on_record
 * report   out, may be NULL; also written on refusal
 *
 * A checkpoint is written beside live changes. Therefore a key may be delivered with the state
 * that it had at any moment between the checkpoint's begin and end, and again with its later
 * changes; what orders them is (era, version). Appends of different threads are in the order of
 * their appends, not of their versions.
 *
 * Returns  WEFT_OK · WEFT_ABORTED (on_record said stop) · WEFT_E_CORRUPT (missing or damaged data;
 *          the report tells file and offset; nothing was changed) · WEFT_E_INVALID (recovered
 *          already) · WEFT_E_IO · WEFT_E_FULL (no room for the first log file) · WEFT_E_NOMEM.
 *          After anything but WEFT_OK only weft_log_close is of use, and what was delivered is
 *          incomplete
 * Owns     what on_record sees is valid until it returns
 * Threads  one; none may use the log meanwhile
 * Progress does file operations
 * Order    on_record is called by the calling thread
 * Cost     O(bytes of the checkpoint and of the log behind it), and the callbacks
 */
WEFT_API int weft_log_recover(weft_log *log, weft_log_record_fn on_record, void *ctx,
                              weft_log_report *report);

/* weft_log_frame_add — encode one more record into a frame.
 *
 * frame    WEFT_LOG_FRAME_INIT, or used before
 * record   what changed
 *
 * Returns  WEFT_OK · WEFT_E_TOOBIG (key, value, or the frame) · WEFT_E_INVALID (op) · WEFT_E_NOMEM.
 *          On an error the frame is what it was
 * Owns     key and value are copied; the frame's memory is the caller's until weft_log_frame_free
 * Threads  a frame is used by one thread at a time
 * Progress wait-free but for the allocator
 * Order    none
 * Cost     a copy; amortised O(1) allocations, none once the frame has had its largest size
 */
WEFT_API int weft_log_frame_add(weft_log_frame *frame, const weft_log_record *record);

/* weft_log_frame_reset — forget the records, keep the memory (up to 1 MiB of it).
 *
 * frame    the frame
 *
 * Returns  nothing
 * Owns     the frame keeps its memory
 * Threads  a frame is used by one thread at a time
 * Progress wait-free
 * Order    none
 * Cost     O(1)
 */
WEFT_API void weft_log_frame_reset(weft_log_frame *frame);

/* weft_log_frame_free — give the memory of a frame back.
 *
 * frame    the frame; becomes WEFT_LOG_FRAME_INIT
 *
 * Returns  nothing
 * Owns     the frame's memory is freed
 * Threads  a frame is used by one thread at a time
 * Progress wait-free but for the allocator
 * Order    none
 * Cost     O(1)
 */
WEFT_API void weft_log_frame_free(weft_log_frame *frame);

/* weft_log_append — append a frame.  [A, B, E, F]
 *
 * log      recovered
 * frame    unchanged, may be reset at once; with no records nothing is appended and the answer is
 *          WEFT_OK
 * lsn      out, may be NULL: the LSN of the frame; without records, of the last append
 *
 * Returns  WEFT_OK (in memory; see written and durable LSN) · WEFT_E_FULL (no room on the disk) ·
 *          WEFT_E_BUSY (the buffer is full, with `no_wait`) · WEFT_E_IO (FAILED) · WEFT_E_INVALID
 *          (not recovered) · WEFT_E_NOMEM. On an error nothing was appended
 * Owns     the frame is copied
 * Threads  any
 * Progress may block: a short lock, and until the writer has made room in a full buffer; no file
 *          operation
 * Order    frames are recovered in the order of their LSNs; an append that begins after another has
 *          returned has the higher LSN
 * Cost     a checksum, a lock, a copy; a system call if the log's thread sleeps
 */
WEFT_API int weft_log_append(weft_log *log, const weft_log_frame *frame, uint64_t *lsn);

/* weft_log_written_lsn — up to where frames would survive the end of this process.
 *
 * log      the log
 *
 * Returns  an LSN; 0: none
 * Owns     nothing
 * Threads  any
 * Progress wait-free
 * Order    acquire
 * Cost     one load
 */
WEFT_API uint64_t weft_log_written_lsn(weft_log *log);

/* weft_log_durable_lsn — up to where frames would survive a power cut.  [C]
 *
 * log      the log
 *
 * Returns  an LSN; 0: none
 * Owns     nothing
 * Threads  any
 * Progress wait-free
 * Order    acquire
 * Cost     one load
 */
WEFT_API uint64_t weft_log_durable_lsn(weft_log *log);

/* weft_log_wait_durable — ask for a synchronization, and wait until a frame is durable.
 *
 * log      recovered
 * lsn      from weft_log_append; under any policy it is synchronized now
 * timeout_ns  at most so long; UINT64_MAX: no limit; 0: only ask
 *
 * Returns  WEFT_OK (durable) · WEFT_E_BUSY (not in this time; it may be FULL) · WEFT_E_IO (FAILED:
 *          it will not become durable) · WEFT_E_INVALID (not recovered, or no such LSN yet)
 * Owns     nothing
 * Threads  any but the log's own (not from notify)
 * Progress waits for file operations of the log's thread
 * Order    acquire
 * Cost     one load if it is durable already
 */
WEFT_API int weft_log_wait_durable(weft_log *log, uint64_t lsn, uint64_t timeout_ns);

/* weft_log_state_get — can the log take frames?
 *
 * log      the log
 *
 * Returns  a state
 * Owns     nothing
 * Threads  any
 * Progress wait-free
 * Order    acquire
 * Cost     one load
 */
WEFT_API weft_log_state weft_log_state_get(weft_log *log);

/* weft_log_stats_get — figures for diagnosis, and for deciding when to write a checkpoint.
 *
 * log      the log
 * stats    out
 *
 * Returns  nothing
 * Owns     nothing
 * Threads  any
 * Progress may block: a short lock
 * Order    none: numbers of a moment
 * Cost     O(1)
 */
WEFT_API void weft_log_stats_get(weft_log *log, weft_log_stats *stats);

/* weft_log_checkpoint_begin — begin a checkpoint, which makes older log files unnecessary.
 *
 * log      recovered
 * lsn      out, may be NULL: the checkpoint will stand for all frames before this one
 *
 * From here on the caller walks over all that it holds and adds each entry as it is at that moment,
 * while changes go on and are appended. What was appended before this call must be found by the
 * walk; what the walk finds must have been appended before the end is called. Therefore the caller
 * lets finish what is on its way between its map and the log, before it begins and before it ends.
 *
 * Returns  WEFT_OK · WEFT_E_BUSY (one is under way) · WEFT_E_FULL · WEFT_E_IO · WEFT_E_INVALID (not
 *          recovered) · WEFT_E_NOMEM
 * Owns     the checkpoint is the caller's until end or abort
 * Threads  any; begin, add, end and abort are of one thread at a time
 * Progress does file operations
 * Order    frames with smaller LSNs are those whose append had returned, or was on its way
 * Cost     one new file
 */
WEFT_API int weft_log_checkpoint_begin(weft_log *log, uint64_t *lsn);

/* weft_log_checkpoint_add — add one entry.
 *
 * log      with a checkpoint under way
 * record   a PUT; a REMOVE or CLEAR is allowed, where the caller needs them to order later recovery
 *
 * Returns  WEFT_OK · WEFT_E_TOOBIG · WEFT_E_INVALID (op, or no checkpoint) · WEFT_E_FULL ·
 *          WEFT_E_IO · WEFT_E_NOMEM. After an error that is not of the record only abort is of use
 * Owns     key and value are copied
 * Threads  as weft_log_checkpoint_begin
 * Progress writes to the file each 256 KiB
 * Order    none
 * Cost     a copy and a checksum
 */
WEFT_API int weft_log_checkpoint_add(weft_log *log, const weft_log_record *record);

/* weft_log_checkpoint_end — make the checkpoint the one to recover from, and delete older files.
 *
 * log      with a checkpoint under way; afterwards there is none, whatever the answer
 *
 * Returns  WEFT_OK · WEFT_E_FULL or WEFT_E_IO or WEFT_E_NOMEM (the old state is kept; the log
 *          itself goes on unless it is FULL or FAILED) · WEFT_E_INVALID (no checkpoint)
 * Owns     the checkpoint is given up
 * Threads  as weft_log_checkpoint_begin
 * Progress waits until all that was appended before this call is durable
 * Order    a crash leaves the old state or the new one, each whole
 * Cost     three synchronizations, a rename, and the deletion of the older files
 */
WEFT_API int weft_log_checkpoint_end(weft_log *log);

/* weft_log_checkpoint_abort — give a checkpoint up; the old state is kept.
 *
 * log      the log; without a checkpoint nothing happens
 *
 * Returns  nothing
 * Owns     the checkpoint is given up
 * Threads  as weft_log_checkpoint_begin
 * Progress deletes a file
 * Order    none
 * Cost     O(1)
 */
WEFT_API void weft_log_checkpoint_abort(weft_log *log);

WEFT_END_DECLS

#endif
