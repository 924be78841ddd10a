/* SPDX-License-Identifier: MIT */
/* `weft bench peers`: which there are, and what is missing. */
#include "base/exit.h"
#include "bench.h"
#include "peer.h"
#include <stdio.h>
#include <string.h>

int weft_bench_peers(int argc, char **argv) {
    weft_peers peers;
    if (argc > 1) {
        bool help = strcmp(argv[1], "--help") == 0;
        fprintf(help ? stdout : stderr, "usage: weft bench peers\n");
        return help ? WEFT_EXIT_FINE : WEFT_EXIT_USAGE;
    }
    int code = weft_peers_find(&peers);
    for (size_t i = 0; i < peers.count && code == 0; i++) {
        const weft_peer *peer = &peers.list[i];
        printf("%-16s %-8s %-36.36s %-6s %s\n", peer->id, weft_peer_status_name(peer->status),
               peer->name, peer->language, peer->status == WEFT_PEER_OK ? peer->path : peer->note);
    }
    weft_peers_free(&peers);
    return code;
}
