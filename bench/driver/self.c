/* SPDX-License-Identifier: MIT */
/* The maps that this program replays itself, so that an installed binary needs no other to advise.
 * The replay is that of the peers: their sources, with the names that CMakeLists.txt gives to what
 * they call main. */
#include "base/exit.h"
#include "base/hash.h"
#include "bench.h"
#include "peer.h"
#include "replay_self.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char plain_map[] = "chained"; /* as that peer calls it */

static const char *const maps[] = {
#define WEFT_ENGINE(name, ID, number) #name,
#include <weft/engines.def>
#undef WEFT_ENGINE
    plain_map,
};

enum { MAPS = sizeof maps / sizeof *maps };

/* What the plain table hashes bytes with. */
uint64_t weft_replay_hash(const void *data, size_t size) {
    static unsigned char secret[WEFT_HASH_SECRET_SIZE];
    return weft_hash_bytes(data, size, secret);
}

int weft_peers_self(weft_peers *peers) {
    peers->count = 0;
    peers->list = calloc(MAPS, sizeof *peers->list);
    if (peers->list == NULL) {
        fprintf(stderr, "weft bench: out of memory\n");
        return WEFT_EXIT_ENVIRONMENT;
    }
    for (int i = 0; i < MAPS; i++) {
        weft_peer *peer = &peers->list[peers->count++];
        bool plain = maps[i] == plain_map;
        snprintf(peer->id, sizeof peer->id, plain ? WEFT_PEER_PLAIN : "weft-%s", maps[i]);
        snprintf(peer->name, sizeof peer->name,
                 plain ? "a plain table under a mutex" : "weft, engine %s", maps[i]);
        snprintf(peer->licence, sizeof peer->licence, "MIT");
        snprintf(peer->path, sizeof peer->path, "/proc/self/exe");
        peer->control = plain;
        peer->replays = maps[i];
    }
    return 0;
}

int weft_bench_replay(int argc, char **argv) {
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], "--map") == 0 && strcmp(argv[i + 1], plain_map) == 0) {
            return weft_replay_plain(argc, argv);
        }
    }
    return weft_replay_engines(argc, argv);
}
