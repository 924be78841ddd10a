/* SPDX-License-Identifier: MIT */
#include "keys.h"
#include "draw.h"
#include <ctype.h>
#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/map.h>

enum { WORD_MIN = 2, WORD_MAX = 64, FEW_WORDS = 1000 };

static const uint64_t text_limit = 64 << 20; /* bytes that are read for words */

struct weft_keys {
    weft_key (*at)(weft_keys *keys, uint64_t rank);
    uint64_t seed;
    uint64_t number;
    size_t size;
    unsigned char *room;
    /* words: text[starts[rank]] up to the next zero */
    weft_map known;
    char *text;
    size_t text_used, text_room;
    size_t *starts;
    uint64_t words, wanted;
    uint64_t read;
};

static weft_key number_at(weft_keys *keys, uint64_t rank) {
    keys->number = weft_draw_mix(keys->seed + rank);
    return (weft_key){&keys->number, sizeof keys->number};
}

static weft_key random_at(weft_keys *keys, uint64_t rank) {
    uint64_t word = weft_draw_mix(keys->seed + rank);
    for (size_t at = 0; at < keys->size; at += sizeof word) {
        size_t left = keys->size - at;
        memcpy(keys->room + at, &word, left < sizeof word ? left : sizeof word);
        word = weft_draw_mix(word + 1);
    }
    return (weft_key){keys->room, keys->size};
}

static weft_key word_at(weft_keys *keys, uint64_t rank) {
    const char *word = keys->text + keys->starts[rank];
    return (weft_key){word, strlen(word)};
}

/* Paths as services have them: a few collections, an identity, sometimes what belongs to it. */
static weft_key path_at(weft_keys *keys, uint64_t rank) {
    static const char *const roots[] = {"/api/v1", "/api/v2", "/static", "/shop", "/blog", ""};
    static const char *const kinds[] = {"users",    "orders",   "products", "articles", "images",
                                        "sessions", "invoices", "search",   "comments", "teams"};
    static const char *const tails[] = {
        "", "/edit", "/history", "/items", "/thumbnail.jpg", "/comments", "/status", "/index.html"};
    uint64_t draw = weft_draw_mix(keys->seed + rank);
    const char *root = roots[draw % 6];
    const char *kind = kinds[(draw >> 8) % 10];
    const char *tail = tails[(draw >> 16) % 8];
    /* An odd factor keeps identities apart, and takes their order away. */
    uint64_t identity = (rank * 2654435761u) & 0xffffffff;
    int size = snprintf((char *)keys->room, keys->size, "%s/%s/%llu%s", root, kind,
                        (unsigned long long)identity, tail);
    return (weft_key){keys->room, (size_t)size};
}

static bool add_word(weft_keys *keys, const char *word, size_t size) {
    if (weft_map_insert(&keys->known, weft_bytes_of(word, size), weft_bytes_of(NULL, 0)) !=
        WEFT_OK) {
        return true; /* it is known */
    }
    if (keys->text_used + size + 1 > keys->text_room) {
        size_t room = keys->text_room * 2 + 65536;
        char *text = realloc(keys->text, room);
        if (text == NULL) {
            return false;
        }
        keys->text = text;
        keys->text_room = room;
    }
    keys->starts[keys->words++] = keys->text_used;
    memcpy(keys->text + keys->text_used, word, size);
    keys->text_used += size;
    keys->text[keys->text_used++] = '\0';
    return true;
}

static void read_words(weft_keys *keys, const char *path) {
    FILE *file = fopen(path, "rb");
    char word[WORD_MAX];
    size_t size = 0;
    int c;
    if (file == NULL) {
        return;
    }
    while (keys->words < keys->wanted && keys->read < text_limit) {
        c = getc_unlocked(file);
        keys->read++;
        if (c < 128 && isalpha(c)) {
            size += 1;
            if (size <= WORD_MAX) {
                word[size - 1] = (char)c;
            }
            continue;
        }
        if (size >= WORD_MIN && size <= WORD_MAX && !add_word(keys, word, size)) {
            break;
        }
        size = 0;
        if (c == EOF) {
            break;
        }
    }
    fclose(file);
}

static bool is_text(const char *name) {
    size_t size = strlen(name);
    return strchr(name, '.') == NULL || (size > 4 && strcmp(name + size - 4, ".txt") == 0) ||
           (size > 3 && strcmp(name + size - 3, ".md") == 0);
}

static int by_name(const FTSENT **a, const FTSENT **b) {
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* All texts under a path, in the order of their names. */
static bool walk(weft_keys *keys, const char *path) {
    char *paths[] = {(char *)path, NULL};
    FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, by_name);
    FTSENT *entry;
    if (tree == NULL) {
        return false;
    }
    bool there = true;
    while (keys->words < keys->wanted && (entry = fts_read(tree)) != NULL) {
        if (entry->fts_level == 0 && entry->fts_info == FTS_NS) {
            there = false;
        } else if (entry->fts_info == FTS_F &&
                   (entry->fts_level == 0 || is_text(entry->fts_name))) {
            read_words(keys, entry->fts_path);
        }
    }
    fts_close(tree);
    return there;
}

static bool make_up_words(weft_keys *keys) {
    static const char *const syllables[] = {"ba",  "ce",  "di", "fo",  "gu",  "han", "jel", "kin",
                                            "lor", "mus", "na", "per", "qui", "rot", "sul", "ta"};
    for (uint64_t i = 0; keys->words < keys->wanted; i++) {
        char word[WORD_MAX] = "";
        for (uint64_t rest = i + 1; rest != 0; rest >>= 4) {
            strcat(word, syllables[rest & 15]);
        }
        if (!add_word(keys, word, strlen(word))) {
            return false;
        }
    }
    return true;
}

static bool open_words(weft_keys *keys, weft_workload *workload, const char *text) {
    static const char *const usual[] = {"/usr/share/common-licenses", "/usr/share/doc"};
    keys->wanted = workload->keys;
    keys->starts = calloc(workload->keys, sizeof *keys->starts);
    if (keys->starts == NULL) {
        return false;
    }
    if (text != NULL && (!walk(keys, text) || keys->words == 0)) {
        fprintf(stderr,
                "weft bench: --text %s: no words there; allowed: a file or folder of text\n", text);
        return false;
    }
    for (size_t i = 0; i < 2 && text == NULL; i++) {
        walk(keys, usual[i]);
    }
    if (text == NULL && keys->words < FEW_WORDS && keys->words < keys->wanted) {
        fprintf(stderr,
                "weft bench: %s: this machine has no texts under /usr/share: the words are "
                "made up; --text FILE takes real ones\n",
                workload->name);
        if (!make_up_words(keys)) {
            return false;
        }
    }
    if (keys->words < workload->keys) {
        fprintf(stderr, "weft bench: %s: %llu different words instead of %llu\n", workload->name,
                (unsigned long long)keys->words, (unsigned long long)workload->keys);
        workload->prefill =
            (uint64_t)((double)workload->prefill * (double)keys->words / (double)workload->keys);
        workload->keys = keys->words;
    }
    return true;
}

static bool open_source(weft_keys *keys, weft_workload *workload, const char *text) {
    if (workload->shape == WEFT_TRACE_U64) {
        keys->at = number_at;
        return true;
    }
    keys->at = workload->key_source == WEFT_KEYS_WORDS   ? word_at
               : workload->key_source == WEFT_KEYS_PATHS ? path_at
                                                         : random_at;
    if (workload->key_source == WEFT_KEYS_WORDS) {
        return open_words(keys, workload, text);
    }
    keys->size = workload->key_source == WEFT_KEYS_PATHS ? 128 : workload->key_bytes;
    keys->room = malloc(keys->size);
    return keys->room != NULL;
}

weft_keys *weft_keys_open(weft_workload *workload, const char *text) {
    weft_keys *keys = calloc(1, sizeof *keys);
    if (keys == NULL) {
        fprintf(stderr, "weft bench: out of memory\n");
        return NULL;
    }
    keys->seed = workload->seed;
    if (!open_source(keys, workload, text)) {
        weft_keys_close(keys);
        return NULL;
    }
    return keys;
}

void weft_keys_close(weft_keys *keys) {
    weft_map_close(&keys->known);
    free(keys->room);
    free(keys->text);
    free(keys->starts);
    free(keys);
}

weft_key weft_keys_at(weft_keys *keys, uint64_t rank) {
    return keys->at(keys, rank);
}
