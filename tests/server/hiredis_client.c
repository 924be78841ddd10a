/* SPDX-License-Identifier: MIT */
/* hiredis, unmodified, doing what a C program does with a Redis server. Argument: the port.
 * Builds with hiredis 0.14 and 1.x. Each step prints "NAME ok". */
#include <hiredis/hiredis.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SCAN_KEYS = 100000, PIPELINE = 10000 };

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static redisReply *run(redisContext *client, const char *format, ...) {
    va_list words;
    va_start(words, format);
    redisReply *reply = redisvCommand(client, format, words);
    va_end(words);
    if (reply == NULL) {
        fprintf(stderr, "%s: %s\n", format, client->errstr);
        exit(1);
    }
    return reply;
}

static long long integer(redisReply *reply) {
    CHECK(reply->type == REDIS_REPLY_INTEGER);
    long long number = reply->integer;
    freeReplyObject(reply);
    return number;
}

static bool is_text(redisReply *reply, const char *text) {
    bool same = (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS) &&
                reply->len == strlen(text) && memcmp(reply->str, text, strlen(text)) == 0;
    freeReplyObject(reply);
    return same;
}

static bool is_nil(redisReply *reply) {
    bool nil = reply->type == REDIS_REPLY_NIL;
    freeReplyObject(reply);
    return nil;
}

static void counters(redisContext *client) {
    CHECK(integer(run(client, "INCR hits")) == 1);
    CHECK(integer(run(client, "INCRBY hits %d", 41)) == 42);
    CHECK(integer(run(client, "PEXPIRE hits 100")) == 1);
    long long left = integer(run(client, "PTTL hits"));
    CHECK(left > 0 && left <= 100);
    nanosleep(&(struct timespec){.tv_nsec = 150000000}, NULL);
    CHECK(is_nil(run(client, "GET hits")));
    CHECK(integer(run(client, "TTL hits")) == -2);
    CHECK(integer(run(client, "DECR hits")) == -1);
}

static void sessions(redisContext *client) {
    const char token[] = "a\0b\r\nc";
    CHECK(is_text(run(client, "SET session:1 %b EX 60", token, sizeof token - 1), "OK"));
    redisReply *reply = run(client, "GETEX session:1 EX 600");
    CHECK(reply->type == REDIS_REPLY_STRING && reply->len == sizeof token - 1);
    CHECK(memcmp(reply->str, token, sizeof token - 1) == 0);
    freeReplyObject(reply);
    long long ttl = integer(run(client, "TTL session:1"));
    CHECK(ttl == 600 || ttl == 599);
    CHECK(is_nil(run(client, "SET session:1 other NX")));
    CHECK(is_text(run(client, "SET session:2 bob PX 60000 NX"), "OK"));
    CHECK(integer(run(client, "DEL session:1 session:2 session:3")) == 2);
}

static void pipelines(redisContext *client) {
    for (int i = 0; i < PIPELINE; i++) {
        CHECK(redisAppendCommand(client, "INCRBY sum %d", i) == REDIS_OK);
        CHECK(redisAppendCommand(client, "SET p:%d %d", i, i) == REDIS_OK);
    }
    long long sum = 0;
    for (int i = 0; i < PIPELINE; i++) {
        void *reply = NULL;
        sum += i;
        CHECK(redisGetReply(client, &reply) == REDIS_OK);
        CHECK(integer(reply) == sum);
        CHECK(redisGetReply(client, &reply) == REDIS_OK);
        CHECK(is_text(reply, "OK"));
    }
    CHECK(is_text(run(client, "GET p:%d", PIPELINE - 1), "9999"));
}

static void transactions(redisContext *client, redisContext *other) {
    CHECK(is_text(run(client, "MULTI"), "OK"));
    CHECK(is_text(run(client, "SET a 1"), "QUEUED"));
    CHECK(is_text(run(client, "INCR a"), "QUEUED"));
    CHECK(is_text(run(other, "SET b seen"), "OK"));
    redisReply *reply = run(client, "EXEC");
    CHECK(reply->type == REDIS_REPLY_ARRAY && reply->elements == 2);
    CHECK(reply->element[1]->type == REDIS_REPLY_INTEGER && reply->element[1]->integer == 2);
    freeReplyObject(reply);

    CHECK(is_text(run(client, "WATCH a"), "OK"));
    CHECK(is_text(run(other, "SET a changed"), "OK"));
    CHECK(is_text(run(client, "MULTI"), "OK"));
    CHECK(is_text(run(client, "SET a lost"), "QUEUED"));
    CHECK(is_nil(run(client, "EXEC")));
    CHECK(is_text(run(client, "GET a"), "changed"));
}

static void fill(redisContext *client) {
    freeReplyObject(run(client, "FLUSHALL"));
    for (int i = 0; i < SCAN_KEYS; i++) {
        CHECK(redisAppendCommand(client, "SET key:%d %d", i, i) == REDIS_OK);
    }
    for (int i = 0; i < SCAN_KEYS; i++) {
        void *reply = NULL;
        CHECK(redisGetReply(client, &reply) == REDIS_OK);
        CHECK(is_text(reply, "OK"));
    }
    CHECK(integer(run(client, "DBSIZE")) == SCAN_KEYS);
}

static void scan(redisContext *client) {
    static bool seen[SCAN_KEYS];
    char cursor[32] = "0";
    int distinct = 0;
    fill(client);
    do {
        redisReply *reply = run(client, "SCAN %s MATCH key:* COUNT 500", cursor);
        CHECK(reply->type == REDIS_REPLY_ARRAY && reply->elements == 2);
        snprintf(cursor, sizeof cursor, "%s", reply->element[0]->str);
        for (size_t i = 0; i < reply->element[1]->elements; i++) {
            int number = atoi(reply->element[1]->element[i]->str + strlen("key:"));
            CHECK(number >= 0 && number < SCAN_KEYS);
            distinct += !seen[number];
            seen[number] = true;
        }
        freeReplyObject(reply);
    } while (strcmp(cursor, "0") != 0);
    CHECK(distinct == SCAN_KEYS);
}

static void errors(redisContext *client) {
    CHECK(is_text(run(client, "SET text abc"), "OK"));
    redisReply *reply = run(client, "INCR text");
    CHECK(reply->type == REDIS_REPLY_ERROR);
    CHECK(strcmp(reply->str, "ERR value is not an integer or out of range") == 0);
    freeReplyObject(reply);
    CHECK(is_text(run(client, "PING"), "PONG"));
}

static redisContext *connect_to(const char *port) {
    redisContext *client =
        redisConnectWithTimeout("127.0.0.1", atoi(port), (struct timeval){.tv_sec = 20});
    CHECK(client != NULL);
    CHECK(client->err == 0);
    redisSetTimeout(client, (struct timeval){.tv_sec = 20});
    return client;
}

int main(int count, char **words) {
    if (count != 2) {
        fprintf(stderr, "usage: hiredis_client PORT\n");
        return 2;
    }
    redisContext *client = connect_to(words[1]);
    redisContext *other = connect_to(words[1]);
    counters(client);
    puts("counters ok");
    sessions(client);
    puts("sessions ok");
    pipelines(client);
    puts("pipelines ok");
    transactions(client, other);
    puts("transactions ok");
    scan(client);
    puts("scan ok");
    errors(client);
    puts("errors ok");
    redisFree(client);
    redisFree(other);
    return 0;
}
