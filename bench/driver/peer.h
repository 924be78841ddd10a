/* SPDX-License-Identifier: MIT */
/* Peers: what their descriptions say, and where their executables are. */
#ifndef WEFT_BENCH_DRIVER_PEER_H
#define WEFT_BENCH_DRIVER_PEER_H

#include <stdbool.h>
#include <stddef.h>

enum { WEFT_PEERS_MAX = 64, WEFT_PEER_TEXT = 256 };

#define WEFT_PEER_OWN "weft-lockfree" /* the map that is judged */
#define WEFT_PEER_PLAIN "c-mutex"     /* a plain table under a mutex */

typedef enum weft_peer_status {
    WEFT_PEER_OK,
    WEFT_PEER_MISSING,
    WEFT_PEER_FAILED,
    WEFT_PEER_WRONG,
} weft_peer_status;

typedef struct weft_peer {
    char id[64];
    char name[WEFT_PEER_TEXT];
    char language[32];
    char upstream[WEFT_PEER_TEXT];
    char version[64];
    char licence[64];
    char install[WEFT_PEER_TEXT];
    char maps[WEFT_PEER_TEXT];
    char sources[WEFT_PEER_TEXT];
    char remark[WEFT_PEER_TEXT];
    bool control;
    char path[4096];     /* of the executable, "" if there is none */
    const char *replays; /* NULL, or: the executable is this program, which has the map itself */
    bool set_aside;      /* not for the present workload */
    weft_peer_status status;
    char note[WEFT_PEER_TEXT]; /* what is wrong, or was left out */
    int far_behind[2];         /* cells of each shape in which it had no chance */
} weft_peer;

typedef struct weft_peers {
    weft_peer *list;
    size_t count;
} weft_peers;

/* All peers that are described or there, by id, weft's own first. 0, or the exit code after a
 * message. */
int weft_peers_find(weft_peers *peers);

/* Maps that this program replays itself, as a peer in a process of its own: weft's engines, and the
 * plain table under a mutex. */
int weft_peers_self(weft_peers *peers);

/* Keep those of a list "all", "none" (only weft's own) or "ID,ID…" (weft's default engine is always
 * among them). */
int weft_peers_select(weft_peers *peers, const char *ids);
/* The folder, within that of the peers, of programs that `make peers` builds and that are none. */
#define WEFT_PEERS_PROGRAMS ".programs"

/* The path of such a program; false: it is not there. */
bool weft_peers_program(const char *name, char *path, size_t size);

void weft_peers_free(weft_peers *peers);

bool weft_peer_is_own(const weft_peer *peer);
const char *weft_peer_status_name(weft_peer_status status);

/* Say once what is wrong with a peer, or what was left out. */
void weft_peer_note(weft_peer *peer, weft_peer_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
