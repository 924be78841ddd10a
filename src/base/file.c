/* SPDX-License-Identifier: MIT */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* `watched` is the one word that an undisturbed program looks at. */
static struct {
    bool watched;
    bool armed;
    weft_file_fault fault;
    uint64_t count;
    const weft_file_hook *hook;
} seam;

static void watch_again(void) {
    bool watched = __atomic_load_n(&seam.armed, __ATOMIC_SEQ_CST) ||
                   __atomic_load_n(&seam.hook, __ATOMIC_SEQ_CST) != NULL;
    __atomic_store_n(&seam.watched, watched, __ATOMIC_SEQ_CST);
}

void weft_file_fail(const weft_file_fault *fault) {
    __atomic_store_n(&seam.armed, false, __ATOMIC_SEQ_CST);
    seam.fault = *fault;
    __atomic_store_n(&seam.count, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&seam.armed, true, __ATOMIC_SEQ_CST);
    watch_again();
}

void weft_file_fail_off(void) {
    __atomic_store_n(&seam.armed, false, __ATOMIC_SEQ_CST);
    watch_again();
}

uint64_t weft_file_count(void) {
    return __atomic_load_n(&seam.count, __ATOMIC_SEQ_CST);
}

void weft_file_set_hook(const weft_file_hook *hook) {
    __atomic_store_n(&seam.hook, hook, __ATOMIC_SEQ_CST);
    watch_again();
}

static bool fault_strikes(const weft_file_call *call) {
    if (!__atomic_load_n(&seam.armed, __ATOMIC_SEQ_CST)) {
        return false;
    }
    const weft_file_fault *fault = &seam.fault;
    if (fault->ops != 0 && !(fault->ops & 1u << call->op)) {
        return false;
    }
    uint64_t number = __atomic_add_fetch(&seam.count, 1, __ATOMIC_SEQ_CST);
    return fault->at != 0 && (number == fault->at || (fault->forever && number > fault->at));
}

static WEFT_COLD int ask(weft_file_call *call) {
    const weft_file_hook *hook = __atomic_load_n(&seam.hook, __ATOMIC_SEQ_CST);
    int answer = hook ? hook->before(hook->ctx, call) : 0;
    if (answer != 0 || !fault_strikes(call)) {
        return answer;
    }
    size_t torn = seam.fault.short_size;
    if (call->op == WEFT_FILE_PWRITE && torn != SIZE_MAX && torn <= call->size) {
        (void)!pwrite(call->fd, call->data, torn, (off_t)call->offset);
    }
    return -seam.fault.error;
}

/* What the test wants instead of this call: 0, or the answer. */
static inline int before(weft_file_call *call) {
    return WEFT_UNLIKELY(__atomic_load_n(&seam.watched, __ATOMIC_RELAXED)) ? ask(call) : 0;
}

static int before_fd(weft_file_op op, int fd) {
    weft_file_call call = {.op = op, .fd = fd};
    return before(&call);
}

static int before_path(weft_file_op op, const char *path) {
    weft_file_call call = {.op = op, .path = path, .fd = -1};
    return before(&call);
}

/* The value of a call's expression once no signal interrupts it; -1 became a negated errno. */
#define AGAIN(call)                                                                                \
    __extension__({                                                                                \
        long result_;                                                                              \
        do {                                                                                       \
            result_ = (long)(call);                                                                \
        } while (result_ < 0 && errno == EINTR);                                                   \
        result_ < 0 ? -errno : result_;                                                            \
    })

int weft_file_open(const char *path, int flags, unsigned mode) {
    int refused = before_path(WEFT_FILE_OPEN, path);
    return refused ? refused : (int)AGAIN(open(path, flags | O_CLOEXEC, (mode_t)mode));
}

int weft_file_close(int fd) {
    int refused = before_fd(WEFT_FILE_CLOSE, fd);
    /* Linux has given the descriptor back also where close says EINTR; a second close could hit
     * another thread's file. */
    int error = close(fd) != 0 && errno != EINTR ? -errno : 0;
    return refused ? refused : error;
}

int weft_file_pwrite(int fd, const void *data, size_t size, uint64_t offset) {
    const char *from = data;
    while (size != 0) {
        weft_file_call call = {
            .op = WEFT_FILE_PWRITE, .fd = fd, .data = from, .offset = offset, .size = size};
        int refused = before(&call);
        if (refused) {
            return refused;
        }
        long done = AGAIN(pwrite(fd, from, call.size, (off_t)offset));
        if (done <= 0) {
            return done < 0 ? (int)done : -EIO;
        }
        from += done;
        size -= (size_t)done;
        offset += (uint64_t)done;
    }
    return 0;
}

int weft_file_pread(int fd, weft_file_room room, uint64_t offset, size_t *got) {
    *got = 0;
    while (*got < room.size) {
        weft_file_call call = {
            .op = WEFT_FILE_PREAD, .fd = fd, .offset = offset + *got, .size = room.size - *got};
        int refused = before(&call);
        if (refused) {
            return refused;
        }
        long done = AGAIN(pread(fd, (char *)room.data + *got, call.size, (off_t)call.offset));
        if (done <= 0) {
            return (int)done;
        }
        *got += (size_t)done;
    }
    return 0;
}

int weft_file_size(int fd, uint64_t *size) {
    int refused = before_fd(WEFT_FILE_SIZE, fd);
    if (refused) {
        return refused;
    }
    struct stat about;
    if (fstat(fd, &about) != 0) {
        return -errno;
    }
    *size = (uint64_t)about.st_size;
    return 0;
}

int weft_file_allocate(int fd, uint64_t offset, uint64_t size) {
    weft_file_call call = {.op = WEFT_FILE_ALLOCATE, .fd = fd, .offset = offset, .size = size};
    int refused = before(&call);
    return refused ? refused : (int)AGAIN(fallocate(fd, 0, (off_t)offset, (off_t)size));
}

int weft_file_truncate(int fd, uint64_t size) {
    weft_file_call call = {.op = WEFT_FILE_TRUNCATE, .fd = fd, .offset = size};
    int refused = before(&call);
    return refused ? refused : (int)AGAIN(ftruncate(fd, (off_t)size));
}

int weft_file_sync(int fd) {
    int refused = before_fd(WEFT_FILE_SYNC, fd);
    return refused ? refused : (int)AGAIN(fdatasync(fd));
}

int weft_file_rename(const char *from, const char *to) {
    int refused = before_path(WEFT_FILE_RENAME, from);
    return refused ? refused : (int)AGAIN(rename(from, to));
}

int weft_file_unlink(const char *path) {
    int refused = before_path(WEFT_FILE_UNLINK, path);
    return refused ? refused : (int)AGAIN(unlink(path));
}

int weft_file_make_directory(const char *path, unsigned mode) {
    int refused = before_path(WEFT_FILE_MAKE_DIRECTORY, path);
    if (refused) {
        return refused;
    }
    int error = (int)AGAIN(mkdir(path, (mode_t)mode));
    if (error != -EEXIST) {
        return error;
    }
    struct stat about;
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode) ? 0 : error;
}

int weft_file_sync_directory(const char *path) {
    int refused = before_path(WEFT_FILE_SYNC_DIRECTORY, path);
    if (refused) {
        return refused;
    }
    int fd = (int)AGAIN(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd < 0) {
        return fd;
    }
    int error = (int)AGAIN(fsync(fd));
    (void)close(fd);
    return error;
}

int weft_file_list(const char *path, int (*fn)(void *ctx, const char *name), void *ctx) {
    int refused = before_path(WEFT_FILE_LIST, path);
    if (refused) {
        return refused;
    }
    DIR *directory = opendir(path);
    if (!directory) {
        return -errno;
    }
    int result = 0;
    while (result == 0) {
        errno = 0;
        const struct dirent *entry = readdir(directory);
        if (!entry) {
            result = -errno;
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            result = fn(ctx, entry->d_name);
        }
    }
    (void)closedir(directory);
    return result;
}

int weft_file_lock(int fd) {
    int refused = before_fd(WEFT_FILE_LOCK, fd);
    return refused ? refused : (int)AGAIN(flock(fd, LOCK_EX | LOCK_NB));
}

int weft_file_map(int fd, size_t size, void **memory) {
    int refused = before_fd(WEFT_FILE_MAP, fd);
    if (refused) {
        return refused;
    }
    void *mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED) {
        return -errno;
    }
    *memory = mapped;
    return 0;
}

void weft_file_unmap(void *memory, size_t size) {
    (void)munmap(memory, size);
}
