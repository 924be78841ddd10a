/* SPDX-License-Identifier: MIT */
/* The table of commands, and what their implementations (cmd_*.c, transaction.c) share. */
#ifndef WEFT_SERVER_COMMAND_H
#define WEFT_SERVER_COMMAND_H

#include "server/node.h"

/* X(name, text): what COMMAND INFO prints. In the order of printing. */
#define WEFT_COMMAND_FLAGS(X)                                                                      \
    X(WRITE, "write")                                                                              \
    X(READONLY, "readonly")                                                                        \
    X(DENYOOM, "denyoom")                                                                          \
    X(ADMIN, "admin")                                                                              \
    X(NOSCRIPT, "noscript")                                                                        \
    X(LOADING, "loading")                                                                          \
    X(STALE, "stale")                                                                              \
    X(SKIP_SLOWLOG, "skip_slowlog")                                                                \
    X(FAST, "fast")                                                                                \
    X(NO_AUTH, "no_auth")                                                                          \
    X(NO_ASYNC_LOADING, "no_async_loading")                                                        \
    X(NO_MULTI, "no_multi")                                                                        \
    X(ALLOW_BUSY, "allow_busy")

/* X(name, text): groups of commands for access rules, in the order of printing. */
#define WEFT_COMMAND_CATEGORIES(X)                                                                 \
    X(KEYSPACE, "@keyspace")                                                                       \
    X(READ, "@read")                                                                               \
    X(WRITE, "@write")                                                                             \
    X(STRING, "@string")                                                                           \
    X(ADMIN, "@admin")                                                                             \
    X(FAST, "@fast")                                                                               \
    X(SLOW, "@slow")                                                                               \
    X(DANGEROUS, "@dangerous")                                                                     \
    X(CONNECTION, "@connection")                                                                   \
    X(TRANSACTION, "@transaction")

enum {
#define WEFT_FLAG_NUMBER(name, text) WEFT_FLAG_NUMBER_##name,
    WEFT_COMMAND_FLAGS(WEFT_FLAG_NUMBER)
#undef WEFT_FLAG_NUMBER
        WEFT_FLAG_NUMBERS,
#define WEFT_CATEGORY_NUMBER(name, text) WEFT_CATEGORY_NUMBER_##name,
    WEFT_COMMAND_CATEGORIES(WEFT_CATEGORY_NUMBER)
#undef WEFT_CATEGORY_NUMBER
};

enum {
#define WEFT_FLAG(name, text) WEFT_FLAG_##name = 1 << WEFT_FLAG_NUMBER_##name,
    WEFT_COMMAND_FLAGS(WEFT_FLAG)
#undef WEFT_FLAG
    /* Not printed: runs at once inside MULTI; alone in the gate always, or with several keys. */
    WEFT_FLAG_IMMEDIATE = 1 << 28,
    WEFT_FLAG_EXCLUSIVE = 1 << 29,
    WEFT_FLAG_ATOMIC_KEYS = 1 << 30,
};

enum {
#define WEFT_CATEGORY(name, text)                                                                  \
    WEFT_CATEGORY_##name = 1 << (WEFT_CATEGORY_NUMBER_##name - WEFT_FLAG_NUMBERS - 1),
    WEFT_COMMAND_CATEGORIES(WEFT_CATEGORY)
#undef WEFT_CATEGORY
};

typedef void (*weft_command_fn)(weft_session *session, const weft_args *args);

typedef struct weft_command {
    const char *name; /* lower case; of a subcommand "client|list" */
    weft_command_fn run;
    int arity;     /* arguments with the name; negative: at least so many */
    int first_key; /* position of the first key, 0: none */
    int last_key;  /* of the last one; negative: from the end */
    int key_step;
    uint32_t flags;
    uint32_t categories; /* beside those that follow from the flags */
    const char
        *access;      /* what is done to the keys: "RW access update"; ';' before the next key's */
    const char *tips; /* hints for clients, separated by blanks */
    const char *since;
    const char *group;
    const char *complexity;
    const char *summary;
    uint8_t name_size;
    uint8_t subcommands; /* how many follow in the table */
    bool is_subcommand;
} weft_command;

/* All commands, each followed by its subcommands. */
extern weft_command weft_commands[];
extern const size_t weft_commands_size; /* subcommands included */

/* Any case; NULL if there is none. */
const weft_command *weft_command_find(weft_bytes name);
const weft_command *weft_command_find_sub(const weft_command *parent, weft_bytes name);
/* The command after this one at the same level of the table. */
static inline const weft_command *weft_command_next(const weft_command *command) {
    return command + 1 + command->subcommands;
}
bool weft_command_takes(const weft_command *command, size_t count);

/* Run a command that was found and checked. */
void weft_command_call(weft_session *session, const weft_command *command, const weft_args *args);

/* Is the argument this word, given in lower case? */
bool weft_word_is(weft_bytes argument, const char *word);
/* `pattern` as in KEYS: * ? [a-z] [^a] and backslash. */
bool weft_pattern_matches(weft_bytes pattern, weft_bytes text, bool any_case);

/* An integer argument; false after the error reply, which is `text` or the usual one (NULL). */
bool weft_integer_argument(weft_session *session, weft_bytes argument, int64_t *number,
                           const char *text);
/* The number of a database, which must be 0; false after the error reply. */
bool weft_database_argument(weft_session *session, weft_bytes argument);
/* A new client name: checked and stored, or an error reply and false. */
bool weft_session_rename(weft_session *session, weft_bytes name);
/* "ERR wrong number of arguments for '…' command", for rules beyond the arity. */
void weft_reply_arity(weft_session *session);

#define WEFT_SYNTAX_TEXT "ERR syntax error"
#define WEFT_INTEGER_TEXT "ERR value is not an integer or out of range"
#define WEFT_OOM_TEXT "OOM command not allowed when used memory > 'maxmemory'."
#define WEFT_WRONGPASS_TEXT "WRONGPASS invalid username-password pair or user is disabled."
#define WEFT_TOO_LONG_TEXT "ERR string exceeds maximum allowed size (proto-max-bulk-len)"

/* The version of Redis whose behaviour clients may expect. */
#define WEFT_REDIS_VERSION "7.0.15"

/* The implementations. */
#define WEFT_COMMAND(name, function, ...)                                                          \
    void weft_cmd_##function(weft_session *session, const weft_args *args);
#define WEFT_SUBCOMMAND(parent, name, function, ...)                                               \
    void weft_cmd_##function(weft_session *session, const weft_args *args);
#include "server/commands.def"
#undef WEFT_COMMAND
#undef WEFT_SUBCOMMAND

#endif
