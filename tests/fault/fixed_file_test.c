/* SPDX-License-Identifier: MIT */
/* A shared table in a file: processes that make it at the same time, files that hold something else
 * or a part, errors of the system, and a writer that is killed after each of its instructions. */
#include "contract/contract.h"

#include "base/file.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weft/weft.h>

enum { CAPACITY = 500, KEYS = 200, PROCESSES = 6, RACES = 20, CROWD = 5 };
enum { STOPS_MOST = 60, STOPS_LEAST = 10, STEPS = 150000 }; /* a step takes some microseconds */

static char path[64];

static weft_u64map open_in(const weft_fixed_mapping *file) {
    weft_map_options options = {.size = sizeof options, .engine = WEFT_ENGINE_FIXED};
    options.fixed.capacity = CAPACITY;
    options.fixed.memory = file->memory;
    options.fixed.memory_bytes = file->bytes;
    weft_u64map map = WEFT_U64MAP_INIT;
    REQUIRE(weft_u64map_open(&map, &options) == WEFT_OK);
    return map;
}

static weft_fixed_mapping map_file(void) {
    weft_fixed_mapping file;
    if (weft_fixed_map_path(&file, path, CAPACITY) != WEFT_OK) {
        fprintf(stderr, "%s\n", file.error_text);
        REQUIRE(!"the file is refused");
    }
    return file;
}

static void require_sound(weft_u64map *map) {
    char text[200] = "";
    if (weft_u64map_check(map, text, sizeof text) != WEFT_OK) {
        fprintf(stderr, "%s\n", text);
        REQUIRE(!"the table is broken");
    }
}

static bool has(weft_u64map *map, uint64_t key, uint64_t expected) {
    uint64_t value = 0;
    return weft_u64map_get(map, key, &value) == WEFT_OK && value == expected;
}

/* ---- what is found again --------------------------------------------------------------------- */

static void a_table_outlives_its_processes(void **state) {
    (void)state;
    (void)unlink(path);
    for (uint64_t turn = 0; turn < 3; turn++) {
        pid_t child = fork();
        if (child == 0) {
            weft_fixed_mapping file = map_file();
            weft_u64map map = open_in(&file);
            REQUIRE(weft_u64map_len(&map) == turn * KEYS);
            for (uint64_t key = turn * KEYS; key < (turn + 1) * KEYS && turn < 2; key++) {
                REQUIRE(weft_u64map_put(&map, key, ~key) == WEFT_OK);
            }
            for (uint64_t key = 0; key < turn * KEYS; key++) {
                REQUIRE(has(&map, key, ~key));
            }
            require_sound(&map);
            REQUIRE(weft_u64map_close(&map) == WEFT_OK);
            weft_fixed_unmap(&file);
            _exit(0);
        }
        int status = 0;
        assert_true(waitpid(child, &status, 0) == child && status == 0);
    }
}

static void a_descriptor_will_do(void **state) {
    (void)state;
    int fd = memfd_create("weft-fixed", MFD_CLOEXEC);
    assert_true(fd >= 0);
    weft_fixed_mapping mappings[2];
    assert_ok(weft_fixed_map_fd(&mappings[0], fd, CAPACITY));
    weft_u64map one = open_in(&mappings[0]);
    assert_ok(weft_fixed_map_fd(&mappings[1], fd, 1)); /* the table is there: its size counts */
    assert_int_equal(close(fd), 0);
    weft_u64map other = open_in(&mappings[1]);
    assert_true(mappings[0].memory != mappings[1].memory);
    assert_ok(weft_u64map_put(&one, 1, 11));
    assert_true(has(&other, 1, 11));
    assert_ok(weft_u64map_close(&one));
    weft_fixed_unmap(&mappings[0]);
    weft_fixed_unmap(&mappings[0]);
    assert_true(has(&other, 1, 11));
    assert_ok(weft_u64map_close(&other));
    weft_fixed_unmap(&mappings[1]);
}

/* All of them make the file, and the last to come is killed wherever it is. */
static void processes_may_begin_together(void **state) {
    (void)state;
    for (uint64_t race = 0; race < RACES; race++) {
        pid_t children[PROCESSES + 1];
        (void)unlink(path);
        for (uint64_t i = 0; i <= PROCESSES; i++) {
            children[i] = fork();
            if (children[i] == 0) {
                weft_fixed_mapping file = map_file();
                weft_u64map map = open_in(&file);
                REQUIRE(weft_u64map_put(&map, i, race) == WEFT_OK);
                _exit(0);
            }
        }
        (void)kill(children[PROCESSES], SIGKILL);
        for (uint64_t i = 0; i <= PROCESSES; i++) {
            int status = 0;
            assert_true(waitpid(children[i], &status, 0) == children[i]);
            assert_true(status == 0 || i == PROCESSES);
        }
        weft_fixed_mapping file = map_file();
        weft_u64map map = open_in(&file);
        for (uint64_t i = 0; i < PROCESSES; i++) {
            assert_true(has(&map, i, race));
        }
        require_sound(&map);
        assert_ok(weft_u64map_close(&map));
        weft_fixed_unmap(&file);
    }
}

/* ---- what is refused ------------------------------------------------------------------------- */

static void make_table(void) {
    (void)unlink(path);
    weft_fixed_mapping file = map_file();
    weft_u64map map = open_in(&file);
    assert_ok(weft_u64map_put(&map, 1, 1));
    assert_ok(weft_u64map_close(&map));
    weft_fixed_unmap(&file);
}

static void write_at(uint64_t offset, const void *data, size_t size) {
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0 && pwrite(fd, data, size, (off_t)offset) == (ssize_t)size);
    assert_int_equal(close(fd), 0);
}

/* With what is to be read in the text. */
static void require_refusal(int status, const char *says) {
    weft_fixed_mapping file;
    int answer = weft_fixed_map_path(&file, path, CAPACITY);
    if (answer != status || strstr(file.error_text, says) == NULL) {
        fail_msg("%s: %s", weft_status_name(answer), file.error_text);
    }
    assert_ptr_equal(strstr(file.error_text, path), file.error_text);
    assert_true(file.memory == NULL && file.bytes == 0);
    weft_fixed_unmap(&file);
}

static void files_that_are_no_table_are_refused(void **state) {
    (void)state;
    uint64_t numbers[4];
    make_table();
    assert_int_equal(truncate(path, (off_t)weft_fixed_bytes(CAPACITY) - 1), 0);
    require_refusal(WEFT_E_CORRUPT, "cut off");
    assert_int_equal(truncate(path, 60), 0);
    require_refusal(WEFT_E_CORRUPT, "less than the beginning");
    make_table();
    write_at(0, "9", 1); /* where the lowest byte of the magic number is */
    require_refusal(WEFT_E_UNSUPPORTED, "format 9");
    write_at(0, "WEFTFIX2", 8);
    require_refusal(WEFT_E_UNSUPPORTED, "order of bytes");
    make_table();
    numbers[0] = 12345;
    write_at(8, numbers, 8);
    require_refusal(WEFT_E_CORRUPT, "12345 buckets");
    write_at(0, "#!/bin/sh\n", 10);
    require_refusal(WEFT_E_CORRUPT, "something else");
    (void)unlink(path);
    weft_fixed_mapping file;
    assert_ok(weft_fixed_map_path(&file, path, 1));
    weft_fixed_unmap(&file);
    require_refusal(WEFT_E_INVALID, "no table yet");
}

/* Memory that was mapped otherwise gets the same answers from open. */
static void open_refuses_as_well(void **state) {
    (void)state;
    make_table();
    weft_fixed_mapping file = map_file();
    weft_map_options options = {.size = sizeof options, .engine = WEFT_ENGINE_FIXED};
    weft_u64map map = WEFT_U64MAP_INIT;
    options.fixed.memory = file.memory;
    options.fixed.memory_bytes = file.bytes;
    ++*(char *)file.memory;
    assert_int_equal(weft_u64map_open(&map, &options), WEFT_E_UNSUPPORTED);
    *(char *)file.memory = 0;
    ((char *)file.memory)[7] = 0;
    assert_int_equal(weft_u64map_open(&map, &options), WEFT_E_CORRUPT);
    weft_fixed_unmap(&file);
}

static void errors_of_the_system_are_told(void **state) {
    (void)state;
    weft_file_op ops[] = {WEFT_FILE_OPEN, WEFT_FILE_SIZE, WEFT_FILE_ALLOCATE, WEFT_FILE_PREAD,
                          WEFT_FILE_MAP};
    for (size_t i = 0; i < COUNT_OF(ops); i++) {
        (void)unlink(path);
        weft_file_fault fault = {.at = 1, .ops = 1u << ops[i], .error = ENOSPC};
        fault.short_size = SIZE_MAX;
        weft_file_fail(&fault);
        require_refusal(WEFT_E_IO, strerror(ENOSPC));
        weft_file_fail_off();
        weft_fixed_mapping file = map_file(); /* what is left of the attempt does no harm */
        weft_u64map map = open_in(&file);
        assert_ok(weft_u64map_put(&map, 1, 1));
        assert_ok(weft_u64map_close(&map));
        weft_fixed_unmap(&file);
    }
}

/* ---- killed after each instruction ----------------------------------------------------------- */

typedef enum act { INSERT, UPDATE, REMOVE, ACTS } act;

static int act_once(weft_u64map *map, act what) {
    return what == REMOVE ? weft_u64map_remove(map, 0)
                          : weft_u64map_put(map, what == INSERT ? 1000 : 0, 7);
}

/* A child that stops before the write; its first one, so that nothing else is left to set up. */
static pid_t start_writer(const weft_fixed_mapping *file, act what) {
    pid_t child = fork();
    if (child == 0) {
        weft_u64map map = open_in(file);
        REQUIRE(weft_u64map_put(&map, 2000, 1) == WEFT_OK);
        REQUIRE(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
        (void)raise(SIGSTOP);
        _exit(act_once(&map, what) == WEFT_OK ? 0 : 1);
    }
    return child;
}

/* So many instructions of it, then it is killed. Returns how many there were. */
static uint64_t run_writer(pid_t child, uint64_t instructions) {
    int status = 0;
    uint64_t done = 0;
    REQUIRE(waitpid(child, &status, 0) == child && WIFSTOPPED(status));
    while (done < instructions && !WIFEXITED(status)) {
        REQUIRE(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) == 0);
        REQUIRE(waitpid(child, &status, 0) == child);
        done++;
    }
    if (!WIFEXITED(status)) {
        REQUIRE(kill(child, SIGKILL) == 0);
        REQUIRE(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    } else {
        REQUIRE(WEXITSTATUS(status) == 0);
    }
    return done;
}

/* The survivor's view: the write happened or it did not, all else is there, and it goes on. */
static bool survive(weft_u64map *map, act what, uint64_t written) {
    require_sound(map);
    for (uint64_t key = 1; key < CROWD; key++) {
        REQUIRE(has(map, key, key));
    }
    uint64_t value = 0;
    int status = weft_u64map_get(map, what == INSERT ? 1000 : 0, &value);
    bool happened = what == REMOVE ? status == WEFT_NOT_FOUND : status == WEFT_OK && value == 7;
    bool before = what == INSERT ? status == WEFT_NOT_FOUND : status == WEFT_OK && value == written;
    REQUIRE(happened || before);
    REQUIRE(weft_u64map_put(map, 1000, 8) == WEFT_OK && has(map, 1000, 8));
    REQUIRE(weft_u64map_remove(map, 1000) == WEFT_OK);
    REQUIRE(weft_u64map_put(map, 0, 0) == WEFT_OK && has(map, 0, 0));
    REQUIRE(weft_u64map_remove(map, 2000) == WEFT_OK);
    require_sound(map);
    return happened;
}

/* Of each write its instructions are counted first; then so many of them, evenly, are the last. */
static void a_writer_may_be_killed_at_any_instruction(void **state) {
    (void)state;
    make_table();
    weft_fixed_mapping file = map_file();
    weft_u64map map = open_in(&file);
    for (uint64_t key = 0; key < CROWD; key++) {
        assert_ok(weft_u64map_put(&map, key, key));
    }
    for (int what = 0; what < ACTS; what++) {
        uint64_t all = run_writer(start_writer(&file, (act)what), UINT64_MAX);
        assert_true(survive(&map, (act)what, 0));
        uint64_t stops = STEPS / all < STOPS_LEAST  ? STOPS_LEAST
                         : STEPS / all > STOPS_MOST ? STOPS_MOST
                                                    : STEPS / all;
        uint64_t happened = 0;
        for (uint64_t stop = 0; stop < stops; stop++) {
            (void)run_writer(start_writer(&file, (act)what), all * stop / stops);
            happened += survive(&map, (act)what, 0);
        }
        print_message("%llu instructions; of %llu that were killed %llu had written\n",
                      (unsigned long long)all, (unsigned long long)stops,
                      (unsigned long long)happened);
        assert_true(all > 100 && happened > 0 && happened < stops);
    }
    assert_ok(weft_u64map_close(&map));
    weft_fixed_unmap(&file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_outlives_its_processes),
        cmocka_unit_test(a_descriptor_will_do),
        cmocka_unit_test(processes_may_begin_together),
        cmocka_unit_test(files_that_are_no_table_are_refused),
        cmocka_unit_test(open_refuses_as_well),
        cmocka_unit_test(errors_of_the_system_are_told),
        cmocka_unit_test(a_writer_may_be_killed_at_any_instruction),
    };
    snprintf(path, sizeof path, "%s/weft-fixed-%d",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (int)getpid());
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(path);
    return failed;
}
