/* SPDX-License-Identifier: MIT */
/* The servers that are measured: started on a free loopback port with a folder of their own and
 * comparable durability, looked at from outside, and ended. */
#ifndef WEFT_BENCH_SERVE_SERVER_H
#define WEFT_BENCH_SERVE_SERVER_H

#include "serve_codec.h"
#include "serve_connection.h"
#include <sys/types.h>

enum { WEFT_SERVE_ARGUMENTS = 32 };

/* How a kind of server is started. In arguments {port} and {dir} are replaced. */
typedef struct weft_serve_kind {
    const char *id;
    const char *name;
    const char *language;
    const char *licence;
    const char *package; /* what installs it */
    const weft_serve_codec *codec;
    const char *note; /* what sets it apart; "" */
    const char *arguments[WEFT_SERVE_ARGUMENTS];
} weft_serve_kind;

/* weft first, then its peers; `count` of them. */
const weft_serve_kind *weft_serve_kinds(size_t *count);

typedef enum weft_serve_status {
    WEFT_SERVE_OK,
    WEFT_SERVE_MISSING, /* not installed */
    WEFT_SERVE_FAILED,  /* did not start, ended, or stopped answering */
    WEFT_SERVE_WRONG,   /* gave a reply that no correct server gives */
} weft_serve_status;

const char *weft_serve_status_name(weft_serve_status status);

typedef struct weft_serve_server {
    const weft_serve_kind *kind;
    weft_serve_status status;
    char note[256]; /* why it is not OK, or what sets it apart */
    char version[64];
    char program[4096];
    char folder[4096]; /* its own; "" before it is started */
    pid_t pid;         /* 0: does not run */
    uint16_t port;
    weft_serve_connection control;
} weft_serve_server;

/* Look for its program, and ask that for its version. */
void weft_serve_server_find(weft_serve_server *server, const weft_serve_kind *kind);

/* Start it with a new folder below `parent`, and wait until it answers. False: status and note say
 * why. */
bool weft_serve_server_start(weft_serve_server *server, const char *parent);
/* End it at once and remove its folder. Nothing if it does not run. */
void weft_serve_server_stop(weft_serve_server *server);

/* Say why a server gets no figures from now on. */
void weft_serve_server_refuse(weft_serve_server *server, weft_serve_status status,
                              const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Wait until it writes no checkpoint any more. False if it stopped answering. */
bool weft_serve_server_settle(weft_serve_server *server);

/* Seconds of processor time, user and system, of all its threads and of the children that it waited
 * for; 0 if it is gone. */
double weft_serve_server_cpu(const weft_serve_server *server);
/* Resident bytes; 0 if it is gone. */
uint64_t weft_serve_server_resident(const weft_serve_server *server);

#endif
