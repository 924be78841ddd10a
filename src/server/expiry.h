/* SPDX-License-Identifier: MIT */
/* Lifetimes and deadlines in arguments. */
#ifndef WEFT_SERVER_EXPIRY_H
#define WEFT_SERVER_EXPIRY_H

#include "server/command.h"

typedef enum weft_time_unit { WEFT_SECONDS, WEFT_MILLISECONDS } weft_time_unit;

/* How to read a time argument. */
typedef struct weft_time {
    weft_time_unit unit;
    int64_t from_ms; /* added to it: now, or 0 if the argument is absolute */
} weft_time;

static inline weft_time weft_time_base(const weft_session *session, weft_time_unit unit,
                                       bool absolute) {
    weft_time time = {unit, absolute ? 0 : weft_node_now_ms(session)};
    return time;
}

/* The deadline that an argument stands for; false after the error reply. The first one also
 * refuses what is not above 0, as commands that store a value do. */
bool weft_lifetime_argument(weft_session *session, weft_bytes argument, weft_time time,
                            int64_t *deadline);
bool weft_deadline_argument(weft_session *session, weft_bytes argument, weft_time time,
                            int64_t *deadline);

#endif
