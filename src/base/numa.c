/* SPDX-License-Identifier: MIT */
#include "base/numa.h"

#include "base/file.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of <linux/mempolicy.h>, which not every machine has. */
enum { POLICY_PREFERRED = 1, POLICY_BIND = 2, OF_ADDRESS = 2 };

/* The kernel reads one bit less than it is told. */
enum { MASK_BITS = WEFT_NODES_MAX + 1 };

static const char *nodes_folder = "/sys/devices/system/node";

void weft_numa_set_folder(const char *folder) {
    nodes_folder = folder != NULL ? folder : "/sys/devices/system/node";
}

/* The kernel's list of numbers and ranges, as "0-1,3"; false if it is none. */
static int parse(const char *text, uint64_t *set) {
    while (*text >= '0' && *text <= '9') {
        char *end;
        unsigned long first = strtoul(text, &end, 10);
        unsigned long last = *end == '-' ? strtoul(end + 1, &end, 10) : first;
        for (unsigned long node = first; node <= last && node < WEFT_NODES_MAX; node++) {
            *set |= UINT64_C(1) << node;
        }
        text = *end == ',' ? end + 1 : end;
    }
    return *text == '\n' || *text == 0;
}

uint32_t weft_numa_nodes(uint32_t *nodes) {
    char path[256];
    char text[256] = "";
    size_t got = 0;
    uint64_t set = 0;
    (void)snprintf(path, sizeof path, "%s/has_memory", nodes_folder);
    int fd = weft_file_open(path, O_RDONLY, 0);
    if (fd >= 0) {
        (void)weft_file_pread(fd, (weft_file_room){text, sizeof text - 1}, 0, &got);
        (void)weft_file_close(fd);
    }
    if (!parse(text, &set) || set == 0) {
        set = 1;
    }
    uint32_t count = 0;
    for (; set != 0; set &= set - 1) {
        nodes[count++] = (uint32_t)__builtin_ctzll(set);
    }
    return count;
}

int weft_numa_prefer(void *memory, size_t size, uint32_t node) {
#ifdef SYS_mbind
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = ((uintptr_t)memory + page - 1) & ~(page - 1);
    uintptr_t to = ((uintptr_t)memory + size) & ~(page - 1);
    uint64_t mask = UINT64_C(1) << node;
    if (from >= to) {
        return 0;
    }
    return syscall(SYS_mbind, from, to - from, POLICY_PREFERRED, &mask, MASK_BITS, 0) == 0 ? 0
                                                                                           : -errno;
#else
    (void)memory;
    (void)size;
    (void)node;
    return -ENOSYS;
#endif
}

int weft_numa_preferred(const void *page) {
#ifdef SYS_get_mempolicy
    int policy = 0;
    uint64_t mask = 0;
    if (syscall(SYS_get_mempolicy, &policy, &mask, MASK_BITS, page, OF_ADDRESS) == 0 &&
        (policy == POLICY_PREFERRED || policy == POLICY_BIND) && mask != 0) {
        return __builtin_ctzll(mask);
    }
#else
    (void)page;
#endif
    return -1;
}
