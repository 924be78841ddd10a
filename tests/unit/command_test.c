/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "fake_node.h"
#include "server/command.h"
#include "server/transaction.h"

/* Run a command given as words with single blanks between them, in session `index`; "" stands for
 * no bytes. The reply, and nothing else, is in the session's output afterwards. */
static const char *run_in(size_t index, const char *line) {
    weft_session *session = &fake_sessions[index];
    char copy[256];
    weft_bytes words[FAKE_WORDS];
    size_t count = 0;
    char *save;
    snprintf(copy, sizeof copy, "%s", line);
    for (char *word = strtok_r(copy, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
        assert_true(count < FAKE_WORDS);
        words[count++] = strcmp(word, "\"\"") == 0 ? weft_bytes_of("", 0) : weft_str(word);
    }
    const weft_args args = {.count = count, .items = words};
    session->out.size = session->out.sent = 0;
    weft_command_run(session, &args);
    fake.exclusive = false;
    weft_output_raw(&session->out, "", 1);
    assert_false(session->out.failed);
    return session->out.size == 0 ? "" : session->out.data;
}

static const char *run(const char *line) {
    return run_in(0, line);
}

static void every_name_is_found_in_any_case_and_no_other(void **state) {
    (void)state;
    for (const weft_command *at = weft_commands; at < weft_commands + weft_commands_size;
         at = weft_command_next(at)) {
        char name[32];
        size_t size = strlen(at->name);
        assert_ptr_equal(weft_command_find(weft_str(at->name)), at);
        for (size_t i = 0; i < size; i++) {
            name[i] = (char)(i % 2 == 0 ? at->name[i] & ~0x20 : at->name[i]);
        }
        assert_ptr_equal(weft_command_find(weft_bytes_of(name, size)), at);
        name[size] = 'q';
        assert_null(weft_command_find(weft_bytes_of(name, size + 1)));
        name[0] ^= 0x40;
        assert_null(weft_command_find(weft_bytes_of(name, size)));
        for (size_t i = 1; i <= at->subcommands; i++) {
            const char *sub = at[i].name + size + 1;
            assert_true(at[i].is_subcommand);
            assert_ptr_equal(weft_command_find_sub(at, weft_str(sub)), &at[i]);
        }
    }
    assert_null(weft_command_find(weft_str("")));
    assert_null(weft_command_find(weft_str("ge")));
    assert_null(weft_command_find(weft_bytes_of("get\0", 4)));
    assert_null(weft_command_find(weft_bytes_of("get ", 4)));
    assert_null(weft_command_find(weft_str("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")));
}

static void the_table_is_sound(void **state) {
    (void)state;
    for (size_t i = 0; i < weft_commands_size; i++) {
        const weft_command *at = &weft_commands[i];
        assert_true(at->name != NULL && at->run != NULL && at->arity != 0);
        assert_true(at->since != NULL && at->group != NULL && at->summary != NULL);
        assert_true((at->first_key == 0) == (at->key_step == 0));
        assert_true((at->first_key == 0) == (at->access == NULL));
        bool both = (at->flags & WEFT_FLAG_WRITE) && (at->flags & WEFT_FLAG_READONLY);
        assert_false(both);
        if ((at->flags & WEFT_FLAG_WRITE) && at->last_key != at->first_key) {
            assert_true(at->flags & (WEFT_FLAG_EXCLUSIVE | WEFT_FLAG_ATOMIC_KEYS));
        }
    }
}

static void refusals_are_worded_and_counted(void **state) {
    (void)state;
    assert_string_equal(run("FOO a b"),
                        "-ERR unknown command 'FOO', with args beginning with: 'a' 'b' \r\n");
    assert_string_equal(run("get"), "-ERR wrong number of arguments for 'get' command\r\n");
    assert_string_equal(run("CLIENT FOO"), "-ERR unknown subcommand 'FOO'. Try CLIENT HELP.\r\n");
    assert_int_equal(fake_node.loops[0].error_replies, 3);
    assert_int_equal(fake_node.loops[0].commands, 0);
    fake_sessions[0].authenticated = false;
    assert_string_equal(run("get k"), "-NOAUTH Authentication required.\r\n");
    fake_sessions[0].authenticated = true;
    fake.refusal = "MISCONF disk full";
    assert_string_equal(run("set k v"), "-MISCONF disk full\r\n");
    assert_string_equal(run("get k"), "$-1\r\n");
}

static void only_commands_on_several_keys_ask_for_the_gate(void **state) {
    (void)state;
    static const char *const alone[] = {"SET k 1", "GET k",    "INCR k",   "DEL k",
                                        "MGET k",  "EXISTS k", "MSET k 1", "EXPIRE k 10"};
    static const char *const together[] = {"MSET a 1 b 2", "MGET a b",      "DEL a b", "EXISTS a a",
                                           "RENAME k l",   "COPY l m",      "KEYS *",  "FLUSHALL",
                                           "WATCH k",      "MSETNX a 1 b 2"};
    for (size_t i = 0; i < sizeof alone / sizeof *alone; i++) {
        run(alone[i]);
        assert_int_equal(fake.gate_requests, 0);
    }
    for (size_t i = 0; i < sizeof together / sizeof *together; i++) {
        run(together[i]);
        assert_int_equal(fake.gate_requests, i + 1);
    }
}

static void transactions_queue_copies_and_run_at_once(void **state) {
    (void)state;
    run("MULTI");
    assert_string_equal(run("SET k 5"), "+QUEUED\r\n");
    assert_string_equal(run("INCR k"), "+QUEUED\r\n");
    assert_string_equal(run_in(1, "GET k"), "$-1\r\n");
    unsigned before = fake.gate_requests;
    assert_string_equal(run("EXEC"), "*2\r\n+OK\r\n:6\r\n");
    assert_int_equal(fake.gate_requests, before + 1);
    assert_int_equal(fake_node.loops[0].commands, 5); /* MULTI, the other's GET, EXEC and its two */
    assert_string_equal(run("EXEC"), "-ERR EXEC without MULTI\r\n");
    assert_null(fake_sessions[0].transaction);
}

static void a_refused_command_spoils_the_transaction(void **state) {
    (void)state;
    static const char *const bad[] = {"FOO", "GET", "CLIENT FOO", "SAVE"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        run("MULTI");
        assert_string_equal(run("SET k 5"), "+QUEUED\r\n");
        assert_int_equal(run(bad[i])[0], '-');
        assert_string_equal(run("SET k 6"), "+QUEUED\r\n");
        assert_string_equal(run("EXEC"),
                            "-EXECABORT Transaction discarded because of previous errors.\r\n");
        assert_string_equal(run("GET k"), "$-1\r\n");
    }
}

static void watched_keys_abort_exec_only_if_written(void **state) {
    (void)state;
    run("SET k 1");
    run("WATCH k other");
    assert_int_equal(weft_watch_count, 2);
    run_in(1, "GET k");
    run_in(1, "SET unrelated 1");
    run("MULTI");
    assert_string_equal(run("EXEC"), "*0\r\n");
    assert_int_equal(weft_watch_count, 0);
    run("WATCH k");
    run_in(1, "INCR k");
    run("MULTI");
    run("SET k 100");
    assert_string_equal(run("EXEC"), "*-1\r\n");
    assert_string_equal(run("GET k"), "$1\r\n2\r\n");
    run("WATCH k");
    run_in(1, "DEL k");
    run("UNWATCH");
    run("MULTI");
    assert_string_equal(run("EXEC"), "*0\r\n");
}

static void a_deadline_between_watch_and_exec_aborts(void **state) {
    (void)state;
    run("SET k 1 PX 10");
    run("WATCH k");
    fake.now_ms += 11;
    run("MULTI");
    assert_string_equal(run("EXEC"), "*-1\r\n");
    run("SET k 1 PX 10");
    fake.now_ms += 11;
    run("WATCH k");
    run_in(1, "GET k");
    run("MULTI");
    assert_string_equal(run("EXEC"), "*0\r\n");
}

static void watches_of_many_sessions_and_keys_are_all_forgotten(void **state) {
    (void)state;
    for (int i = 0; i < 2000; i++) {
        char line[64];
        snprintf(line, sizeof line, "WATCH key%d", i / 2);
        run_in((size_t)(i % FAKE_SESSIONS), line);
    }
    assert_int_equal(weft_watch_count, 2000);
    run_in(3, "SET key1 1");
    for (size_t i = 0; i < FAKE_SESSIONS; i++) {
        bool watching = i == 2 || i == 3;
        assert_int_equal(fake_sessions[i].dirty, watching);
        weft_transaction_end(&fake_sessions[i]);
        assert_int_equal(fake_sessions[i].dirty, 0);
    }
    assert_int_equal(weft_watch_count, 0);
}

static void memory_limit_refuses_what_grows(void **state) {
    (void)state;
    run("SET k 1");
    assert_string_equal(run("CONFIG SET maxmemory 1"), "+OK\r\n");
    assert_string_equal(run("SET k 2"), "-" WEFT_OOM_TEXT "\r\n");
    assert_string_equal(run("GET k"), "$1\r\n1\r\n");
    assert_string_equal(run("DEL k"), ":1\r\n");
    assert_string_equal(run("CONFIG SET maxmemory 0"), "+OK\r\n");
    assert_string_equal(run("SET k 2"), "+OK\r\n");
}

static void scans_of_any_step_see_every_key_once(void **state) {
    (void)state;
    enum { KEYS = 500 };
    static const char *const counts[] = {"1", "7", "1000"};
    for (int i = 0; i < KEYS; i++) {
        char line[64];
        snprintf(line, sizeof line, "SET %d x", i);
        run(line);
    }
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        int seen[KEYS] = {0};
        unsigned long long cursor = 0;
        do {
            char line[64];
            snprintf(line, sizeof line, "SCAN %llu COUNT %s", cursor, counts[i]);
            char *reply = strdup(run(line));
            char *at = strchr(strchr(reply, '\n') + 1, '\n') + 1; /* behind "*2" and the size */
            cursor = strtoull(at, &at, 10);
            for (at = strstr(at, "\r\n$"); at != NULL; at = strstr(at + 1, "\r\n$")) {
                seen[atoi(strchr(at + 2, '\n') + 1)]++;
            }
            free(reply);
        } while (cursor != 0);
        for (int key = 0; key < KEYS; key++) {
            assert_int_equal(seen[key], 1);
        }
    }
}

static void random_keys_are_keys_and_not_always_the_same(void **state) {
    (void)state;
    assert_string_equal(run("RANDOMKEY"), "$-1\r\n");
    run("MSET a 1 b 2 c 3");
    unsigned met = 0;
    for (int i = 0; i < 1000 && met != 7; i++) {
        const char *reply = run("RANDOMKEY");
        assert_memory_equal(reply, "$1\r\n", 4);
        assert_true(reply[4] >= 'a' && reply[4] <= 'c');
        met |= 1u << (reply[4] - 'a');
    }
    assert_int_equal(met, 7);
}

static void patterns_match_as_in_a_shell(void **state) {
    (void)state;
    static const struct {
        const char *pattern;
        const char *text;
        bool matches;
    } table[] = {
        {"", "", true},
        {"", "a", false},
        {"*", "", true},
        {"*", "abc", true},
        {"a*c", "abbc", true},
        {"a*c", "abcd", false},
        {"?", "", false},
        {"?", "a", true},
        {"a?c", "abc", true},
        {"[abc]", "b", true},
        {"[a-c]", "d", false},
        {"[c-a]", "b", true},
        {"[^a-c]", "d", true},
        {"[^a-c]", "b", false},
        {"[\\]]", "]", true},
        {"\\*", "*", true},
        {"\\*", "a", false},
        {"a\\", "a\\", true},
        {"[", "[", false},
        {"[ab", "b", true},
        {"**a", "bca", true},
        {"*a*b*c*", "xxaxxbxxcxx", true},
        {"*a*b*c*", "xxcxxbxxaxx", false},
        {"A", "a", false},
        {"h[ae]llo", "hallo", true},
        {"h[ae]llo", "hillo", false},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        assert_int_equal(
            weft_pattern_matches(weft_str(table[i].pattern), weft_str(table[i].text), false),
            table[i].matches);
    }
    assert_true(weft_pattern_matches(weft_str("mAx*[M-N]"), weft_str("MaxMem"), true));
}

static void a_pattern_of_many_stars_ends_soon(void **state) {
    (void)state;
    char text[4096];
    memset(text, 'a', sizeof text);
    uint64_t start = weft_clock_monotonic_ns();
    assert_false(weft_pattern_matches(weft_str("a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b"),
                                      weft_bytes_of(text, sizeof text), false));
    assert_true(weft_clock_monotonic_ns() - start < UINT64_C(2000000000));
}

static void replies_can_be_switched_off(void **state) {
    (void)state;
    assert_string_equal(run("CLIENT REPLY OFF"), "");
    assert_string_equal(run("PING"), "");
    assert_string_equal(run("SET k v"), "");
    assert_string_equal(run("CLIENT REPLY ON"), "+OK\r\n");
    assert_string_equal(run("CLIENT REPLY SKIP"), "");
    assert_string_equal(run("PING"), "");
    assert_string_equal(run("GET k"), "$1\r\nv\r\n");
}

static void kill_finds_by_number_and_address(void **state) {
    (void)state;
    assert_string_equal(run("CLIENT KILL ID 2"), ":1\r\n");
    assert_int_equal(fake_sessions[1].killed, 1);
    assert_string_equal(run("CLIENT KILL 127.0.0.1:5002"), "+OK\r\n");
    assert_int_equal(fake_sessions[2].killed, 1);
    assert_string_equal(run("CLIENT KILL ID 1"), ":0\r\n");
    assert_false(fake_sessions[0].close_after_reply);
    assert_string_equal(run("CLIENT KILL ID 1 SKIPME no"), ":1\r\n");
    assert_true(fake_sessions[0].close_after_reply);
    assert_int_equal(fake_sessions[3].killed, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(every_name_is_found_in_any_case_and_no_other),
        TEST(the_table_is_sound),
        TEST(refusals_are_worded_and_counted),
        TEST(only_commands_on_several_keys_ask_for_the_gate),
        TEST(transactions_queue_copies_and_run_at_once),
        TEST(a_refused_command_spoils_the_transaction),
        TEST(watched_keys_abort_exec_only_if_written),
        TEST(a_deadline_between_watch_and_exec_aborts),
        TEST(watches_of_many_sessions_and_keys_are_all_forgotten),
        TEST(memory_limit_refuses_what_grows),
        TEST(scans_of_any_step_see_every_key_once),
        TEST(random_keys_are_keys_and_not_always_the_same),
        TEST(patterns_match_as_in_a_shell),
        TEST(a_pattern_of_many_stars_ends_soon),
        TEST(replies_can_be_switched_off),
        TEST(kill_finds_by_number_and_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
