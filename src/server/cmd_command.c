/* SPDX-License-Identifier: MIT */
/* COMMAND, and the help of all that have subcommands: the table of commands, told to clients. */
#include "server/command.h"
#include <stdio.h>
#include <string.h>

/* Pieces of a text between separators; the next one at each call, empty at the end. */
static weft_bytes next_piece(const char **text, char separator) {
    const char *start = *text;
    const char *end = strchrnul(start, separator);
    *text = *end == '\0' ? end : end + 1;
    return weft_bytes_of(start, (size_t)(end - start));
}

static size_t count_pieces(weft_bytes text, char separator) {
    size_t count = text.size != 0;
    for (size_t i = 0; i < text.size; i++) {
        count += ((const char *)text.data)[i] == separator;
    }
    return count;
}

static void reply_words(weft_output *out, weft_bytes words) {
    weft_reply_set(out, count_pieces(words, ' '));
    const char *at = words.data;
    const char *end = at + words.size;
    while (at < end) {
        const char *blank = memchr(at, ' ', (size_t)(end - at));
        const char *stop = blank != NULL ? blank : end;
        weft_reply_simple(out, strndupa(at, (size_t)(stop - at)));
        at = stop + 1;
    }
}

static void reply_flags(weft_output *out, uint32_t flags) {
    static const char *const names[] = {
#define NAME(name, text) text,
        WEFT_COMMAND_FLAGS(NAME)
#undef NAME
    };
    size_t size = sizeof names / sizeof *names;
    weft_reply_set(out, (size_t)__builtin_popcount(flags & ((1u << size) - 1)));
    for (size_t i = 0; i < size; i++) {
        if (flags >> i & 1) {
            weft_reply_simple(out, names[i]);
        }
    }
}

static uint32_t categories_of(const weft_command *command) {
    uint32_t all = command->categories;
    all |= command->flags & WEFT_FLAG_READONLY ? WEFT_CATEGORY_READ : 0;
    all |= command->flags & WEFT_FLAG_WRITE ? WEFT_CATEGORY_WRITE : 0;
    all |= command->flags & WEFT_FLAG_FAST ? WEFT_CATEGORY_FAST : WEFT_CATEGORY_SLOW;
    all |= command->flags & WEFT_FLAG_ADMIN ? WEFT_CATEGORY_ADMIN | WEFT_CATEGORY_DANGEROUS : 0;
    return all;
}

static const char *const category_names[] = {
#define NAME(name, text) text,
    WEFT_COMMAND_CATEGORIES(NAME)
#undef NAME
};

static void reply_categories(weft_output *out, uint32_t categories) {
    weft_reply_set(out, (size_t)__builtin_popcount(categories));
    for (size_t i = 0; i < sizeof category_names / sizeof *category_names; i++) {
        if (categories >> i & 1) {
            weft_reply_simple(out, category_names[i]);
        }
    }
}

/* What is done to one key, or to one row of keys: where it begins, and how to find the others. */
static void reply_key(weft_output *out, const weft_command *command, size_t index, bool more) {
    weft_reply_text(out, "begin_search");
    weft_reply_map(out, 2);
    weft_reply_text(out, "type");
    weft_reply_text(out, "index");
    weft_reply_text(out, "spec");
    weft_reply_map(out, 1);
    weft_reply_text(out, "index");
    weft_reply_integer(out, command->first_key + (int64_t)index);
    weft_reply_text(out, "find_keys");
    weft_reply_map(out, 2);
    weft_reply_text(out, "type");
    weft_reply_text(out, "range");
    weft_reply_text(out, "spec");
    weft_reply_map(out, 3);
    weft_reply_text(out, "lastkey");
    weft_reply_integer(out, more ? 0 : command->last_key < 0 ? command->last_key : 0);
    weft_reply_text(out, "keystep");
    weft_reply_integer(out, command->key_step);
    weft_reply_text(out, "limit");
    weft_reply_integer(out, 0);
}

static void reply_keys(weft_output *out, const weft_command *command) {
    const char *access = command->access != NULL ? command->access : "";
    size_t count = count_pieces(weft_str(access), ';');
    weft_reply_set(out, count);
    for (size_t i = 0; i < count; i++) {
        weft_reply_map(out, 3);
        weft_reply_text(out, "flags");
        reply_words(out, next_piece(&access, ';'));
        reply_key(out, command, i, count > 1);
    }
}

static void reply_info(weft_output *out, const weft_command *command) {
    if (command == NULL) {
        weft_reply_null(out);
        return;
    }
    weft_reply_array(out, 10);
    weft_reply_text(out, command->name);
    weft_reply_integer(out, command->arity);
    reply_flags(out, command->flags);
    weft_reply_integer(out, command->first_key);
    weft_reply_integer(out, command->last_key);
    weft_reply_integer(out, command->key_step);
    reply_categories(out, categories_of(command));
    const char *tips = command->tips != NULL ? command->tips : "";
    weft_reply_set(out, count_pieces(weft_str(tips), ' '));
    while (*tips != '\0') {
        weft_reply_bulk(out, next_piece(&tips, ' '));
    }
    reply_keys(out, command);
    weft_reply_set(out, command->subcommands);
    for (size_t i = 1; i <= command->subcommands; i++) {
        reply_info(out, &command[i]);
    }
}

static const weft_command *end_of_table(void) {
    return weft_commands + weft_commands_size;
}

static size_t count_commands(void) {
    size_t count = 0;
    for (const weft_command *at = weft_commands; at < end_of_table(); at = weft_command_next(at)) {
        count++;
    }
    return count;
}

static void reply_all(weft_output *out) {
    weft_reply_array(out, count_commands());
    for (const weft_command *at = weft_commands; at < end_of_table(); at = weft_command_next(at)) {
        reply_info(out, at);
    }
}

/* "get", or "client|list". */
static const weft_command *find_full(weft_bytes name) {
    const char *bar = name.size == 0 ? NULL : memchr(name.data, '|', name.size);
    if (bar == NULL) {
        return weft_command_find(name);
    }
    size_t size = (size_t)(bar - (const char *)name.data);
    const weft_command *parent = weft_command_find(weft_bytes_of(name.data, size));
    return parent == NULL
               ? NULL
               : weft_command_find_sub(parent, weft_bytes_of(bar + 1, name.size - size - 1));
}

void weft_cmd_command(weft_session *session, const weft_args *args) {
    (void)args;
    reply_all(&session->out);
}

void weft_cmd_command_count(weft_session *session, const weft_args *args) {
    (void)args;
    weft_reply_integer(&session->out, (int64_t)count_commands());
}

void weft_cmd_command_info(weft_session *session, const weft_args *args) {
    if (args->count == 2) {
        reply_all(&session->out);
        return;
    }
    weft_reply_array(&session->out, args->count - 2);
    for (size_t i = 2; i < args->count; i++) {
        reply_info(&session->out, find_full(args->items[i]));
    }
}

static void reply_docs(weft_output *out, const weft_command *command) {
    weft_reply_text(out, command->name);
    weft_reply_map(out, 4 + (command->subcommands != 0));
    weft_reply_text(out, "summary");
    weft_reply_text(out, command->summary);
    weft_reply_text(out, "since");
    weft_reply_text(out, command->since);
    weft_reply_text(out, "group");
    weft_reply_text(out, command->group);
    weft_reply_text(out, "complexity");
    weft_reply_text(out, command->complexity);
    if (command->subcommands != 0) {
        weft_reply_text(out, "subcommands");
        weft_reply_map(out, command->subcommands);
        for (size_t i = 1; i <= command->subcommands; i++) {
            reply_docs(out, &command[i]);
        }
    }
}

void weft_cmd_command_docs(weft_session *session, const weft_args *args) {
    size_t known = 0;
    if (args->count == 2) {
        weft_reply_map(&session->out, count_commands());
        for (const weft_command *at = weft_commands; at < end_of_table();
             at = weft_command_next(at)) {
            reply_docs(&session->out, at);
        }
        return;
    }
    for (size_t i = 2; i < args->count; i++) {
        known += find_full(args->items[i]) != NULL;
    }
    weft_reply_map(&session->out, known);
    for (size_t i = 2; i < args->count; i++) {
        const weft_command *command = find_full(args->items[i]);
        if (command != NULL) {
            reply_docs(&session->out, command);
        }
    }
}

/* FILTERBY of COMMAND LIST. */
typedef struct list_filter {
    enum { ALL, NONE, CATEGORY, PATTERN } kind;
    uint32_t categories;
    weft_bytes pattern;
} list_filter;

static bool parse_filter(const weft_args *args, list_filter *filter) {
    if (args->count == 2) {
        return true;
    }
    if (args->count != 5 || !weft_word_is(args->items[2], "filterby")) {
        return false;
    }
    filter->pattern = args->items[4];
    if (weft_word_is(args->items[3], "module")) {
        filter->kind = NONE;
    } else if (weft_word_is(args->items[3], "pattern")) {
        filter->kind = PATTERN;
    } else if (weft_word_is(args->items[3], "aclcat")) {
        filter->kind = CATEGORY;
        for (size_t i = 0; i < sizeof category_names / sizeof *category_names; i++) {
            if (weft_word_is(filter->pattern, category_names[i] + 1)) {
                filter->categories = 1u << i;
            }
        }
    } else {
        return false;
    }
    return true;
}

static bool listed(const list_filter *filter, const weft_command *command) {
    switch (filter->kind) {
    case ALL:
        return true;
    case CATEGORY:
        return (categories_of(command) & filter->categories) != 0;
    case PATTERN:
        return weft_pattern_matches(filter->pattern, weft_str(command->name), true);
    default:
        return false;
    }
}

void weft_cmd_command_list(weft_session *session, const weft_args *args) {
    list_filter filter = {.kind = ALL};
    size_t count = 0;
    if (!parse_filter(args, &filter)) {
        weft_reply_error(&session->out, WEFT_SYNTAX_TEXT);
        return;
    }
    for (const weft_command *at = weft_commands; at < end_of_table(); at++) {
        count += (filter.kind != ALL || !at->is_subcommand) && listed(&filter, at);
    }
    weft_reply_array(&session->out, count);
    for (const weft_command *at = weft_commands; at < end_of_table(); at++) {
        if ((filter.kind != ALL || !at->is_subcommand) && listed(&filter, at)) {
            weft_reply_text(&session->out, at->name);
        }
    }
}

void weft_cmd_command_getkeys(weft_session *session, const weft_args *args) {
    const weft_args line = {.count = args->count - 2, .items = args->items + 2};
    const weft_command *command = weft_command_find(line.items[0]);
    if (command != NULL && command->subcommands != 0 && line.count > 1) {
        command = weft_command_find_sub(command, line.items[1]);
    }
    if (command == NULL) {
        weft_reply_error(&session->out, "ERR Invalid command specified");
        return;
    }
    if (command->first_key == 0) {
        weft_reply_error(&session->out, "ERR The command has no key arguments");
        return;
    }
    if (!weft_command_takes(command, line.count)) {
        weft_reply_error(&session->out, "ERR Invalid number of arguments specified for command");
        return;
    }
    size_t last =
        command->last_key < 0 ? line.count - (size_t)-command->last_key : (size_t)command->last_key;
    size_t step = (size_t)command->key_step;
    size_t first = (size_t)command->first_key;
    weft_reply_array(&session->out, (last - first) / step + 1);
    for (size_t i = first; i <= last; i += step) {
        weft_reply_bulk(&session->out, line.items[i]);
    }
}

/* Never runs without a subcommand: the arity refuses that. */
void weft_cmd_container(weft_session *session, const weft_args *args) {
    (void)args;
    weft_reply_arity(session);
}

void weft_cmd_help(weft_session *session, const weft_args *args) {
    const weft_command *parent = weft_command_find(args->items[0]);
    char line[256];
    weft_reply_array(&session->out, 1 + 2 * (size_t)parent->subcommands);
    snprintf(line, sizeof line, "%.*s <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
             (int)args->items[0].size, (const char *)args->items[0].data);
    weft_reply_simple(&session->out, line);
    for (size_t i = 1; i <= parent->subcommands; i++) {
        const char *name = parent[i].name + parent->name_size + 1;
        size_t size = 0;
        for (; name[size] != '\0'; size++) {
            line[size] =
                (char)(name[size] >= 'a' && name[size] <= 'z' ? name[size] & ~0x20 : name[size]);
        }
        line[size] = '\0';
        weft_reply_simple(&session->out, line);
        snprintf(line, sizeof line, "    %s", parent[i].summary);
        weft_reply_simple(&session->out, line);
    }
}
