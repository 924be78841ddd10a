/* SPDX-License-Identifier: MIT */
/* One connection of the load generator: bytes that go out, bytes that came in, and the requests
 * whose replies are to come, in order. One thread's own. */
#ifndef WEFT_BENCH_SERVE_CONNECTION_H
#define WEFT_BENCH_SERVE_CONNECTION_H

#include "serve_codec.h"

typedef struct weft_serve_pending {
    uint64_t due; /* latency counts from here */
    uint64_t index;
    weft_serve_op op;
} weft_serve_pending;

typedef struct weft_serve_buffer {
    char *data;
    size_t room;
    size_t first; /* bytes before it are done with */
    size_t end;
} weft_serve_buffer;

typedef struct weft_serve_connection {
    int fd;
    bool waits_to_send; /* the socket was full */
    weft_serve_buffer out;
    weft_serve_buffer in;
    weft_serve_pending *pending; /* a ring of `capacity` */
    unsigned capacity;
    unsigned first;
    unsigned count;
    uint64_t progress; /* when it last got a reply, or a request while it waited for none */
} weft_serve_connection;

/* 0, or a positive errno. Connecting, and nothing else, waits at most `timeout` seconds. */
int weft_serve_connect(weft_serve_connection *connection, uint16_t port, unsigned capacity,
                       double timeout);
void weft_serve_disconnect(weft_serve_connection *connection);

/* Put a request behind the others; there must be a place. False without memory. */
bool weft_serve_queue(weft_serve_connection *connection, const weft_serve_codec *codec,
                      const weft_serve_request *request, uint64_t due);

/* Send what the socket takes; 0, or a positive errno. */
int weft_serve_send(weft_serve_connection *connection);

/* Receive what is there, at most a buffer; 0, or a positive errno: EAGAIN if nothing is there,
 * EPIPE if the server closed the connection. */
int weft_serve_receive(weft_serve_connection *connection);

/* The request that the next reply belongs to. Only if count is not 0. */
const weft_serve_pending *weft_serve_oldest(const weft_serve_connection *connection);

/* A reply was understood: so many bytes and the oldest request are done with. */
void weft_serve_answered(weft_serve_connection *connection, size_t size);

#endif
