/* SPDX-License-Identifier: MIT */
/* Sequences of commands from untrusted clients, on a node without network. The input is a small
 * program: which client runs which command with which arguments, and when time passes. What must
 * hold: each command is answered by one well-formed reply of the client's protocol; and the changes
 * that the commands journaled, applied to nothing in their order, give what is in the map in the
 * end. */
#include "server/command.h"
#include "server/transaction.h"
#include "unit/fake_node.h"
#include <limits.h>

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

enum { WORDS_MAX = 10, KEYS_MAX = 512, OFFSET_DIGITS_MAX = 5, STEPS_MAX = 400 };

/* ---- the keys as the journal tells them ---- */

typedef struct shadow_entry {
    char *key;
    size_t key_size;
    char *value;
    size_t value_size;
} shadow_entry;

static shadow_entry shadow[KEYS_MAX];
static size_t shadow_size;

static char *copy_of(weft_bytes one, weft_bytes two) {
    char *copy = malloc(one.size + two.size + 1);
    REQUIRE(copy != NULL);
    if (one.size != 0) {
        memcpy(copy, one.data, one.size);
    }
    if (two.size != 0) {
        memcpy(copy + one.size, two.data, two.size);
    }
    return copy;
}

static shadow_entry *shadow_find(weft_bytes key) {
    for (size_t i = 0; i < shadow_size; i++) {
        if (shadow[i].key_size == key.size && memcmp(shadow[i].key, key.data, key.size) == 0) {
            return &shadow[i];
        }
    }
    return NULL;
}

static void shadow_drop(shadow_entry *entry) {
    free(entry->key);
    free(entry->value);
    *entry = shadow[--shadow_size];
}

static void shadow_clear(void) {
    while (shadow_size != 0) {
        shadow_drop(&shadow[0]);
    }
}

static void shadow_apply(const weft_bytes *key, const weft_fresh *value) {
    if (key == NULL) {
        shadow_clear();
        return;
    }
    shadow_entry *entry = shadow_find(*key);
    if (value == NULL) {
        if (entry != NULL) {
            shadow_drop(entry);
        }
        return;
    }
    if (entry == NULL) {
        REQUIRE(shadow_size < KEYS_MAX);
        entry = &shadow[shadow_size++];
        *entry =
            (shadow_entry){.key = copy_of(*key, weft_bytes_of(NULL, 0)), .key_size = key->size};
    }
    char *bytes = copy_of(value->head, value->body);
    free(entry->value);
    entry->value = bytes;
    entry->value_size = value->head.size + value->body.size;
}

static bool compare_entry(void *ctx, const weft_view *view) {
    const shadow_entry *entry = shadow_find(view->key);
    ++*(size_t *)ctx;
    REQUIRE(entry != NULL);
    REQUIRE(entry->value_size == view->value.size);
    REQUIRE(memcmp(entry->value, view->value.data, view->value.size) == 0);
    return true;
}

/* ---- replies ---- */

/* A subcommand's way of finding its keys, in COMMAND's reply, in EXEC's. */
enum { DEPTH_MAX = 9 };

static const char *reply_end(const char *at, const char *end, unsigned depth);

static const char *items_end(const char *at, const char *end, long count, unsigned depth) {
    for (long i = 0; i < count && at != NULL; i++) {
        at = reply_end(at, end, depth + 1);
    }
    return at;
}

/* The number of a header line that ends before `end`; no byte from there on is looked at. */
static long header_number(const char *at, const char *end) {
    bool negative = at < end && *at == '-';
    long number = 0;
    for (at += negative; at < end && *at >= '0' && *at <= '9' && number < LONG_MAX / 16; at++) {
        number = number * 10 + (*at - '0');
    }
    return negative ? -number : number;
}

/* Behind the reply that begins at `at`; NULL if it is not well-formed. */
static const char *reply_end(const char *at, const char *end, unsigned depth) {
    const char *line = at == end ? NULL : memchr(at, '\n', (size_t)(end - at));
    if (line == NULL || line[-1] != '\r' || depth > DEPTH_MAX) {
        return NULL;
    }
    long number = header_number(at + 1, line - 1);
    const char *next = line + 1;
    switch (*at) {
    case '+':
    case '-':
        return memchr(at, '\r', (size_t)(line - at)) == line - 1 ? next : NULL;
    case ':':
    case ',':
    case '#':
    case '_':
        return next;
    case '$':
    case '=':
        if (number < 0) {
            return next;
        }
        return end - next >= number + 2 && memcmp(next + number, "\r\n", 2) == 0 ? next + number + 2
                                                                                 : NULL;
    case '*':
    case '~':
        return items_end(next, end, number, depth);
    case '%':
        return items_end(next, end, 2 * number, depth);
    default:
        return NULL;
    }
}

static bool is_for_protocol(const char *reply, uint8_t protocol) {
    return protocol == 3 || strchr("+-:$*", *reply) != NULL;
}

/* ---- the program ---- */

typedef struct program {
    const uint8_t *at;
    const uint8_t *end;
} program;

static uint8_t next_byte(program *from) {
    return from->at < from->end ? *from->at++ : 0;
}

static const char *const dictionary[] = {
    "a",
    "b",
    "c",
    "key:1",
    "0",
    "1",
    "-1",
    "10",
    "2.5",
    "1e3",
    "-0",
    "007",
    "9223372036854775807",
    "-9223372036854775808",
    "1700000000000",
    "EX",
    "PX",
    "EXAT",
    "PXAT",
    "NX",
    "XX",
    "GET",
    "KEEPTTL",
    "GT",
    "LT",
    "*",
    "[a-c]*",
    "k?y*",
    "MATCH",
    "COUNT",
    "TYPE",
    "hash",
    "string",
    "inf",
    "nan",
    "LIST",
    "PERSIST",
    "REPLACE",
    "DB",
    "ID",
    "ON",
    "OFF",
    "SKIP",
    "2",
    "3",
    "AUTH",
    "SETNAME",
    "ENCODING",
    "INFO",
    "SYNC",
    "KILL",
    "ADDR",
    "SKIPME",
    "yes",
    "maxmemory",
};

enum { DICTIONARY = sizeof dictionary / sizeof *dictionary };

/* An argument: a word of the dictionary, or bytes of the program itself. */
static weft_bytes next_word(program *from) {
    uint8_t choice = next_byte(from);
    if (choice < 0xe0) {
        return weft_str(dictionary[choice % DICTIONARY]);
    }
    size_t size = choice & 0x1f;
    size_t left = (size_t)(from->end - from->at);
    weft_bytes word = weft_bytes_of(from->at, size < left ? size : left);
    from->at += word.size;
    return word;
}

static const weft_command *next_command(program *from) {
    size_t index = next_byte(from) % weft_commands_size;
    const weft_command *command = &weft_commands[index];
    while (command->is_subcommand) {
        command--;
    }
    return command;
}

/* Commands that take real time or, by an offset, real memory. */
static bool is_passed_over(const weft_command *command, const weft_args *args) {
    return strcmp(command->name, "debug") == 0 ||
           (strcmp(command->name, "setrange") == 0 && args->count > 2 &&
            args->items[2].size > OFFSET_DIGITS_MAX);
}

static void reconnect(weft_session *session) {
    uint64_t id = session->id;
    weft_transaction_end(session);
    weft_output_free(&session->out);
    memset(session, 0, sizeof *session);
    session->id = id;
    session->node = &fake_node;
    session->out.protocol = 2;
    session->authenticated = true;
    session->last_command = "NULL";
}

static void check_reply(const weft_session *session, uint8_t protocol) {
    const weft_output *out = &session->out;
    REQUIRE(!out->failed);
    if (out->size == 0) {
        REQUIRE(session->reply_off || session->reply_skip_next || out->muted || fake.stops != 0);
        return;
    }
    const char *data = out->data + out->sent;
    REQUIRE(reply_end(data, data + out->size, 0) == data + out->size);
    REQUIRE(is_for_protocol(data, protocol) || is_for_protocol(data, out->protocol));
}

static void run_step(program *from) {
    weft_session *session = &fake_sessions[next_byte(from) % FAKE_SESSIONS];
    const weft_command *command = next_command(from);
    weft_bytes words[WORDS_MAX] = {weft_str(command->name)};
    weft_args args = {.count = 1 + next_byte(from) % (WORDS_MAX - 1), .items = words};
    for (size_t i = 1; i < args.count; i++) {
        words[i] = next_word(from);
    }
    if (is_passed_over(command, &args)) {
        return;
    }
    uint8_t protocol = session->out.protocol;
    bool quiet = session->reply_off || session->reply_skip_next;
    session->out.size = session->out.sent = 0;
    weft_command_run(session, &args);
    fake.exclusive = false;
    if (!quiet) {
        check_reply(session, protocol);
    }
    if (session->close_after_reply || session->killed) {
        reconnect(session);
    }
}

static void compare_with_journal(void) {
    size_t entries = 0;
    weft_map_foreach(&fake_node.map, compare_entry, &entries);
    REQUIRE(entries == shadow_size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    program from = {data, data + size};
    REQUIRE(fake_setup(NULL) == 0);
    fake.silent = true;
    fake.observe = shadow_apply;
    for (int steps = 0; from.at < from.end && steps < STEPS_MAX; steps++) {
        uint8_t choice = next_byte(&from);
        if (choice < 0x10) {
            fake.now_ms += 1 + (int64_t)next_byte(&from) * 50;
        } else {
            run_step(&from);
        }
    }
    compare_with_journal();
    REQUIRE(fake_teardown(NULL) == 0);
    shadow_clear();
    return 0;
}
