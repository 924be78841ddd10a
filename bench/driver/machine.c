/* SPDX-License-Identifier: MIT */
/* What a result says of the build and the machine. */
#include "bench.h"
#include "base/cpu.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>
#include <weft/export.h>

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
#define COMPILER "gcc " __VERSION__
#else
#define COMPILER "unknown"
#endif

/* The first line of a file, NULL if there is none; static. */
static const char *first_line(const char *path) {
    static char line[256];
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return NULL;
    }
    bool good = fgets(line, sizeof line, file) != NULL;
    fclose(file);
    line[strcspn(line, "\n")] = '\0';
    return good && line[0] != '\0' ? line : NULL;
}

/* What a command prints on its first line. */
static const char *printed(const char *command) {
    static char line[256];
    FILE *pipe = popen(command, "r");
    if (pipe == NULL) {
        return NULL;
    }
    bool good = fgets(line, sizeof line, pipe) != NULL;
    pclose(pipe);
    line[strcspn(line, "\n")] = '\0';
    return good && line[0] != '\0' ? line : NULL;
}

/* The value of a line "name : value" of a file in /proc. */
static const char *proc_value(const char *path, const char *name) {
    static char line[512];
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        char *colon = strchr(line, ':');
        if (strncmp(line, name, strlen(name)) == 0 && colon != NULL) {
            fclose(file);
            line[strcspn(line, "\n")] = '\0';
            return colon + 1 + strspn(colon + 1, " \t");
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return NULL;
}

static json_t *text_or_null(const char *text) {
    return text != NULL ? json_string(text) : json_null();
}

json_t *weft_bench_weft_json(void) {
    char command[4200];
    snprintf(command, sizeof command,
             "git -C '%s' describe --always --dirty --abbrev=12 --exclude '*' 2>/dev/null",
             weft_bench_folder());
    return json_pack("{s:s,s:o,s:s}", "version", WEFT_VERSION_STRING, "commit",
                     text_or_null(printed(command)), "compiler", COMPILER);
}

/* The chosen one of "always [madvise] never". */
static json_t *huge_pages(void) {
    const char *line = first_line("/sys/kernel/mm/transparent_hugepage/enabled");
    const char *open = line != NULL ? strchr(line, '[') : NULL;
    return open != NULL ? json_stringn(open + 1, strcspn(open + 1, "]")) : json_null();
}

json_t *weft_bench_machine_json(void) {
    struct utsname kernel;
    uname(&kernel);
    long long memory = (long long)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
    const char *cpu = proc_value("/proc/cpuinfo", "model name");
    json_t *machine =
        json_pack("{s:s,s:i,s:I,s:s,s:o}", "cpu", cpu != NULL ? cpu : kernel.machine, "processors",
                  (int)weft_cpu_count(), "memory_bytes", (json_int_t)memory, "kernel",
                  kernel.release, "huge_pages", huge_pages());
    const char *virtual = printed("systemd-detect-virt 2>/dev/null");
    json_object_set_new(machine, "virtual", text_or_null(virtual));
    json_object_set_new(
        machine, "governor",
        text_or_null(first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")));
    return machine;
}

json_t *weft_bench_started_json(double elapsed) {
    char text[32];
    time_t began = time(NULL) - (time_t)elapsed;
    struct tm parts;
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&began, &parts));
    return json_string(text);
}
