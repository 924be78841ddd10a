/* SPDX-License-Identifier: MIT */
#include "serve_load.h"

#include "base/atomic.h"
#include "base/clock.h"
#include "base/thread.h"
#include "serve_connection.h"
#include "serve_schedule.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define SECOND UINT64_C(1000000000)
#define LOOK_AROUND (SECOND / 20) /* between looks at the time-outs */

enum { EVENTS = 64, BACKLOG_MOST = 1 << 16, DRAIN_SECONDS = 2 };

/* What the threads of a run share. */
typedef struct run {
    const weft_serve_load *load;
    weft_draw draw; /* what each thread's numbers are copied from */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned ready; /* threads that are connected, or failed to */
    bool begun;
    uint32_t stopped; /* one failed: all end */
} run;

/* A thread of the generator. */
typedef struct generator {
    run *run;
    const weft_serve_load *load;
    weft_serve_figures *figures; /* its own */
    weft_serve_share share;
    weft_thread thread;
    int epoll;
    weft_serve_connection *connections;
    unsigned count;
    unsigned cursor;      /* where the search for a free connection goes on */
    uint64_t outstanding; /* requests sent, or about to be */
    uint64_t places;      /* how many may be outstanding */
    weft_draw draw;
    weft_serve_schedule schedule;
    weft_serve_backlog backlog;
    uint64_t limits[WEFT_SERVE_OPS]; /* op i is drawn below limit i */
    uint32_t writes;
    uint64_t next; /* sweep: the next key */
    uint64_t begin;
    uint64_t end;
    uint64_t looked; /* when it looked at the time-outs */
    uint64_t now;
} generator;

static bool is_open(const generator *self) {
    return self->load->rate > 0;
}

static bool is_sweep(const generator *self) {
    return self->load->seconds <= 0;
}

static void fail(generator *self, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void fail(generator *self, const char *format, ...) {
    weft_serve_figures *figures = self->figures;
    if (!figures->failed) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(figures->problem, sizeof figures->problem, format, arguments);
        va_end(arguments);
        figures->failed = true;
    }
    weft_store_relaxed(&self->run->stopped, 1);
}

/* ---------------------------------------------------------------- requests */

static weft_serve_op draw_op(generator *self) {
    uint64_t drawn = weft_draw_u64(&self->draw) >> 1;
    weft_serve_op op = 0;
    while (op < WEFT_SERVE_OPS - 1 && drawn >= self->limits[op]) {
        op++;
    }
    return op;
}

static weft_serve_request request_of(const generator *self, weft_serve_op op, uint64_t index) {
    return (weft_serve_request){
        .op = op, .index = index, .keys = self->load->keys, .value_bytes = self->load->value_bytes};
}

/* Whether there is something to ask for, apart from an open loop's schedule. */
static bool has_more(const generator *self) {
    return is_sweep(self) ? self->next < self->load->keys : self->now < self->end;
}

static bool queue(generator *self, weft_serve_connection *connection, uint64_t due) {
    weft_serve_op op = draw_op(self);
    uint64_t index = is_sweep(self) ? self->next : weft_draw_rank(&self->draw, WEFT_TRACE_GET);
    index = op == WEFT_SERVE_INCR ? index % self->load->counters : index;
    weft_serve_request request = request_of(self, op, index);
    request.write = self->writes++;
    self->next += is_sweep(self) ? self->share.of : 0;
    if (!weft_serve_queue(connection, self->load->codec, &request, due)) {
        fail(self, "no memory for requests");
        return false;
    }
    self->outstanding++;
    return true;
}

static void watch(generator *self, weft_serve_connection *connection) {
    bool waits = connection->out.end != 0;
    if (waits != connection->waits_to_send) {
        struct epoll_event event = {.events = EPOLLIN | (waits ? EPOLLOUT : 0u),
                                    .data.ptr = connection};
        epoll_ctl(self->epoll, EPOLL_CTL_MOD, connection->fd, &event);
        connection->waits_to_send = waits;
    }
}

static void send_queued(generator *self, weft_serve_connection *connection) {
    int error = weft_serve_send(connection);
    if (error != 0) {
        fail(self, "sending failed: %s", strerror(error));
        return;
    }
    watch(self, connection);
}

/* Closed loop and sweep: a connection that waits for nothing gets a whole pipeline. */
static void refill(generator *self, weft_serve_connection *connection) {
    if (connection->count != 0 || !has_more(self)) {
        return;
    }
    uint64_t due = weft_clock_monotonic_ns();
    for (unsigned i = 0; i < self->load->pipeline && has_more(self); i++) {
        if (!queue(self, connection, due)) {
            return;
        }
    }
    send_queued(self, connection);
}

/* Open loop: places that became free go to those that wait for one. */
static void refill_from_backlog(generator *self, weft_serve_connection *connection) {
    bool queued = false;
    while (self->backlog.count != 0 && connection->count < connection->capacity) {
        if (!queue(self, connection, weft_serve_backlog_pop(&self->backlog))) {
            return;
        }
        queued = true;
    }
    if (queued) {
        send_queued(self, connection);
    }
}

static void send_one(generator *self, uint64_t due) {
    weft_serve_connection *connection = &self->connections[self->cursor];
    while (connection->count == connection->capacity) {
        self->cursor = (self->cursor + 1) % self->count;
        connection = &self->connections[self->cursor];
    }
    self->cursor = (self->cursor + 1) % self->count;
    uint64_t now = weft_clock_monotonic_ns();
    weft_histogram_record(&self->figures->lag, now - due);
    if (queue(self, connection, due)) {
        send_queued(self, connection);
    }
}

static void send_due(generator *self) {
    uint64_t due = weft_serve_schedule_peek(&self->schedule);
    while (due <= self->now && due < self->end) {
        self->figures->due++;
        if (self->outstanding < self->places) {
            send_one(self, due);
        } else {
            weft_serve_backlog_push(&self->backlog, due);
        }
        weft_serve_schedule_step(&self->schedule);
        due = weft_serve_schedule_peek(&self->schedule);
    }
}

/* ---------------------------------------------------------------- replies */

static void complain(generator *self, const weft_serve_request *request, const char *what,
                     const weft_serve_reply *reply) {
    weft_serve_figures *figures = self->figures;
    bool in_form = reply->kind == WEFT_SERVE_ERROR;
    *(in_form ? &figures->errors : &figures->wrong) += 1;
    if (*figures->problem == '\0') {
        char key[WEFT_SERVE_KEY_BYTES];
        weft_serve_write_key(key, weft_serve_op_space(request->op), request->index);
        int shown = reply->length < 60 ? (int)reply->length : 60;
        snprintf(figures->problem, sizeof figures->problem, "%s of %.*s: %s%s%.*s",
                 weft_serve_op_names[request->op], WEFT_SERVE_KEY_BYTES, key, what,
                 in_form ? ": " : "", in_form ? shown : 0, in_form ? reply->data : "");
    }
}

static void note_answer(generator *self, const weft_serve_pending *pending,
                        const weft_serve_reply *reply) {
    weft_serve_figures *figures = self->figures;
    weft_serve_request request = request_of(self, pending->op, pending->index);
    const char *what = weft_serve_judge(&request, reply);
    int64_t number = 0;
    figures->replies++;
    if (what != NULL) {
        complain(self, &request, what, reply);
    } else if (pending->op == WEFT_SERVE_INCR) {
        figures->increments++;
    } else if (pending->op == WEFT_SERVE_READ) {
        weft_serve_read_number(reply->data, reply->length, &number);
        figures->sum += (uint64_t)number;
    }
    bool counts = is_sweep(self) || self->now <= self->end;
    figures->counted += counts;
    if (counts || is_open(self)) {
        weft_histogram_record(&figures->latency, self->now - pending->due);
    }
}

/* Understand the replies that are there. */
static void take_replies(generator *self, weft_serve_connection *connection) {
    weft_serve_buffer *in = &connection->in;
    while (in->first < in->end) {
        if (connection->count == 0) {
            fail(self, "a reply that nobody asked for");
            return;
        }
        weft_serve_reply reply =
            self->load->codec->parse(in->data + in->first, in->end - in->first);
        if (reply.kind == WEFT_SERVE_MORE) {
            return;
        }
        const weft_serve_pending *pending = weft_serve_oldest(connection);
        if (reply.kind == WEFT_SERVE_BAD) {
            fail(self, "the answer to %s is no reply of %s", weft_serve_op_names[pending->op],
                 self->load->codec->name);
            return;
        }
        note_answer(self, pending, &reply);
        weft_serve_answered(connection, reply.size);
        self->outstanding--;
        connection->progress = self->now;
    }
}

static void receive(generator *self, weft_serve_connection *connection) {
    int error = weft_serve_receive(connection);
    self->now = weft_clock_monotonic_ns();
    if (error == EAGAIN) {
        return;
    }
    if (error != 0) {
        fail(self, "%s", error == EPIPE ? "the server closed the connection" : strerror(error));
        return;
    }
    take_replies(self, connection);
    if (is_open(self)) {
        refill_from_backlog(self, connection);
    } else {
        refill(self, connection);
    }
}

static void handle(generator *self, const struct epoll_event *event) {
    weft_serve_connection *connection = event->data.ptr;
    if (event->events & EPOLLOUT) {
        send_queued(self, connection);
    }
    if (event->events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        receive(self, connection);
    }
}

/* ---------------------------------------------------------------- the loop */

static void look_at_timeouts(generator *self) {
    if (self->now - self->looked < LOOK_AROUND) {
        return;
    }
    self->looked = self->now;
    uint64_t limit = (uint64_t)(self->load->timeout * (double)SECOND);
    for (unsigned i = 0; i < self->count; i++) {
        const weft_serve_connection *connection = &self->connections[i];
        if (connection->count != 0 && self->now > connection->progress + limit) {
            fail(self, "no reply to %s for %g s",
                 weft_serve_op_names[weft_serve_oldest(connection)->op], self->load->timeout);
            return;
        }
    }
}

/* Wait for replies, but not beyond the next arrival of an open loop. */
static int wait_for_events(generator *self, struct epoll_event *events) {
    uint64_t due = is_open(self) ? weft_serve_schedule_peek(&self->schedule) : UINT64_MAX;
    if (due >= self->end || !is_open(self)) {
        return epoll_wait(self->epoll, events, EVENTS, (int)(LOOK_AROUND / 1000000));
    }
    /* epoll_wait counts in milliseconds, which is too coarse for arrivals. */
    uint64_t now = weft_clock_monotonic_ns();
    uint64_t left = due <= now ? 0 : due - now < LOOK_AROUND ? due - now : LOOK_AROUND;
    struct timespec limit = {0, (long)left};
    struct pollfd readable = {.fd = self->epoll, .events = POLLIN};
    if (left != 0 && ppoll(&readable, 1, &limit, NULL) <= 0) {
        return 0;
    }
    return epoll_wait(self->epoll, events, EVENTS, 0);
}

static bool is_finished(generator *self) {
    if (weft_load_relaxed(&self->run->stopped)) {
        return true;
    }
    if (has_more(self)) {
        return false;
    }
    return (self->outstanding == 0 && self->backlog.count == 0) ||
           (is_open(self) && self->now > self->end + DRAIN_SECONDS * SECOND);
}

static void work(generator *self) {
    struct epoll_event events[EVENTS];
    for (unsigned i = 0; i < self->count && !is_open(self); i++) {
        refill(self, &self->connections[i]);
    }
    while (!is_finished(self)) {
        if (is_open(self)) {
            send_due(self);
        }
        int count = wait_for_events(self, events);
        self->now = weft_clock_monotonic_ns();
        for (int i = 0; i < count; i++) {
            handle(self, &events[i]);
        }
        look_at_timeouts(self);
    }
}

/* Requests without a reply took at least until now: leaving them out would flatter the server. */
static void record_late(generator *self) {
    weft_serve_figures *figures = self->figures;
    for (unsigned i = 0; i < self->count; i++) {
        weft_serve_connection *connection = &self->connections[i];
        for (; connection->count != 0; weft_serve_answered(connection, 0)) {
            weft_histogram_record(&figures->latency,
                                  self->now - weft_serve_oldest(connection)->due);
            figures->late++;
        }
    }
    while (self->backlog.count != 0) {
        weft_histogram_record(&figures->latency,
                              self->now - weft_serve_backlog_pop(&self->backlog));
        figures->late++;
    }
}

static double cpu_seconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void set_limits(generator *self) {
    double sum = 0;
    for (int op = 0; op < WEFT_SERVE_OPS; op++) {
        sum += self->load->mix[op];
        self->limits[op] = (uint64_t)(sum / 100 * 0x1p63);
    }
}

static void open_connections(generator *self) {
    const weft_serve_load *load = self->load;
    self->epoll = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < self->count; i++) {
        weft_serve_connection *connection = &self->connections[i];
        int error = weft_serve_connect(connection, load->port, load->pipeline, load->timeout);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
        if (error == 0 && epoll_ctl(self->epoll, EPOLL_CTL_ADD, connection->fd, &event) != 0) {
            error = errno;
        }
        if (error != 0) {
            fail(self, "connection %u of %u: %s", i + 1, self->count, strerror(error));
            return;
        }
    }
}

static void start_clock(generator *self) {
    self->begin = self->now = self->looked = weft_clock_monotonic_ns();
    self->end = self->begin + (uint64_t)(self->load->seconds * (double)SECOND);
    self->schedule.begin = self->begin;
}

/* All begin when all are connected. */
static void wait_for_begin(run *whole) {
    pthread_mutex_lock(&whole->lock);
    whole->ready++;
    pthread_cond_broadcast(&whole->changed);
    while (!whole->begun) {
        pthread_cond_wait(&whole->changed, &whole->lock);
    }
    pthread_mutex_unlock(&whole->lock);
}

static void *generate(void *ctx) {
    generator *self = ctx;
    open_connections(self);
    wait_for_begin(self->run);
    start_clock(self);
    double cpu = cpu_seconds();
    work(self);
    self->now = weft_clock_monotonic_ns();
    record_late(self);
    weft_serve_figures *figures = self->figures;
    double spent = (double)(self->now - self->begin) * 1e-9;
    figures->cpu = cpu_seconds() - cpu;
    figures->busy = spent > 0 ? figures->cpu / spent : 0;
    figures->seconds = is_sweep(self) ? spent : self->load->seconds;
    figures->dropped = self->backlog.dropped;
    figures->backlog = self->backlog.greatest;
    return NULL;
}

/* ---------------------------------------------------------------- a run */

static bool prepare(generator *self, run *whole, weft_serve_share share) {
    const weft_serve_load *load = whole->load;
    unsigned count = load->connections / share.of + (share.part < load->connections % share.of);
    *self = (generator){.run = whole,
                        .load = load,
                        .share = share,
                        .epoll = -1,
                        .count = count,
                        .places = (uint64_t)count * load->pipeline,
                        .next = share.part,
                        .draw = whole->draw,
                        .writes = share.part * UINT32_C(0x10000000)};
    set_limits(self);
    self->draw.state = weft_draw_mix(load->seed + share.part);
    self->schedule.draw = &self->draw;
    if (load->rate > 0) {
        weft_serve_schedule_init(&self->schedule, load->rate, load->poisson, share);
    }
    self->figures = calloc(1, sizeof *self->figures);
    self->connections = calloc(count, sizeof *self->connections);
    for (unsigned i = 0; self->connections != NULL && i < count; i++) {
        self->connections[i].fd = -1;
    }
    return weft_serve_backlog_init(&self->backlog, BACKLOG_MOST) && self->figures != NULL &&
           self->connections != NULL;
}

static void release(generator *self) {
    for (unsigned i = 0; self->connections != NULL && i < self->count; i++) {
        weft_serve_disconnect(&self->connections[i]);
    }
    if (self->epoll >= 0) {
        close(self->epoll);
    }
    weft_serve_backlog_free(&self->backlog);
    free(self->connections);
    free(self->figures);
}

static void add_figures(weft_serve_figures *into, const weft_serve_figures *from) {
    into->replies += from->replies;
    into->counted += from->counted;
    into->errors += from->errors;
    into->wrong += from->wrong;
    into->increments += from->increments;
    into->sum += from->sum;
    into->due += from->due;
    into->dropped += from->dropped;
    into->late += from->late;
    into->cpu += from->cpu;
    into->busy = from->busy > into->busy ? from->busy : into->busy;
    into->seconds = from->seconds > into->seconds ? from->seconds : into->seconds;
    into->backlog = from->backlog > into->backlog ? from->backlog : into->backlog;
    weft_histogram_merge(&into->latency, &from->latency);
    weft_histogram_merge(&into->lag, &from->lag);
    if (*from->problem != '\0' && (*into->problem == '\0' || (from->failed && !into->failed))) {
        memcpy(into->problem, from->problem, sizeof into->problem);
    }
    into->failed = into->failed || from->failed;
}

static void begin(run *whole, unsigned threads) {
    pthread_mutex_lock(&whole->lock);
    while (whole->ready < threads) {
        pthread_cond_wait(&whole->changed, &whole->lock);
    }
    whole->begun = true;
    pthread_cond_broadcast(&whole->changed);
    pthread_mutex_unlock(&whole->lock);
}

static bool run_threads(run *whole, generator *generators, weft_serve_figures *figures) {
    unsigned count = whole->load->threads;
    unsigned prepared = 0;
    unsigned started = 0;
    bool good = true;
    for (; good && prepared < count; prepared++) {
        good = prepare(&generators[prepared], whole, (weft_serve_share){prepared, count});
    }
    while (good && started < count) {
        good = weft_thread_start(&generators[started].thread, generate, &generators[started]);
        started += good;
    }
    if (!good) {
        weft_store_relaxed(&whole->stopped, 1);
    }
    begin(whole, started);
    for (unsigned i = 0; i < started; i++) {
        weft_thread_join(&generators[i].thread);
        add_figures(figures, generators[i].figures);
    }
    for (unsigned i = 0; i < prepared; i++) {
        release(&generators[i]);
    }
    return good;
}

/* Keys are drawn as those of the maps' workloads are. */
static void init_draw(weft_draw *draw, const weft_serve_load *load) {
    weft_workload keys = {.keys = load->keys,
                          .prefill = load->keys,
                          .distribution = load->zipf > 0 ? WEFT_ZIPF : WEFT_UNIFORM,
                          .exponent = load->zipf,
                          .mix[WEFT_TRACE_GET] = 100,
                          .seed = load->seed};
    weft_draw_init(draw, &keys);
}

bool weft_serve_load_run(const weft_serve_load *load, weft_serve_figures *figures) {
    run whole = {
        .load = load, .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    memset(figures, 0, sizeof *figures);
    init_draw(&whole.draw, load);
    generator *generators = calloc(load->threads, sizeof *generators);
    if (generators == NULL || !run_threads(&whole, generators, figures)) {
        figures->failed = true;
        snprintf(figures->problem, sizeof figures->problem,
                 "no memory or no thread for the client");
    }
    free(generators);
    return !figures->failed;
}

const char *weft_serve_load_client_bound(const weft_serve_load *load,
                                         const weft_serve_figures *figures) {
    const double busy_most = 0.9;
    const uint64_t lag_least = 1000000;
    if (figures->busy > busy_most) {
        return "the client's threads had no rest: it may be the bottleneck";
    }
    uint64_t lag = weft_histogram_percentile(&figures->lag, 99000);
    if (load->rate > 0 && lag > lag_least &&
        lag * 2 > weft_histogram_percentile(&figures->latency, 99000)) {
        return "the client sent late: half of the p99 and more is its own";
    }
    return NULL;
}
