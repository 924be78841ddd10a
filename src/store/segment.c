/* SPDX-License-Identifier: MIT */
/* Log files: made whole or not at all, left synchronized. */
#include "base/assert.h"
#include "base/file.h"
#include "store/log.h"

#include <errno.h>

static int fill(weft_log *log, int fd, weft_store_segment *segment) {
    unsigned char header[WEFT_STORE_FILE_HEADER_SIZE];
    weft_store_put_file_header(&log->key, WEFT_STORE_SEGMENT, segment->first_lsn, header);
    int error = weft_file_allocate(fd, 0, segment->size);
    if (error != 0 && error != -EOPNOTSUPP) {
        return error;
    }
    error = weft_file_pwrite(fd, header, sizeof header, 0);
    return error ? error : weft_file_sync(fd);
}

/* The file gets its name when its header is durable: under this name there is no half one, ever. */
int weft_store_segment_create(weft_log *log, uint64_t first_lsn, uint64_t frame_bytes) {
    WEFT_ASSERT(log->segment.fd < 0 && first_lsn != 0);
    char unfinished[WEFT_STORE_PATH_MAX];
    char path[WEFT_STORE_PATH_MAX];
    weft_store_path(log, WEFT_STORE_NAME_LOG_TMP, first_lsn, unfinished);
    weft_store_path(log, WEFT_STORE_NAME_LOG, first_lsn, path);
    weft_store_segment segment = {.first_lsn = first_lsn,
                                  .offset = WEFT_STORE_FILE_HEADER_SIZE,
                                  .size = WEFT_STORE_FILE_HEADER_SIZE + frame_bytes};
    if (segment.size < log->options.segment_bytes) {
        segment.size = log->options.segment_bytes;
    }
    segment.fd = weft_file_open(unfinished, O_RDWR | O_CREAT | O_TRUNC, 0640);
    if (segment.fd < 0) {
        return segment.fd;
    }
    int error = fill(log, segment.fd, &segment);
    if (error == 0) {
        error = weft_file_rename(unfinished, path);
    }
    if (error == 0) {
        error = weft_file_sync_directory(log->directory);
    }
    if (error) {
        (void)weft_file_close(segment.fd);
        (void)weft_file_unlink(unfinished);
        return error;
    }
    log->segment = segment;
    return 0;
}

/* Nothing may be written to the next file before this one is durable: then only the last file can
 * have a torn end. */
int weft_store_segment_finish(weft_log *log) {
    WEFT_ASSERT(log->segment.fd >= 0);
    /* Gives the rest of the preallocation back; the file is as good with it. */
    (void)weft_file_truncate(log->segment.fd, log->segment.offset);
    int error = weft_file_sync(log->segment.fd);
    (void)weft_file_close(log->segment.fd);
    log->segment.fd = -1;
    return error;
}
