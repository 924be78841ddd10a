/* SPDX-License-Identifier: MIT */
/* The file seam: whole transfers, negated errno, and failure on cue. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/file.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/weft-file-test-XXXXXX";
static char path[128];
static char other[128];

static int set_up(void **state) {
    (void)state;
    if (!mkdtemp(folder)) {
        return -1;
    }
    (void)snprintf(path, sizeof path, "%s/one", folder);
    (void)snprintf(other, sizeof other, "%s/two", folder);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    return rmdir(folder);
}

static int no_faults(void **state) {
    (void)state;
    weft_file_fail_off();
    weft_file_set_hook(NULL);
    (void)unlink(path);
    (void)unlink(other);
    return 0;
}

static int open_new(void) {
    int fd = weft_file_open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    return fd;
}

static void bytes_come_back(void **state) {
    (void)state;
    int fd = open_new();
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(weft_file_pwrite(fd, "hello world", 11, 5), 0);
    char text[32] = {0};
    size_t got = 0;
    assert_int_equal(weft_file_pread(fd, (weft_file_room){text, sizeof text}, 5, &got), 0);
    assert_int_equal(got, 11);
    assert_string_equal(text, "hello world");
    assert_int_equal(weft_file_pread(fd, (weft_file_room){text, sizeof text}, 16, &got), 0);
    assert_int_equal(got, 0);
    uint64_t size = 0;
    assert_int_equal(weft_file_size(fd, &size), 0);
    assert_int_equal(size, 16);
    assert_int_equal(weft_file_truncate(fd, 8), 0);
    assert_int_equal(weft_file_size(fd, &size), 0);
    assert_int_equal(size, 8);
    int allocated = weft_file_allocate(fd, 0, 8192);
    assert_true(allocated == 0 || allocated == -EOPNOTSUPP);
    assert_int_equal(weft_file_sync(fd), 0);
    assert_int_equal(weft_file_close(fd), 0);
}

static int count_name(void *ctx, const char *name) {
    unsigned *seen = ctx;
    *seen |= strcmp(name, "one") == 0 ? 1 : strcmp(name, "two") == 0 ? 2 : 4;
    return 0;
}

static int stop_at_once(void *ctx, const char *name) {
    (void)ctx;
    (void)name;
    return 42;
}

static void names(void **state) {
    (void)state;
    assert_int_equal(weft_file_close(open_new()), 0);
    assert_int_equal(weft_file_rename(path, other), 0);
    assert_int_equal(weft_file_open(path, O_RDONLY, 0), -ENOENT);
    assert_int_equal(weft_file_close(open_new()), 0);
    unsigned seen = 0;
    assert_int_equal(weft_file_list(folder, count_name, &seen), 0);
    assert_int_equal(seen, 3);
    assert_int_equal(weft_file_list(folder, stop_at_once, NULL), 42);
    assert_int_equal(weft_file_sync_directory(folder), 0);
    assert_int_equal(weft_file_unlink(other), 0);
    assert_int_equal(weft_file_unlink(other), -ENOENT);
    assert_int_equal(weft_file_list(other, count_name, &seen), -ENOENT);
    assert_int_equal(weft_file_make_directory(other, 0700), 0);
    assert_int_equal(weft_file_make_directory(other, 0700), 0);
    assert_int_equal(weft_file_make_directory(path, 0700), -EEXIST); /* a file of this name */
    assert_int_equal(rmdir(other), 0);
    assert_int_equal(weft_file_sync_directory(other), -ENOENT);
}

static void one_lock_at_a_time(void **state) {
    (void)state;
    int first = open_new();
    int second = open_new();
    assert_int_equal(weft_file_lock(first), 0);
    assert_int_equal(weft_file_lock(second), -EWOULDBLOCK);
    assert_int_equal(weft_file_close(first), 0);
    assert_int_equal(weft_file_lock(second), 0);
    assert_int_equal(weft_file_close(second), 0);
}

static void call_of_number_fails(void **state) {
    (void)state;
    int fd = open_new();
    weft_file_fault fault = {.at = 2, .error = EIO, .short_size = SIZE_MAX};
    weft_file_fail(&fault);
    assert_int_equal(weft_file_pwrite(fd, "a", 1, 0), 0);
    assert_int_equal(weft_file_sync(fd), -EIO);
    assert_int_equal(weft_file_sync(fd), 0);
    assert_int_equal(weft_file_count(), 3);

    fault = (weft_file_fault){.at = 1,
                              .ops = 1u << WEFT_FILE_SYNC | 1u << WEFT_FILE_ALLOCATE,
                              .error = ENOSPC,
                              .forever = true,
                              .short_size = SIZE_MAX};
    weft_file_fail(&fault);
    assert_int_equal(weft_file_pwrite(fd, "b", 1, 1), 0);
    assert_int_equal(weft_file_sync(fd), -ENOSPC);
    assert_int_equal(weft_file_allocate(fd, 0, 10), -ENOSPC);
    weft_file_fail_off();
    assert_int_equal(weft_file_sync(fd), 0);

    fault = (weft_file_fault){.at = 1, .error = EIO, .short_size = SIZE_MAX};
    weft_file_fail(&fault);
    assert_int_equal(weft_file_close(fd), -EIO);
    weft_file_fail_off();
    assert_int_equal(weft_file_close(fd), -EBADF); /* it was closed all the same */
}

static void each_call_can_fail(void **state) {
    (void)state;
    int fd = open_new();
    uint64_t size = 0;
    size_t got = 0;
    unsigned seen = 0;
    void *memory = NULL;
    weft_file_fault fault = {.at = 1, .error = EDQUOT, .forever = true, .short_size = SIZE_MAX};
    weft_file_fail(&fault);
    assert_int_equal(weft_file_open(path, O_RDONLY, 0), -EDQUOT);
    assert_int_equal(weft_file_pwrite(fd, "a", 1, 0), -EDQUOT);
    assert_int_equal(weft_file_pread(fd, (weft_file_room){&seen, 1}, 0, &got), -EDQUOT);
    assert_int_equal(weft_file_size(fd, &size), -EDQUOT);
    assert_int_equal(weft_file_allocate(fd, 0, 1), -EDQUOT);
    assert_int_equal(weft_file_truncate(fd, 0), -EDQUOT);
    assert_int_equal(weft_file_sync(fd), -EDQUOT);
    assert_int_equal(weft_file_rename(path, other), -EDQUOT);
    assert_int_equal(weft_file_unlink(path), -EDQUOT);
    assert_int_equal(weft_file_make_directory(other, 0700), -EDQUOT);
    assert_int_equal(weft_file_sync_directory(folder), -EDQUOT);
    assert_int_equal(weft_file_list(folder, count_name, &seen), -EDQUOT);
    assert_int_equal(weft_file_lock(fd), -EDQUOT);
    assert_int_equal(weft_file_map(fd, 1, &memory), -EDQUOT);
    assert_int_equal(weft_file_close(fd), -EDQUOT);
    assert_int_equal(weft_file_count(), WEFT_FILE_OPS);
}

static void torn_write_leaves_its_part(void **state) {
    (void)state;
    int fd = open_new();
    weft_file_fault fault = {.at = 1, .error = EIO, .short_size = 4};
    weft_file_fail(&fault);
    assert_int_equal(weft_file_pwrite(fd, "abcdefgh", 8, 0), -EIO);
    weft_file_fail_off();
    char text[16] = {0};
    size_t got = 0;
    assert_int_equal(weft_file_pread(fd, (weft_file_room){text, sizeof text}, 0, &got), 0);
    assert_int_equal(got, 4);
    assert_memory_equal(text, "abcd", 4);
    assert_int_equal(weft_file_close(fd), 0);
}

/* A disc that takes at most 3 bytes at a time, and counts. */
static int three_at_a_time(void *ctx, weft_file_call *call) {
    unsigned *calls = ctx;
    if (call->op == WEFT_FILE_PWRITE || call->op == WEFT_FILE_PREAD) {
        call->size = call->size > 3 ? 3 : call->size;
        ++*calls;
    }
    return call->op == WEFT_FILE_RENAME ? -EXDEV : 0;
}

static void short_transfers_go_on(void **state) {
    (void)state;
    int fd = open_new();
    unsigned calls = 0;
    weft_file_hook hook = {.before = three_at_a_time, .ctx = &calls};
    weft_file_set_hook(&hook);
    assert_int_equal(weft_file_pwrite(fd, "0123456789", 10, 0), 0);
    assert_int_equal(calls, 4);
    char text[16] = {0};
    size_t got = 0;
    assert_int_equal(weft_file_pread(fd, (weft_file_room){text, 10}, 0, &got), 0);
    assert_int_equal(got, 10);
    assert_string_equal(text, "0123456789");
    assert_int_equal(calls, 8);
    assert_int_equal(weft_file_rename(path, other), -EXDEV);
    weft_file_set_hook(NULL);
    assert_int_equal(weft_file_rename(path, other), 0);
    assert_int_equal(weft_file_close(fd), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(bytes_come_back, no_faults),
        cmocka_unit_test_teardown(names, no_faults),
        cmocka_unit_test_teardown(one_lock_at_a_time, no_faults),
        cmocka_unit_test_teardown(call_of_number_fails, no_faults),
        cmocka_unit_test_teardown(each_call_can_fail, no_faults),
        cmocka_unit_test_teardown(torn_write_leaves_its_part, no_faults),
        cmocka_unit_test_teardown(short_transfers_go_on, no_faults),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
