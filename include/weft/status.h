/* SPDX-License-Identifier: MIT */
/* Status codes: 0 is success, above 0 a normal outcome, below 0 an error. One table. */
#ifndef WEFT_STATUS_H
#define WEFT_STATUS_H

#include <weft/export.h>

/* X(name, code, sentence). A code never changes its meaning; new ones are appended. */
#define WEFT_STATUS_TABLE(X)                                                                       \
    X(WEFT_OK, 0, "done")                                                                          \
    X(WEFT_NOT_FOUND, 1, "the key is not in the map")                                              \
    X(WEFT_EXISTS, 2, "the key is in the map already")                                             \
    X(WEFT_MISMATCH, 3, "the value or version in the map is not the expected one")                 \
    X(WEFT_UNCHANGED, 4, "the callback kept the value as it was")                                  \
    X(WEFT_ABORTED, 5, "the callback aborted the operation")                                       \
    X(WEFT_TRUNCATED, 6, "the buffer is too small; size holds what is needed")                     \
    X(WEFT_E_NOMEM, -1, "out of memory; nothing was changed")                                      \
    X(WEFT_E_FULL, -2, "the container is at its fixed capacity")                                   \
    X(WEFT_E_BUSY, -3, "the object is in use; try again later")                                    \
    X(WEFT_E_REENTRANT, -4, "the caller already holds a claim on this key")                        \
    X(WEFT_E_CLOSED, -5, "the object is closed")                                                   \
    X(WEFT_E_INVALID, -6, "an argument is invalid")                                                \
    X(WEFT_E_UNSUPPORTED, -7, "this engine or mode does not offer the operation")                  \
    X(WEFT_E_TOOBIG, -8, "a key or value is larger than the limit")                                \
    X(WEFT_E_IO, -9, "the operating system reported an input or output error")                     \
    X(WEFT_E_CORRUPT, -10, "stored data failed its integrity check")

typedef enum weft_status {
#define WEFT_STATUS_ENUM(name, code, sentence) name = code,
    WEFT_STATUS_TABLE(WEFT_STATUS_ENUM)
#undef WEFT_STATUS_ENUM
} weft_status;

WEFT_BEGIN_DECLS

/* weft_status_name — the spelling of a status code, for logs.
 *
 * status   any integer
 *
 * Returns  "WEFT_OK", "WEFT_E_NOMEM", …; "WEFT_?" for a code that is not in the table
 * Owns     a string constant; never freed
 * Threads  any, at any time
 * Progress wait-free
 * Order    none
 * Cost     a switch
 */
WEFT_API const char *weft_status_name(int status);

/* weft_status_text — the sentence that explains a status code, for people.
 *
 * status   any integer
 *
 * Returns  a sentence without capital or full stop; "unknown status" for a code not in the table
 * Owns     a string constant; never freed
 * Threads  any, at any time
 * Progress wait-free
 * Order    none
 * Cost     a switch
 */
WEFT_API const char *weft_status_text(int status);

WEFT_END_DECLS

#endif
