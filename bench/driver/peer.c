/* SPDX-License-Identifier: MIT */
#include "peer.h"
#include "base/exit.h"
#include "bench.h"
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A key of peer.toml, and where its value goes. */
typedef struct field {
    const char *name;
    size_t at;
    size_t size;
} field;

#define FIELD(key, member)                                                                         \
    { key, offsetof(weft_peer, member), sizeof((weft_peer *)0)->member }

static const field fields[] = {
    FIELD("id", id),           FIELD("name", name),       FIELD("language", language),
    FIELD("version", version), FIELD("licence", licence), FIELD("upstream", upstream),
    FIELD("install", install), FIELD("maps", maps),       FIELD("sources", sources),
    FIELD("note", remark),
};

enum { FIELDS = sizeof fields / sizeof *fields };

static int refuse(const char *path, int line, const char *what, const char *allowed) {
    fprintf(stderr, "weft bench: %s:%d: %s; allowed: %s\n", path, line, what, allowed);
    return WEFT_EXIT_USAGE;
}

static bool store(weft_peer *peer, const char *key, const char *value) {
    if (strcmp(key, "control") == 0) {
        peer->control = strcmp(value, "yes") == 0;
        return peer->control || strcmp(value, "no") == 0;
    }
    for (int i = 0; i < FIELDS; i++) {
        if (strcmp(fields[i].name, key) == 0 && strlen(value) < fields[i].size) {
            strcpy((char *)peer + fields[i].at, value);
            return true;
        }
    }
    return false;
}

/* A line `key = "value"`. 0, or the exit code. */
static int take_line(weft_peer *peer, char *line, const char *path, int number) {
    char key[32];
    char value[WEFT_PEER_TEXT];
    int end = 0;
    line[strcspn(line, "\n")] = '\0';
    if (line[0] == '\0' || line[0] == '#') {
        return 0;
    }
    if (strchr(line, '\\') != NULL) {
        return refuse(path, number, "a backslash", "values without escapes");
    }
    value[0] = '\0';
    bool empty = sscanf(line, "%31[a-z] = \"\"%n", key, &end) == 1 && end > 0;
    if (!empty && (sscanf(line, "%31[a-z] = \"%255[^\"]\"%n", key, value, &end) != 2 || end == 0)) {
        return refuse(path, number, "no line of a description", "key = \"value\"");
    }
    if (line[end] != '\0') {
        return refuse(path, number, "something after the value", "key = \"value\"");
    }
    if (!store(peer, key, value)) {
        return refuse(path, number, "an unknown key, or its value is too long",
                      "id, name, language, upstream, version, licence, install, maps, control "
                      "(\"yes\" or \"no\"), sources and note");
    }
    return 0;
}

static int read_description(weft_peer *peer, const char *path) {
    char line[1024];
    FILE *file = fopen(path, "r");
    int code = 0;
    *peer = (weft_peer){0};
    if (file == NULL) {
        return 0;
    }
    for (int number = 1; code == 0 && fgets(line, sizeof line, file) != NULL; number++) {
        code = take_line(peer, line, path, number);
    }
    fclose(file);
    if (code == 0 && (peer->id[0] == '\0' || peer->name[0] == '\0')) {
        code = refuse(path, 1, "id or name is missing", "a description with id and name");
    }
    return code;
}

static weft_peer *peer_of(weft_peers *peers, const char *id) {
    for (size_t i = 0; i < peers->count; i++) {
        if (strcmp(peers->list[i].id, id) == 0) {
            return &peers->list[i];
        }
    }
    return NULL;
}

static void add(weft_peers *peers, const weft_peer *peer) {
    if (peer->id[0] != '\0' && peers->count < WEFT_PEERS_MAX && peer_of(peers, peer->id) == NULL) {
        peers->list[peers->count++] = *peer;
    }
}

/* The descriptions of the source tree or the installation: FOLDER/peers/ID/peer.toml. */
static int read_descriptions(weft_peers *peers) {
    char path[4700];
    snprintf(path, sizeof path, "%s/peers", weft_bench_folder());
    DIR *folder = opendir(path);
    const struct dirent *entry;
    int code = 0;
    while (folder != NULL && code == 0 && (entry = readdir(folder)) != NULL) {
        weft_peer peer;
        snprintf(path, sizeof path, "%s/peers/%s/peer.toml", weft_bench_folder(), entry->d_name);
        code = read_description(&peer, path);
        add(peers, &peer);
    }
    if (folder != NULL) {
        closedir(folder);
    }
    return code;
}

static bool ends_with(const char *text, const char *end) {
    size_t size = strlen(text);
    return size > strlen(end) && strcmp(text + size - strlen(end), end) == 0;
}

static int take_entry(weft_peers *peers, const char *folder, const char *name) {
    char path[sizeof(((weft_peer *)0)->path)];
    weft_peer peer = {0};
    int length = snprintf(path, sizeof path, "%s/%s", folder, name);
    if (name[0] == '.' || length >= (int)sizeof path) {
        return 0;
    }
    if (ends_with(name, ".toml")) {
        int code = read_description(&peer, path);
        add(peers, &peer);
        return code;
    }
    if (strchr(name, '.') != NULL || strlen(name) >= sizeof peer.id || access(path, X_OK) != 0) {
        return 0;
    }
    weft_peer *known = peer_of(peers, name);
    if (known == NULL) {
        snprintf(peer.id, sizeof peer.id, "%s", name);
        snprintf(peer.name, sizeof peer.name, "%s", name);
        add(peers, &peer);
        known = peer_of(peers, name);
    }
    if (known != NULL && known->path[0] == '\0') {
        strcpy(known->path, path);
    }
    return 0;
}

/* What is in one folder of executables. */
static int search(weft_peers *peers, const char *path) {
    struct dirent **names = NULL;
    int count = scandir(path, &names, NULL, alphasort);
    int code = 0;
    for (int i = 0; i < count; i++) {
        if (code == 0 && names[i]->d_type != DT_DIR) {
            code = take_entry(peers, path, names[i]->d_name);
        }
        free(names[i]);
    }
    free(names);
    return code;
}

enum { PLACES = 4 };

/* Where executables may be, the first places first; false: this place is nowhere. */
static bool place_of(int place, char *path, size_t size) {
    const char *named = getenv("WEFT_PEERS");
    bool is_named = named != NULL && *named != '\0';
    switch (place) {
    case 0:
        return is_named && snprintf(path, size, "%s", named) < (int)size;
    case 1:
        return !is_named && weft_bench_beside(path, size, "peers");
    case 2:
        return !is_named && weft_bench_beside(path, size, WEFT_PEERS_INSTALLED);
    default:
        return !is_named &&
               snprintf(path, size, "%s/../build/peers", weft_bench_folder()) < (int)size;
    }
}

static int search_all(weft_peers *peers) {
    char path[4200];
    int code = 0;
    for (int i = 0; i < PLACES && code == 0; i++) {
        code = place_of(i, path, sizeof path) ? search(peers, path) : 0;
    }
    return code;
}

bool weft_peers_program(const char *name, char *path, size_t size) {
    char folder[4200];
    for (int i = 0; i < PLACES; i++) {
        if (place_of(i, folder, sizeof folder) &&
            snprintf(path, size, "%s/" WEFT_PEERS_PROGRAMS "/%s", folder, name) < (int)size &&
            access(path, X_OK) == 0) {
            return true;
        }
    }
    return false;
}

bool weft_peer_is_own(const weft_peer *peer) {
    return strncmp(peer->id, "weft-", 5) == 0;
}

/* The map that is judged, then weft's others, then the rest, controls last. */
static int rank_of(const weft_peer *peer) {
    if (strcmp(peer->id, WEFT_PEER_OWN) == 0) {
        return 0;
    }
    return weft_peer_is_own(peer) ? 1 : peer->control ? 3 : 2;
}

static int by_rank(const void *a, const void *b) {
    int difference = rank_of(a) - rank_of(b);
    return difference != 0 ? difference
                           : strcmp(((const weft_peer *)a)->id, ((const weft_peer *)b)->id);
}

int weft_peers_find(weft_peers *peers) {
    peers->count = 0;
    peers->list = calloc(WEFT_PEERS_MAX, sizeof *peers->list);
    if (peers->list == NULL) {
        fprintf(stderr, "weft bench: out of memory\n");
        return WEFT_EXIT_ENVIRONMENT;
    }
    int code = read_descriptions(peers);
    code = code != 0 ? code : search_all(peers);
    for (size_t i = 0; i < peers->count; i++) {
        weft_peer *peer = &peers->list[i];
        if (peer->path[0] == '\0') {
            weft_peer_note(peer, WEFT_PEER_MISSING, "'make peers' builds it%s%s",
                           peer->install[0] != '\0' ? ", with " : "", peer->install);
        }
    }
    qsort(peers->list, peers->count, sizeof *peers->list, by_rank);
    return code;
}

static bool is_listed(const char *ids, const char *id) {
    size_t size = strlen(id);
    for (const char *at = ids; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, id, size) == 0 && (at[size] == ',' || at[size] == '\0')) {
            return true;
        }
    }
    return false;
}

static int check_ids(weft_peers *peers, const char *ids) {
    char copy[1024];
    char *rest = NULL;
    snprintf(copy, sizeof copy, "%s", ids);
    for (char *id = strtok_r(copy, ",", &rest); id != NULL; id = strtok_r(NULL, ",", &rest)) {
        if (peer_of(peers, id) == NULL) {
            fprintf(stderr,
                    "weft bench: --peers: there is no peer '%s'; allowed: all, none, or ids "
                    "that 'weft bench peers' lists\n",
                    id);
            return WEFT_EXIT_USAGE;
        }
    }
    return 0;
}

int weft_peers_select(weft_peers *peers, const char *ids) {
    bool none = strcmp(ids, "none") == 0;
    if (strcmp(ids, "all") == 0) {
        return 0;
    }
    int code = none ? 0 : check_ids(peers, ids);
    size_t kept = 0;
    for (size_t i = 0; i < peers->count; i++) {
        const weft_peer *peer = &peers->list[i];
        bool keep = none ? weft_peer_is_own(peer)
                         : is_listed(ids, peer->id) || strcmp(peer->id, WEFT_PEER_OWN) == 0;
        if (keep) {
            peers->list[kept++] = *peer;
        }
    }
    peers->count = kept;
    return code;
}

void weft_peers_free(weft_peers *peers) {
    free(peers->list);
    *peers = (weft_peers){0};
}

const char *weft_peer_status_name(weft_peer_status status) {
    static const char *const names[] = {"ok", "missing", "failed", "wrong"};
    return names[status];
}

void weft_peer_note(weft_peer *peer, weft_peer_status status, const char *format, ...) {
    va_list list;
    peer->status = status != WEFT_PEER_OK ? status : peer->status;
    va_start(list, format);
    vsnprintf(peer->note, sizeof peer->note, format, list);
    va_end(list);
}
