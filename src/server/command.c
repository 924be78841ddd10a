/* SPDX-License-Identifier: MIT */
#include "server/command.h"
#include "base/atomic.h"
#include "server/journal.h"
#include "server/keyspace.h"
#include "server/number.h"
#include "server/transaction.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Shorthands of commands.def. */
#define F(name) WEFT_FLAG_##name
#define C(name) WEFT_CATEGORY_##name
weft_command weft_commands[] = {
#define WEFT_COMMAND(id, function, arity_, first, last, step, flags_, categories_, ...)            \
    {.name = id,                                                                                   \
     .run = weft_cmd_##function,                                                                   \
     .arity = (arity_),                                                                            \
     .first_key = (first),                                                                         \
     .last_key = (last),                                                                           \
     .key_step = (step),                                                                           \
     .flags = (uint32_t)(flags_),                                                                  \
     .categories = (categories_),                                                                  \
     .name_size = sizeof(id) - 1,                                                                  \
     __VA_ARGS__},
#define WEFT_SUBCOMMAND(parent, id, function, arity_, first, last, step, flags_, categories_, ...) \
    WEFT_COMMAND(parent "|" id, function, arity_, first, last, step, flags_, categories_,          \
                 .is_subcommand = true, __VA_ARGS__)
#include "server/commands.def"
#undef WEFT_COMMAND
#undef WEFT_SUBCOMMAND
};
#undef F
#undef C

const size_t weft_commands_size = sizeof weft_commands / sizeof *weft_commands;

/* Names of up to 16 letters as two words in lower case: OR with a blank maps capitals to small
 * letters, and nothing else to letters. So a lookup compares two words, and hashes one number. */
typedef struct folded {
    uint64_t low;
    uint64_t high;
} folded;

#define BLANKS UINT64_C(0x2020202020202020)
enum { INDEX_BITS = 8, INDEX_SIZE = 1 << INDEX_BITS, NAME_SIZE_MAX = 16 };

typedef struct index_slot {
    folded name;
    const weft_command *command;
} index_slot;

static index_slot slots[INDEX_SIZE];

static inline folded fold(weft_bytes name) {
    folded result = {0, 0};
    if (WEFT_LIKELY(name.size <= 8)) {
        memcpy(&result.low, name.data, name.size);
    } else {
        memcpy(&result.low, name.data, 8);
        memcpy(&result.high, (const char *)name.data + 8, name.size - 8);
    }
    result.low |= BLANKS;
    result.high |= BLANKS;
    return result;
}

/* Fibonacci hashing of both words (Knuth): the top bits of a product. */
static inline size_t slot_of(folded name) {
    uint64_t product = (name.low ^ (name.high << 7)) * UINT64_C(0x9e3779b97f4a7c15);
    return product >> (64 - INDEX_BITS);
}

__attribute__((constructor)) static void build_index(void) {
    weft_command *parent = NULL;
    for (weft_command *at = weft_commands; at < weft_commands + weft_commands_size; at++) {
        if (at->is_subcommand) {
            parent->subcommands++;
            continue;
        }
        parent = at;
        folded name = fold(weft_bytes_of(at->name, at->name_size));
        size_t index = slot_of(name);
        while (slots[index].command != NULL) {
            index = (index + 1) % INDEX_SIZE;
        }
        slots[index] = (index_slot){.name = name, .command = at};
    }
}

const weft_command *weft_command_find(weft_bytes name) {
    if (name.size == 0 || name.size > NAME_SIZE_MAX) {
        return NULL;
    }
    folded wanted = fold(name);
    for (size_t index = slot_of(wanted); slots[index].command != NULL;
         index = (index + 1) % INDEX_SIZE) {
        const index_slot *slot = &slots[index];
        if (slot->name.low == wanted.low && slot->name.high == wanted.high &&
            slot->command->name_size == name.size) {
            return slot->command;
        }
    }
    return NULL;
}

const weft_command *weft_command_find_sub(const weft_command *parent, weft_bytes name) {
    for (size_t i = 1; i <= parent->subcommands; i++) {
        if (weft_word_is(name, parent[i].name + parent->name_size + 1)) {
            return &parent[i];
        }
    }
    return NULL;
}

bool weft_word_is(weft_bytes argument, const char *word) {
    const unsigned char *bytes = argument.data;
    for (size_t i = 0; i < argument.size; i++) {
        unsigned char byte = bytes[i];
        if (byte >= 'A' && byte <= 'Z') {
            byte |= 0x20;
        }
        if (word[i] == '\0' || byte != (unsigned char)word[i]) {
            return false;
        }
    }
    return word[argument.size] == '\0';
}

bool weft_command_takes(const weft_command *command, size_t count) {
    return command->arity >= 0 ? count == (size_t)command->arity : count >= (size_t)-command->arity;
}

bool weft_integer_argument(weft_session *session, weft_bytes argument, int64_t *number,
                           const char *text) {
    if (weft_number_parse(argument, number)) {
        return true;
    }
    weft_reply_error(&session->out, "%s", text != NULL ? text : WEFT_INTEGER_TEXT);
    return false;
}

bool weft_database_argument(weft_session *session, weft_bytes argument) {
    int64_t database;
    if (!weft_integer_argument(session, argument, &database, NULL)) {
        return false;
    }
    if (database != (int32_t)database) {
        weft_reply_error(&session->out, "ERR value is out of range, value must between %d and %d",
                         INT32_MIN, INT32_MAX);
        return false;
    }
    if (database != 0) {
        weft_reply_error(&session->out, "ERR DB index is out of range");
        return false;
    }
    return true;
}

void weft_reply_arity(weft_session *session) {
    weft_reply_error(&session->out, "ERR wrong number of arguments for '%s' command",
                     session->last_command);
}

/* Refuse a command before it runs; a transaction cannot be carried out after that. */
static void refuse(weft_session *session, const weft_command *command, const char *text) {
    if (command != NULL && command->run == weft_cmd_exec) {
        weft_transaction_end(session);
        text += strncmp(text, "ERR ", 4) == 0 ? 4 : 0; /* other codes stay in the sentence */
        weft_reply_error(&session->out, "EXECABORT Transaction discarded because of: %s", text);
        return;
    }
    weft_transaction_fail(session);
    weft_reply_error(&session->out, "%s", text);
}

enum { SHOWN_MAX = 128, REFUSAL_MAX = 512 };

static int shown_size(weft_bytes argument, size_t limit) {
    size_t size = argument.size < limit ? argument.size : limit;
    return size == 0 ? 0 : (int)strnlen(argument.data, size);
}

/* A web page can make a browser send these to a port on the same machine: nothing that comes behind
 * them may run. */
static bool is_web_request(weft_bytes name) {
    return (name.size == 4 && strncasecmp(name.data, "post", 4) == 0) ||
           (name.size == 5 && strncasecmp(name.data, "host:", 5) == 0);
}

static void refuse_unknown(weft_session *session, const weft_args *args) {
    if (is_web_request(args->items[0])) {
        fprintf(stderr, "weft: client %llu at %s closed: it sent a request for a web server\n",
                (unsigned long long)session->id, session->peer);
        session->close_after_reply = true;
        return;
    }
    char text[REFUSAL_MAX];
    char shown[2 * SHOWN_MAX];
    size_t used = 0;
    shown[0] = '\0';
    for (size_t i = 1; i < args->count && used < SHOWN_MAX; i++) {
        int size = shown_size(args->items[i], SHOWN_MAX - used);
        used += (size_t)snprintf(shown + used, sizeof shown - used, "'%.*s' ", size,
                                 (const char *)args->items[i].data);
    }
    snprintf(text, sizeof text, "ERR unknown command '%.*s', with args beginning with: %s",
             shown_size(args->items[0], SHOWN_MAX), (const char *)args->items[0].data, shown);
    refuse(session, NULL, text);
}

static void refuse_unknown_sub(weft_session *session, const weft_command *parent, weft_bytes name) {
    char text[REFUSAL_MAX];
    char upper[NAME_SIZE_MAX + 1];
    for (size_t i = 0; i <= parent->name_size; i++) {
        upper[i] = (char)(parent->name[i] & ~0x20);
    }
    snprintf(text, sizeof text, "ERR unknown subcommand '%.*s'. Try %s HELP.",
             shown_size(name, SHOWN_MAX), (const char *)name.data, upper);
    refuse(session, NULL, text);
}

/* The command that the arguments name, with their number checked; NULL after the error reply. */
static const weft_command *resolve(weft_session *session, const weft_args *args) {
    const weft_command *command = weft_command_find(args->items[0]);
    if (WEFT_UNLIKELY(command == NULL)) {
        refuse_unknown(session, args);
        return NULL;
    }
    if (command->subcommands != 0 && args->count > 1) {
        const weft_command *parent = command;
        command = weft_command_find_sub(parent, args->items[1]);
        if (command == NULL) {
            refuse_unknown_sub(session, parent, args->items[1]);
            return NULL;
        }
    }
    if (WEFT_UNLIKELY(!weft_command_takes(command, args->count))) {
        char text[REFUSAL_MAX];
        snprintf(text, sizeof text, "ERR wrong number of arguments for '%s' command",
                 command->name);
        refuse(session, command, text);
        return NULL;
    }
    return command;
}

enum { MEASURE_INTERVAL = 256 };

/* Above the limit? Measured anew every so many commands of the loop, and while above. */
static bool out_of_memory(weft_session *session) {
    weft_node *node = session->node;
    uint64_t limit = weft_load_relaxed(&node->options.max_memory);
    if (WEFT_LIKELY(limit == 0)) {
        return false;
    }
    uint64_t used = weft_keyspace_memory(node);
    if (used > limit ||
        weft_load_relaxed(&node->loops[session->loop].commands) % MEASURE_INTERVAL == 0) {
        used = weft_keyspace_measure(node);
    }
    return used > limit;
}

/* Why the command may not run now: the text of the error; NULL if it may. */
static const char *obstacle(weft_session *session, const weft_command *command) {
    if (WEFT_UNLIKELY(!session->authenticated) && !(command->flags & WEFT_FLAG_NO_AUTH)) {
        return "NOAUTH Authentication required.";
    }
    bool queued = session->transaction != NULL && weft_transaction_open(session) &&
                  !(command->flags & WEFT_FLAG_IMMEDIATE);
    uint32_t flags = command->flags;
    if (command->run == weft_cmd_exec) {
        flags |= weft_transaction_flags(session, WEFT_FLAG_DENYOOM | WEFT_FLAG_WRITE);
    }
    if (((flags & WEFT_FLAG_DENYOOM) || queued) && out_of_memory(session)) {
        return WEFT_OOM_TEXT;
    }
    const char *text;
    if ((flags & WEFT_FLAG_WRITE) && !weft_journal_writable(session, &text)) {
        return text;
    }
    if (queued && (flags & WEFT_FLAG_NO_MULTI)) {
        return "ERR Command not allowed inside a transaction";
    }
    return NULL;
}

static bool wants_the_gate(const weft_command *command, size_t count) {
    if (command->flags & WEFT_FLAG_EXCLUSIVE) {
        return true;
    }
    return (command->flags & WEFT_FLAG_ATOMIC_KEYS) &&
           count > (size_t)(command->first_key + command->key_step);
}

void weft_command_call(weft_session *session, const weft_command *command, const weft_args *args) {
    weft_loop_stats *stats = &session->node->loops[session->loop];
    weft_store_relaxed(&stats->commands, weft_load_relaxed(&stats->commands) + 1);
    session->commands++;
    session->last_command = command->name;
    if (wants_the_gate(command, args->count)) {
        weft_gate_exclusive(session->node->gate, session->loop);
    }
    command->run(session, args);
}

static void run(weft_session *session, const weft_args *args) {
    if (WEFT_UNLIKELY(weft_word_is(args->items[0], "quit"))) {
        weft_cmd_quit(session, args); /* with any arguments, in any state */
        return;
    }
    const weft_command *command = resolve(session, args);
    if (command == NULL) {
        return;
    }
    const char *text = obstacle(session, command);
    if (WEFT_UNLIKELY(text != NULL)) {
        refuse(session, command, text);
    } else if (WEFT_UNLIKELY(session->transaction != NULL) && weft_transaction_open(session) &&
               !(command->flags & WEFT_FLAG_IMMEDIATE)) {
        weft_transaction_queue(session, command, args);
    } else {
        weft_command_call(session, command, args);
    }
}

void weft_command_run(weft_session *session, const weft_args *args) {
    weft_loop_stats *stats = &session->node->loops[session->loop];
    weft_output *out = &session->out;
    bool skip = session->reply_skip_next;
    session->reply_skip_next = false;
    out->muted = session->reply_off || skip;
    size_t before = out->size;
    run(session, args);
    out->muted = session->reply_off;
    if (out->size > before && out->data[out->sent + before] == '-') {
        weft_store_relaxed(&stats->error_replies, weft_load_relaxed(&stats->error_replies) + 1);
    }
}
