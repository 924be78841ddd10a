/* SPDX-License-Identifier: MIT */
/* main() of a peer: commands on stdin, one JSON line each on stdout. Included last. */
#ifndef REPLAY_MAIN_H
#define REPLAY_MAIN_H

#include "replay_run.h"
#include <ctype.h>
#include <inttypes.h>
#include <limits.h>

#ifndef PEER_LACKS
#define PEER_LACKS(which) ""
#endif
#ifndef PEER_WRITERS
#define PEER_WRITERS(which) 0
#endif
#ifdef REPLAY_MAIN
int REPLAY_MAIN(int argc, char **argv);
#else
#define REPLAY_MAIN main
#endif

typedef struct replay_peer {
    replay_trace trace;
    const replay_shape *shape;
    unsigned which; /* in peer_identities */
    void *map;      /* NULL before prefill and after clear */
    uint64_t entries;
} replay_peer;

/* The arguments of a command line, as far as it has them. */
typedef struct replay_command {
    char name[16];
    unsigned threads;
    double seconds;
    uint64_t offset;
    bool latency;
} replay_command;

static const char *replay_parse_argument(char *word, replay_command *command) {
    char *value = strchr(word, '=');
    char *end = NULL;
    if (value == NULL || !isdigit((unsigned char)value[1]))
        return "an argument is not NAME=NUMBER";
    *value++ = '\0';
    double number = strtod(value, &end);
    if (*end != '\0')
        return "an argument is not NAME=NUMBER";
    if (strcmp(word, "threads") == 0 && number >= 1 && number <= 65536)
        command->threads = (unsigned)number;
    else if (strcmp(word, "seconds") == 0 && number <= 86400)
        command->seconds = number;
    else if (strcmp(word, "offset") == 0)
        command->offset = strtoull(value, NULL, 10);
    else if (strcmp(word, "latency") == 0 && number <= 1)
        command->latency = number != 0;
    else
        return "arguments are threads=1…65536 seconds=0…86400 offset=N latency=0|1";
    return NULL;
}

static const char *replay_parse(char *line, replay_command *command) {
    char *rest = NULL;
    const char *wrong = NULL;
    memset(command, 0, sizeof *command);
    command->threads = 1;
    command->seconds = 1;
    char *word = strtok_r(line, " \t\r\n", &rest);
    snprintf(command->name, sizeof command->name, "%s", word == NULL ? "" : word);
    while (wrong == NULL && (word = strtok_r(NULL, " \t\r\n", &rest)) != NULL)
        wrong = replay_parse_argument(word, command);
    return wrong;
}

/* How many threads may write. */
static unsigned replay_writers(const replay_peer *peer) {
    (void)peer; /* most executables have the same answer for all of their maps */
    unsigned writers = PEER_WRITERS(peer->which);
    return writers != 0 ? writers : UINT_MAX;
}

static void replay_hello(const replay_peer *peer) {
    const replay_identity *identity = &peer_identities[peer->which];
    printf("{\"peer\":\"%s\",\"map\":\"%s\",\"language\":\"%s\",\"version\":\"%s\",\"control\":%s",
           identity->id, identity->map, PEER_LANGUAGE, PEER_VERSION,
           PEER_CONTROL ? "true" : "false");
    if (replay_writers(peer) != UINT_MAX)
        printf(",\"writers\":%u", replay_writers(peer));
    printf(",\"lacks\":[%s]}\n", PEER_LACKS(peer->which));
}

static void replay_drop(replay_peer *peer) {
    if (peer->map != NULL) {
        peer->shape->close(peer->map);
        malloc_trim(0);
    }
    peer->map = NULL;
    peer->entries = 0;
}

static void replay_verify(replay_peer *peer) {
    const replay_trace *trace = &peer->trace;
    replay_job job;
    replay_worker worker;
    memset(&job, 0, sizeof job);
    memset((void *)&worker, 0, sizeof worker);
    job.value_size = trace->header->value_size;
    replay_worker_init(&worker, &job, 0);
    uint64_t begin = replay_now(), h = 0;
    peer_enter();
    void *map = peer->shape->open(peer->which);
    for (uint64_t i = 0; i < trace->prefill_count; i++)
        peer->shape->chunk(map, &trace->chunks[i], &worker);
    for (uint64_t i = 0; i < trace->operation_count; i++)
        h = peer->shape->verify(map, &trace->chunks[trace->prefill_count + i], &worker, h);
    replay_content content = {0, 0};
    peer->shape->walk(map, &content);
    peer_leave();
    uint64_t counted = peer->shape->count(map);
    peer->shape->close(map);
    malloc_trim(0);
    replay_worker_clear(&worker);
    if (counted != content.entries) {
        replay_error("the map's own count is not what a walk finds");
        return;
    }
    printf("{\"checksum\":\"%016" PRIx64 "\",\"entries\":%" PRIu64 ",\"seconds\":%.6f}\n",
           h ^ replay_mix(content.sum + content.entries), content.entries,
           (double)(replay_now() - begin) / 1e9);
}

static void replay_prefill(replay_peer *peer, const replay_command *command) {
    replay_job job;
    replay_result result;
    memset(&job, 0, sizeof job);
    replay_drop(peer);
    if (command->threads > replay_writers(peer)) {
        replay_error("the map has a single writer: prefill threads=1");
        return;
    }
    uint64_t before = replay_rss();
    peer->map = peer->shape->open(peer->which);
    job.shape = peer->shape;
    job.map = peer->map;
    job.chunks = peer->trace.chunks;
    job.count = peer->trace.prefill_count;
    job.threads = command->threads;
    job.value_size = peer->trace.header->value_size;
    replay_carry_out(&job, &result);
    peer->entries = peer->shape->count(peer->map);
    printf("{\"ops\":%" PRIu64 ",\"seconds\":%.9f,\"entries\":%" PRIu64 ",\"rss_before\":%" PRIu64
           ",\"rss_after\":%" PRIu64 "}\n",
           result.counts.operations, result.seconds, peer->entries, before, replay_rss());
}

static void replay_print_run(const replay_result *result, uint64_t before, uint64_t after) {
    const replay_counts *counts = &result->counts;
    printf("{\"ops\":%" PRIu64 ",\"seconds\":%.9f,\"cpu_seconds\":%.6f,\"hits\":%" PRIu64
           ",\"misses\":%" PRIu64 ",\"inserted\":%" PRIu64 ",\"removed\":%" PRIu64,
           counts->operations, result->seconds, result->cpu_seconds, counts->hits,
           counts->reads - counts->hits, counts->inserted, counts->removed);
    printf(",\"entries_before\":%" PRIu64 ",\"entries\":%" PRIu64 ",\"sum\":%" PRIu64, before,
           after, counts->sum);
    const replay_histogram *histogram = &result->histogram;
    if (histogram->samples > 0)
        printf(",\"latency\":{\"samples\":%" PRIu64 ",\"p50\":%" PRIu64 ",\"p90\":%" PRIu64
               ",\"p99\":%" PRIu64 ",\"p999\":%" PRIu64 ",\"max\":%" PRIu64 "}",
               histogram->samples, replay_quantile(histogram, 0.5), replay_quantile(histogram, 0.9),
               replay_quantile(histogram, 0.99), replay_quantile(histogram, 0.999), histogram->max);
    printf("}\n");
}

/* `run` and `once`. */
static void replay_run(replay_peer *peer, const replay_command *command, bool round) {
    replay_job job;
    replay_result result;
    const replay_trace *trace = &peer->trace;
    if (peer->map == NULL) {
        replay_error("no map: prefill first, also without prefill entries");
        return;
    }
    if (command->threads > replay_writers(peer) && trace->codes > 1U << REPLAY_GET) {
        replay_error("the map has a single writer, and the trace writes: threads=1");
        return;
    }
    memset(&job, 0, sizeof job);
    job.shape = peer->shape;
    job.map = peer->map;
    job.chunks = trace->chunks + trace->prefill_count;
    job.count = trace->operation_count;
    job.offset = round ? command->offset : 0;
    job.round = round;
    job.latency = command->latency;
    job.seconds = command->seconds;
    job.threads = command->threads;
    job.value_size = trace->header->value_size;
    replay_carry_out(&job, &result);
    uint64_t before = peer->entries;
    peer->entries = peer->shape->count(peer->map);
    replay_print_run(&result, before, peer->entries);
}

/* false: end. */
static bool replay_obey(replay_peer *peer, char *line) {
    replay_command command;
    const char *wrong = replay_parse(line, &command);
    if (wrong != NULL) {
        replay_error(wrong);
    } else if (strcmp(command.name, "hello") == 0) {
        replay_hello(peer);
    } else if (strcmp(command.name, "verify") == 0) {
        replay_verify(peer);
    } else if (strcmp(command.name, "prefill") == 0) {
        replay_prefill(peer, &command);
    } else if (strcmp(command.name, "run") == 0 || strcmp(command.name, "once") == 0) {
        replay_run(peer, &command, command.name[0] == 'r');
    } else if (strcmp(command.name, "clear") == 0) {
        replay_drop(peer);
        printf("{\"rss_after\":%" PRIu64 "}\n", replay_rss());
    } else if (strcmp(command.name, "quit") == 0) {
        return false;
    } else {
        replay_error("commands are hello verify prefill run once clear quit");
    }
    fflush(stdout);
    return true;
}

/* Which of the executable's maps --map names; without, the one that the executable is called by. */
static unsigned replay_choose_map(const char *map, const char *program) {
    unsigned count = sizeof peer_identities / sizeof *peer_identities;
    const char *slash = strrchr(program, '/');
    program = slash == NULL ? program : slash + 1;
    for (unsigned i = 0; i < count; i++)
        if (strcmp(map != NULL ? peer_identities[i].map : peer_identities[i].id,
                   map != NULL ? map : program) == 0)
            return i;
    if (map != NULL)
        replay_fail("--map: this peer has no such map");
    return 0;
}

static uint64_t replay_count_keys(const replay_trace *trace) {
    const replay_header *header = trace->header;
    return header->distinct != 0 ? header->distinct : header->prefill + header->operations;
}

static void replay_usage(const char *program) {
    fprintf(stderr, "usage: %s [--map NAME] [--expect ENTRIES] --trace FILE\nmaps:", program);
    for (unsigned i = 0; i < sizeof peer_identities / sizeof *peer_identities; i++)
        fprintf(stderr, " %s", peer_identities[i].map);
    fprintf(stderr, "\n");
    exit(2);
}

int REPLAY_MAIN(int argc, char **argv) {
    const char *map = NULL, *path = NULL;
    replay_peer peer;
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 < argc && strcmp(argv[i], "--map") == 0)
            map = argv[i + 1];
        else if (i + 1 < argc && strcmp(argv[i], "--trace") == 0)
            path = argv[i + 1];
        else if (i + 1 < argc && strcmp(argv[i], "--expect") == 0)
            peer_expected.entries = strtoull(argv[i + 1], NULL, 10);
        else
            replay_usage(argv[0]);
    }
    if (path == NULL)
        replay_usage(argv[0]);
    memset(&peer, 0, sizeof peer);
    peer.which = replay_choose_map(map, argv[0]);
    replay_open_trace(&peer.trace, path);
    peer_expected.most_keys = replay_count_keys(&peer.trace);
    peer_expected.key_bytes = peer.trace.longest_key;
    peer_expected.value_bytes = peer.trace.header->value_size;
    peer.shape = peer.trace.header->shape == 0 ? &replay_u64_shape : &replay_bytes_shape;
    char *line = NULL;
    size_t capacity = 0;
    while (getline(&line, &capacity, stdin) > 0 && replay_obey(&peer, line))
        continue;
    free(line);
    replay_drop(&peer);
    return 0;
}

#endif
