/* SPDX-License-Identifier: MIT */
/* Listening sockets. Each loop has a TCP socket of its own on the same port (SO_REUSEPORT), so
 * that the kernel deals connections out; all loops share the Unix socket.
 *
 * The first TCP socket is bound without SO_REUSEPORT, which claims the port for this process alone
 * or fails; the option is set afterwards, for the sockets of the other loops to join. */
#include "base/clock.h"
#include "base/file.h"
#include "server/runtime.h"
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 4096, ACCEPTS_AT_ONCE = 256, REST_NS = 200000000 };

static const char refusal[] = "-ERR max number of clients reached\r\n";

static void complain(const char *what, const char *hint) {
    fprintf(stderr, "weft: cannot listen on %s: %s%s\n", what, strerror(errno), hint);
}

/* A socket bound to the address; `join`: to a port that this process has already. */
static int bind_tcp(const struct addrinfo *address, bool join) {
    int on = 1;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    bool bound = (!join || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0) &&
                 bind(fd, address->ai_addr, address->ai_addrlen) == 0 &&
                 (join || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0) &&
                 listen(fd, BACKLOG) == 0;
    if (bound) {
        return fd;
    }
    int reason = errno;
    close(fd);
    errno = reason;
    return -1;
}

static bool open_tcp(weft_runtime *runtime) {
    const weft_node_options *options = &runtime->node->options;
    char port[8];
    char where[300];
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *address = NULL;
    snprintf(port, sizeof port, "%u", options->port);
    snprintf(where, sizeof where, "%s port %s", options->bind, port);
    int status = getaddrinfo(options->bind, port, &hints, &address);
    if (status != 0) {
        fprintf(stderr, "weft: --bind %s is no address of this machine: %s\n", options->bind,
                gai_strerror(status));
        return false;
    }
    bool good = true;
    for (uint32_t i = 0; i < runtime->loop_count && good; i++) {
        runtime->loops[i].tcp_fd = bind_tcp(address, i != 0);
        good = runtime->loops[i].tcp_fd >= 0;
    }
    if (!good) {
        complain(where, errno == EADDRINUSE ? "; another program has the port: stop it, or choose "
                                              "another one with --port"
                                            : "");
    }
    freeaddrinfo(address);
    return good;
}

/* Is there a socket at the path that nobody answers any more? */
static bool is_abandoned(const struct sockaddr_un *address) {
    struct stat info;
    if (stat(address->sun_path, &info) != 0 || !S_ISSOCK(info.st_mode)) {
        return false;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    bool refused = connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 &&
                   errno == ECONNREFUSED;
    close(fd);
    return refused;
}

static bool open_unix(weft_runtime *runtime) {
    const char *path = runtime->node->options.unix_path;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        fprintf(stderr, "weft: --unix %s: the path of a socket has at most %zu bytes\n", path,
                sizeof address.sun_path - 1);
        return false;
    }
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int status = bind(fd, (struct sockaddr *)&address, sizeof address);
    if (status != 0 && errno == EADDRINUSE) {
        if (is_abandoned(&address) && weft_file_unlink(path) == 0) {
            status = bind(fd, (struct sockaddr *)&address, sizeof address);
        } else {
            errno = EADDRINUSE;
        }
    }
    if (fd < 0 || status != 0 || listen(fd, BACKLOG) != 0) {
        complain(path, errno == EADDRINUSE ? "; another program uses it, or it is no socket" : "");
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    runtime->unix_fd = fd;
    return true;
}

bool weft_listen_open(weft_runtime *runtime) {
    return (runtime->node->options.port == 0 || open_tcp(runtime)) &&
           (runtime->node->options.unix_path == NULL || open_unix(runtime));
}

void weft_listen_close(weft_runtime *runtime) {
    for (uint32_t i = 0; i < runtime->loop_count; i++) {
        if (runtime->loops[i].tcp_fd >= 0) {
            close(runtime->loops[i].tcp_fd);
        }
    }
    if (runtime->unix_fd >= 0) {
        close(runtime->unix_fd);
        weft_file_unlink(runtime->node->options.unix_path);
    }
}

/* Take a client in, or tell it that there are too many. */
static void welcome(weft_loop *loop, int fd, bool unix_socket) {
    weft_runtime *runtime = loop->runtime;
    weft_loop_stats *stats = weft_loop_counters(loop);
    uint32_t others = weft_fetch_add_relaxed(&runtime->session_count, 1);
    if (others >= weft_load_relaxed(&loop->node->options.max_clients)) {
        weft_fetch_add_relaxed(&runtime->session_count, (uint32_t)-1);
        weft_bump(&stats->connections_rejected, 1);
        ssize_t sent = send(fd, refusal, sizeof refusal - 1, MSG_NOSIGNAL);
        (void)sent; /* the client is turned away, told or not */
        close(fd);
        return;
    }
    weft_bump(&stats->connections_accepted, 1);
    weft_connection_open(loop, fd, unix_socket);
}

/* No descriptor is left, and the client that waits would wake the loop for ever: rest a while. */
static WEFT_COLD void rest(weft_loop *loop) {
    if (loop->accept_again_ns == 0) {
        fprintf(stderr, "weft: cannot accept clients: %s; trying again\n", strerror(errno));
    }
    weft_listen_stop(loop);
    loop->accept_again_ns = weft_clock_monotonic_ns() + REST_NS;
}

static void on_accept(evutil_socket_t listener, short what, void *arg) {
    (void)what;
    weft_loop *loop = arg;
    for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            loop->accept_again_ns = 0;
            welcome(loop, fd, listener == loop->runtime->unix_fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            rest(loop);
            return;
        } else if (errno != ECONNABORTED && errno != EINTR) {
            return;
        }
    }
}

void weft_listen_start(weft_loop *loop) {
    if (loop->listening) {
        return;
    }
    loop->listening = true;
    if (loop->tcp_fd >= 0) {
        event_assign(&loop->tcp_event, loop->base, loop->tcp_fd, EV_READ | EV_PERSIST, on_accept,
                     loop);
        event_add(&loop->tcp_event, NULL);
    }
    if (loop->runtime->unix_fd >= 0) {
        event_assign(&loop->unix_event, loop->base, loop->runtime->unix_fd, EV_READ | EV_PERSIST,
                     on_accept, loop);
        event_add(&loop->unix_event, NULL);
    }
}

void weft_listen_stop(weft_loop *loop) {
    if (!loop->listening) {
        return;
    }
    loop->listening = false;
    if (loop->tcp_fd >= 0) {
        event_del(&loop->tcp_event);
    }
    if (loop->runtime->unix_fd >= 0) {
        event_del(&loop->unix_event);
    }
}
