/* SPDX-License-Identifier: MIT */
#include "serve_server.h"

#include "base/clock.h"
#include "base/random.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    START_SECONDS = 20,
    ANSWER_MS = 2000,
    SETTLE_SECONDS = 60,
    PORT_FIRST = 12000, /* below the range from which the kernel gives client ports */
    PORTS = 20000,
};

static const weft_serve_kind kinds[] = {
    {"weft",
     "weft serve",
     "c",
     "MIT",
     "weft",
     &weft_serve_resp,
     "log synced every second",
     {"/proc/self/exe", "serve", "--port", "{port}", "--dir", "{dir}", "--sync", "everysec",
      "--http", "0", NULL}},
    {"redis",
     "redis-server",
     "c",
     "BSD-3-Clause",
     "redis-server",
     &weft_serve_resp,
     "log synced every second",
     {"redis-server", "--port", "{port}", "--bind", "127.0.0.1", "--dir", "{dir}", "--appendonly",
      "yes", "--appendfsync", "everysec", "--save", "", NULL}},
    {"valkey",
     "valkey-server",
     "c",
     "BSD-3-Clause",
     "valkey-server",
     &weft_serve_resp,
     "log synced every second",
     {"valkey-server", "--port", "{port}", "--bind", "127.0.0.1", "--dir", "{dir}", "--appendonly",
      "yes", "--appendfsync", "everysec", "--save", "", NULL}},
    {"memcached",
     "memcached",
     "c",
     "BSD-3-Clause",
     "memcached",
     &weft_serve_memcached,
     "in memory only: writes no log",
     {"memcached", "-l", "127.0.0.1", "-p", "{port}", "-U", "0", "-m", "4096", "-c", "4096", "-u",
      "root", NULL}},
};

const weft_serve_kind *weft_serve_kinds(size_t *count) {
    *count = sizeof kinds / sizeof *kinds;
    return kinds;
}

const char *weft_serve_status_name(weft_serve_status status) {
    static const char *const names[] = {"ok", "missing", "failed", "wrong"};
    return names[status];
}

void weft_serve_server_refuse(weft_serve_server *server, weft_serve_status status,
                              const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    server->status = status;
    vsnprintf(server->note, sizeof server->note, format, arguments);
    va_end(arguments);
}

/* ---------------------------------------------------------------- finding */

static bool find_program(const char *name, char *path, size_t size) {
    if (strchr(name, '/') != NULL) {
        char *real = realpath(name, NULL);
        bool good = real != NULL && access(real, X_OK) == 0 && strlen(real) < size;
        if (good) {
            memcpy(path, real, strlen(real) + 1);
        }
        free(real);
        return good;
    }
    const char *from = getenv("PATH");
    for (from = from != NULL ? from : "/usr/bin:/bin"; *from != '\0';) {
        size_t length = strcspn(from, ":");
        snprintf(path, size, "%.*s/%s", (int)length, from, name);
        if (access(path, X_OK) == 0) {
            return true;
        }
        from += length + (from[length] == ':');
    }
    return false;
}

/* The first digits with a point behind them, of what `PROGRAM --version` prints. */
static void ask_version(weft_serve_server *server) {
    char command[4200];
    char line[256] = "";
    snprintf(command, sizeof command, "'%s' --version 2>/dev/null </dev/null", server->program);
    FILE *pipe = popen(command, "r");
    if (pipe == NULL) {
        return;
    }
    const char *at = fgets(line, sizeof line, pipe);
    pclose(pipe);
    for (; at != NULL && *at != '\0'; at++) {
        size_t digits = strspn(at, "0123456789");
        if (digits != 0 && at[digits] == '.') {
            snprintf(server->version, sizeof server->version, "%.*s",
                     (int)strspn(at, "0123456789."), at);
            return;
        }
        at += digits > 0 ? digits - 1 : 0;
    }
}

void weft_serve_server_find(weft_serve_server *server, const weft_serve_kind *kind) {
    *server = (weft_serve_server){.kind = kind, .control.fd = -1};
    snprintf(server->note, sizeof server->note, "%s", kind->note);
    if (!find_program(kind->arguments[0], server->program, sizeof server->program)) {
        weft_serve_server_refuse(server, WEFT_SERVE_MISSING, "not installed; the package is %s",
                                 kind->package);
    } else if (kind->package[0] != '\0') {
        ask_version(server);
    }
}

/* ---------------------------------------------------------------- starting */

static uint16_t free_port(void) {
    for (int attempt = 0; attempt < 200; attempt++) {
        uint16_t port = (uint16_t)(PORT_FIRST + weft_random_u64() % PORTS);
        const struct sockaddr_in address = {.sin_family = AF_INET,
                                            .sin_port = htons(port),
                                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool good = fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
        if (fd >= 0) {
            close(fd);
        }
        if (good) {
            return port;
        }
    }
    return 0;
}

/* The argument with {port} and {dir} replaced; the caller frees it. */
static char *filled_in(const weft_serve_server *server, const char *text) {
    char *out = NULL;
    size_t size;
    FILE *stream = open_memstream(&out, &size);
    if (stream == NULL) {
        return NULL;
    }
    while (*text != '\0') {
        if (strncmp(text, "{port}", 6) == 0) {
            fprintf(stream, "%u", server->port);
            text += 6;
        } else if (strncmp(text, "{dir}", 5) == 0) {
            fprintf(stream, "%s/data", server->folder);
            text += 5;
        } else {
            fputc(*text++, stream);
        }
    }
    fclose(stream);
    return out;
}

/* In the child: no return. A group of its own, so that Ctrl-C reaches the bench alone, and an end
 * with the bench however that ends. */
static void become(const weft_serve_server *server, char **arguments, pid_t parent) {
    char path[4200];
    snprintf(path, sizeof path, "%s/output", server->folder);
    int out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (out < 0 || in < 0 || getppid() != parent || chdir(server->folder) != 0) {
        _exit(127);
    }
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    execv(server->program, arguments);
    _exit(127);
}

static bool launch(weft_serve_server *server) {
    char *arguments[WEFT_SERVE_ARGUMENTS + 1] = {NULL};
    bool good = true;
    for (size_t i = 0; server->kind->arguments[i] != NULL; i++) {
        arguments[i] = filled_in(server, server->kind->arguments[i]);
        good = good && arguments[i] != NULL;
    }
    pid_t parent = getpid();
    server->pid = good ? fork() : -1;
    if (server->pid == 0) {
        become(server, arguments, parent);
    }
    if (server->pid > 0) {
        setpgid(server->pid, server->pid);
    }
    for (size_t i = 0; arguments[i] != NULL; i++) {
        free(arguments[i]);
    }
    server->pid = server->pid < 0 ? 0 : server->pid;
    return server->pid != 0;
}

/* ---------------------------------------------------------------- asking */

/* Wait until the control connection has a whole reply. */
static weft_serve_reply await_reply(weft_serve_server *server) {
    weft_serve_connection *control = &server->control;
    weft_serve_reply reply = {.kind = WEFT_SERVE_BAD};
    struct pollfd readable = {.fd = control->fd, .events = POLLIN};
    while (poll(&readable, 1, ANSWER_MS) == 1) {
        if (weft_serve_receive(control) != 0) {
            return reply;
        }
        reply = server->kind->codec->parse(control->in.data + control->in.first,
                                           control->in.end - control->in.first);
        if (reply.kind != WEFT_SERVE_MORE) {
            return reply;
        }
    }
    return (weft_serve_reply){.kind = WEFT_SERVE_BAD};
}

/* Send a request of the codec; BAD if no reply came. The reply is valid until the next question. */
static weft_serve_reply ask(weft_serve_server *server, const char *request) {
    weft_serve_connection *control = &server->control;
    weft_serve_reply reply = {.kind = WEFT_SERVE_BAD};
    if (control->fd < 0 && weft_serve_connect(control, server->port, 1, 1.0) != 0) {
        weft_serve_disconnect(control);
        return reply;
    }
    control->in.first = control->in.end = 0;
    control->out.end = (size_t)(weft_serve_put(control->out.data, request) - control->out.data);
    if (weft_serve_send(control) == 0) {
        reply = await_reply(server);
    }
    if (reply.kind == WEFT_SERVE_BAD) {
        weft_serve_disconnect(control);
    }
    return reply;
}

static void pause_ms(long ms) {
    const struct timespec time = {0, ms * 1000000};
    nanosleep(&time, NULL);
}

/* The last line that the server printed. */
static void last_line(const weft_serve_server *server, char *line, size_t size) {
    char path[4200];
    char next[512];
    *line = '\0';
    snprintf(path, sizeof path, "%s/output", server->folder);
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(next, sizeof next, file) != NULL) {
        next[strcspn(next, "\n")] = '\0';
        if (*next != '\0') {
            snprintf(line, size, "%.*s", (int)size - 1, next);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
}

static bool has_ended(weft_serve_server *server) {
    int status;
    if (server->pid == 0 || waitpid(server->pid, &status, WNOHANG) != server->pid) {
        return false;
    }
    server->pid = 0;
    return true;
}

static bool await_service(weft_serve_server *server) {
    uint64_t limit = weft_clock_monotonic_ns() + START_SECONDS * UINT64_C(1000000000);
    do {
        if (has_ended(server)) {
            char line[160];
            last_line(server, line, sizeof line);
            weft_serve_server_refuse(server, WEFT_SERVE_FAILED, "it ended at once: %s", line);
            return false;
        }
        weft_serve_reply reply = ask(server, server->kind->codec->ready);
        if (reply.kind == WEFT_SERVE_DONE) {
            return true;
        }
        pause_ms(20);
    } while (weft_clock_monotonic_ns() < limit);
    weft_serve_server_refuse(server, WEFT_SERVE_FAILED, "did not answer within %d s of its start",
                             START_SECONDS);
    return false;
}

bool weft_serve_server_start(weft_serve_server *server, const char *parent) {
    snprintf(server->folder, sizeof server->folder, "%s/%s-XXXXXX", parent, server->kind->id);
    if (mkdtemp(server->folder) == NULL) {
        weft_serve_server_refuse(server, WEFT_SERVE_FAILED, "%s: %s", parent, strerror(errno));
        *server->folder = '\0';
        return false;
    }
    char data[4200]; /* a folder of its own: what it prints goes beside it */
    snprintf(data, sizeof data, "%s/data", server->folder);
    server->port = free_port();
    if (mkdir(data, 0700) != 0 || !launch(server)) {
        weft_serve_server_refuse(server, WEFT_SERVE_FAILED, "cannot be started: %s",
                                 strerror(errno));
    } else if (await_service(server)) {
        return true;
    }
    weft_serve_server_stop(server);
    return false;
}

static int remove_entry(const char *path, const struct stat *facts, int kind, struct FTW *walk) {
    (void)facts;
    (void)kind;
    (void)walk;
    return remove(path);
}

void weft_serve_server_stop(weft_serve_server *server) {
    if (server->control.fd >= 0) {
        weft_serve_disconnect(&server->control);
    }
    if (server->pid != 0) {
        kill(-server->pid, SIGKILL); /* its children too: they write checkpoints */
        waitpid(server->pid, NULL, 0);
        server->pid = 0;
    }
    if (*server->folder != '\0') {
        nftw(server->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
        *server->folder = '\0';
    }
}

/* ---------------------------------------------------------------- looking */

static bool writes_checkpoint(const weft_serve_reply *info) {
    static const char *const signs[] = {"aof_rewrite_in_progress:1", "rdb_bgsave_in_progress:1",
                                        "aof_rewrite_scheduled:1"};
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        if (memmem(info->data, info->length, signs[i], strlen(signs[i])) != NULL) {
            return true;
        }
    }
    return false;
}

bool weft_serve_server_settle(weft_serve_server *server) {
    const char *question = server->kind->codec->info;
    uint64_t limit = weft_clock_monotonic_ns() + SETTLE_SECONDS * UINT64_C(1000000000);
    while (question != NULL && weft_clock_monotonic_ns() < limit) {
        weft_serve_reply info = ask(server, question);
        if (info.kind == WEFT_SERVE_ERROR) {
            return true; /* it does not know the question, so it has nothing to tell */
        }
        if (info.kind != WEFT_SERVE_VALUE) {
            weft_serve_server_refuse(server, WEFT_SERVE_FAILED, "stopped answering");
            return false;
        }
        if (!writes_checkpoint(&info)) {
            return true;
        }
        pause_ms(20);
    }
    return true;
}

static bool read_proc(const weft_serve_server *server, const char *name, char *text, size_t size) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)server->pid, name);
    FILE *file = server->pid != 0 ? fopen(path, "r") : NULL;
    if (file == NULL) {
        return false;
    }
    size_t got = fread(text, 1, size - 1, file);
    text[got] = '\0';
    fclose(file);
    return got != 0;
}

double weft_serve_server_cpu(const weft_serve_server *server) {
    char text[1024];
    unsigned long long user;
    unsigned long long system;
    unsigned long long children[2];
    if (!read_proc(server, "stat", text, sizeof text)) {
        return 0;
    }
    const char *rest = strrchr(text, ')'); /* the name before it may hold anything */
    if (rest == NULL || sscanf(rest,
                               ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %llu "
                               "%llu",
                               &user, &system, &children[0], &children[1]) != 4) {
        return 0;
    }
    return (double)(user + system + children[0] + children[1]) / (double)sysconf(_SC_CLK_TCK);
}

uint64_t weft_serve_server_resident(const weft_serve_server *server) {
    char text[4096];
    unsigned long long kib = 0;
    const char *line =
        read_proc(server, "status", text, sizeof text) ? strstr(text, "VmRSS:") : NULL;
    return line != NULL && sscanf(line, "VmRSS: %llu", &kib) == 1 ? (uint64_t)kib << 10 : 0;
}
