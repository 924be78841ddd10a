/* SPDX-License-Identifier: MIT */
#include "serve_connection.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { INPUT_ROOM = 64 * 1024, OUTPUT_ROOM = 16 * 1024 };

/* Have `size` bytes of room behind the end. */
static bool make_room(weft_serve_buffer *buffer, size_t size) {
    if (buffer->room - buffer->end >= size) {
        return true;
    }
    size_t held = buffer->end - buffer->first;
    memmove(buffer->data, buffer->data + buffer->first, held);
    buffer->first = 0;
    buffer->end = held;
    size_t room = buffer->room;
    while (room - held < size) {
        room *= 2;
    }
    char *data = room == buffer->room ? buffer->data : realloc(buffer->data, room);
    if (data == NULL) {
        return false;
    }
    buffer->data = data;
    buffer->room = room;
    return true;
}

static bool allocate(weft_serve_connection *connection) {
    connection->out = (weft_serve_buffer){.data = malloc(OUTPUT_ROOM), .room = OUTPUT_ROOM};
    connection->in = (weft_serve_buffer){.data = malloc(INPUT_ROOM), .room = INPUT_ROOM};
    connection->pending = calloc(connection->capacity, sizeof *connection->pending);
    return connection->out.data != NULL && connection->in.data != NULL &&
           connection->pending != NULL;
}

static int connect_socket(int fd, uint16_t port, double timeout) {
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {(time_t)timeout, (suseconds_t)((timeout - (time_t)timeout) * 1e6)};
    int yes = 1;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        return errno == EINPROGRESS ? ETIMEDOUT : errno;
    }
    return 0;
}

int weft_serve_connect(weft_serve_connection *connection, uint16_t port, unsigned capacity,
                       double timeout) {
    *connection = (weft_serve_connection){.fd = -1, .capacity = capacity};
    if (!allocate(connection)) {
        return ENOMEM;
    }
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return connection->fd < 0 ? errno : connect_socket(connection->fd, port, timeout);
}

void weft_serve_disconnect(weft_serve_connection *connection) {
    if (connection->fd >= 0) {
        close(connection->fd);
    }
    free(connection->out.data);
    free(connection->in.data);
    free(connection->pending);
    *connection = (weft_serve_connection){.fd = -1};
}

bool weft_serve_queue(weft_serve_connection *connection, const weft_serve_codec *codec,
                      const weft_serve_request *request, uint64_t due) {
    weft_serve_buffer *out = &connection->out;
    if (!make_room(out, codec->room(request))) {
        return false;
    }
    out->end += codec->encode(out->data + out->end, request);
    if (connection->count == 0) {
        connection->progress = due;
    }
    unsigned place = (connection->first + connection->count++) % connection->capacity;
    connection->pending[place] = (weft_serve_pending){due, request->index, request->op};
    return true;
}

int weft_serve_send(weft_serve_connection *connection) {
    weft_serve_buffer *out = &connection->out;
    while (out->first < out->end) {
        ssize_t sent = send(connection->fd, out->data + out->first, out->end - out->first,
                            MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EINTR) {
            return errno == EAGAIN ? 0 : errno;
        }
        out->first += sent > 0 ? (size_t)sent : 0;
    }
    out->first = 0;
    out->end = 0;
    return 0;
}

int weft_serve_receive(weft_serve_connection *connection) {
    weft_serve_buffer *in = &connection->in;
    if (in->first == in->end) {
        in->first = 0;
        in->end = 0;
    }
    if (!make_room(in, INPUT_ROOM / 4)) {
        return ENOMEM;
    }
    ssize_t got;
    do {
        got = recv(connection->fd, in->data + in->end, in->room - in->end, MSG_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    if (got > 0) {
        in->end += (size_t)got;
        return 0;
    }
    return got == 0 ? EPIPE : errno;
}

const weft_serve_pending *weft_serve_oldest(const weft_serve_connection *connection) {
    return &connection->pending[connection->first];
}

void weft_serve_answered(weft_serve_connection *connection, size_t size) {
    connection->in.first += size;
    connection->first = (connection->first + 1) % connection->capacity;
    connection->count--;
}
