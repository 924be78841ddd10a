/* SPDX-License-Identifier: MIT */
/* From the log back into the map.
 *
 * Batches of different loops reach the log in another order than the map, but only if they ran at
 * the same time. Therefore (era, version) decides between records of a stretch of the log, and a
 * stretch ends where no batch was under way: at a barrier, which the keeper appends now and then,
 * and which each start appends. In the log a barrier is a CLEAR of era 0, which clears nothing.
 * The order table holds what is known of the keys of one stretch, so it stays small; versions need
 * not be comparable across a restart. */
#include "base/hash.h"
#include "base/memory.h"
#include "base/random.h"
#include "server/keyspace.h"
#include "server/runtime.h"
#include <stdio.h>
#include <string.h>

/* 128 bits of hash stand for the key: two keys of a stretch with the same ones do not occur. */
typedef struct order_slot {
    uint64_t first; /* never 0 in use */
    uint64_t second;
    uint64_t era;
    uint64_t version;
} order_slot;

typedef struct recovery {
    weft_node *node;
    order_slot *slots;
    size_t capacity; /* a power of two, or 0 */
    size_t used;
    uint64_t clear_era; /* of the stretch: earlier eras are gone */
    uint64_t last_era;  /* the greatest one in the table */
    uint64_t skipped;   /* records that a later one had overtaken */
    int status;
    unsigned char secrets[2][WEFT_HASH_SECRET_SIZE];
} recovery;

enum { ORDER_CAPACITY_MIN = 1024 };

static void free_order(recovery *self) {
    if (self->slots != NULL) {
        weft_memory_free(NULL, self->slots, self->capacity * sizeof *self->slots,
                         _Alignof(order_slot));
    }
    self->slots = NULL;
    self->capacity = self->used = 0;
}

static order_slot *find_slot(const recovery *self, uint64_t first, uint64_t second) {
    size_t mask = self->capacity - 1;
    size_t at = first & mask;
    while (self->slots[at].first != 0 &&
           (self->slots[at].first != first || self->slots[at].second != second)) {
        at = (at + 1) & mask;
    }
    return &self->slots[at];
}

static bool grow_order(recovery *self) {
    size_t old_capacity = self->capacity;
    order_slot *old = self->slots;
    size_t capacity = old_capacity == 0 ? ORDER_CAPACITY_MIN : old_capacity * 2;
    order_slot *slots = weft_memory_alloc(NULL, capacity * sizeof *slots, _Alignof(order_slot));
    if (slots == NULL) {
        return false;
    }
    memset(slots, 0, capacity * sizeof *slots);
    self->slots = slots;
    self->capacity = capacity;
    for (size_t i = 0; i < old_capacity; i++) {
        if (old[i].first != 0) {
            *find_slot(self, old[i].first, old[i].second) = old[i];
        }
    }
    if (old != NULL) {
        weft_memory_free(NULL, old, old_capacity * sizeof *old, _Alignof(order_slot));
    }
    return true;
}

static order_slot *slot_of_key(const recovery *self, weft_bytes key, uint64_t *first,
                               uint64_t *second) {
    *first = weft_hash_bytes(key.data, key.size, self->secrets[0]) | 1;
    *second = weft_hash_bytes(key.data, key.size, self->secrets[1]);
    return find_slot(self, *first, *second);
}

/* Note the record in the table; false if a later one of its key is there already, or an error. */
static bool comes_last(recovery *self, const weft_log_record *record) {
    if (record->era < self->clear_era) {
        return false;
    }
    if (self->used * 4 >= self->capacity * 3 && !grow_order(self)) {
        self->status = WEFT_E_NOMEM;
        return false;
    }
    uint64_t first;
    uint64_t second;
    order_slot *slot = slot_of_key(self, record->key, &first, &second);
    if (slot->first == 0) {
        self->used++;
    } else if (slot->era > record->era ||
               (slot->era == record->era && slot->version > record->version)) {
        return false;
    }
    *slot = (order_slot){first, second, record->era, record->version};
    self->last_era = record->era > self->last_era ? record->era : self->last_era;
    return true;
}

static void end_stretch(recovery *self) {
    if (self->used != 0) {
        memset(self->slots, 0, self->capacity * sizeof *self->slots);
        self->used = 0;
    }
    self->clear_era = 0;
    self->last_era = 0;
}

/* Was this key written after the clear, although its record came first? */
static bool outlives_clear(void *ctx, const weft_view *view) {
    const recovery *self = ctx;
    uint64_t first;
    uint64_t second;
    const order_slot *slot = slot_of_key(self, view->key, &first, &second);
    return slot->first != 0 && slot->era >= self->clear_era;
}

static int clear(recovery *self, uint64_t era) {
    if (era == 0) {
        end_stretch(self);
        return WEFT_OK;
    }
    if (era <= self->clear_era) {
        return WEFT_OK;
    }
    self->clear_era = era;
    if (self->used == 0 || self->last_era < era) {
        return weft_map_clear(&self->node->map);
    }
    return weft_map_retain(&self->node->map, outlives_clear, self, NULL);
}

static int apply(recovery *self, const weft_log_record *record) {
    weft_map *map = &self->node->map;
    if (record->op == WEFT_LOG_CLEAR) {
        return clear(self, record->era);
    }
    if (record->era != WEFT_CHECKPOINT_ERA && !comes_last(self, record)) {
        self->skipped++;
        return self->status;
    }
    if (record->op == WEFT_LOG_PUT) {
        return weft_map_put(map, record->key, record->value.body);
    }
    int status = weft_map_remove(map, record->key);
    return status == WEFT_NOT_FOUND ? WEFT_OK : status;
}

static bool on_record(void *ctx, const weft_log_record *record) {
    recovery *self = ctx;
    self->status = apply(self, record);
    return self->status == WEFT_OK;
}

static void tell(const weft_node *node, const weft_log_report *report, const recovery *self) {
    fprintf(stderr,
            "weft: read %s: %llu entries of a checkpoint, then %llu records in %llu frames "
            "(%llu bytes, %llu files); %zu keys; dropped %llu bytes of an unfinished end\n",
            node->options.directory, (unsigned long long)report->checkpoint_entries,
            (unsigned long long)report->records, (unsigned long long)report->frames,
            (unsigned long long)report->bytes, (unsigned long long)report->segments,
            weft_map_len(&self->node->map), (unsigned long long)report->dropped_bytes);
}

static bool read_log(weft_node *node) {
    recovery self = {.node = node, .status = WEFT_OK};
    weft_log_report report;
    memset(&report, 0, sizeof report);
    weft_hash_make_secret(self.secrets[0], weft_random_u64());
    weft_hash_make_secret(self.secrets[1], weft_random_u64());
    int status = weft_log_recover(node->log, on_record, &self, &report);
    free_order(&self);
    if (status == WEFT_ABORTED) {
        fprintf(stderr, "weft: cannot hold what %s contains: %s\n", node->options.directory,
                weft_status_text(self.status));
        return false;
    }
    if (status != WEFT_OK) {
        fprintf(stderr, "weft: cannot read %s: %s%s%s\n", node->options.directory,
                weft_status_text(status), report.text[0] == '\0' ? "" : ": ", report.text);
        return false;
    }
    weft_keyspace_recount(node);
    tell(node, &report, &self);
    return true;
}

int weft_recovery_barrier(weft_node *node) {
    weft_log_frame frame = WEFT_LOG_FRAME_INIT;
    weft_log_record record = {.op = WEFT_LOG_CLEAR};
    int status = weft_log_frame_add(&frame, &record);
    if (status == WEFT_OK) {
        status = weft_log_append(node->log, &frame, NULL);
    }
    weft_log_frame_free(&frame);
    return status;
}

bool weft_recovery_run(weft_node *node) {
    static const weft_log_sync policies[] = {
        [WEFT_SYNC_ALWAYS] = WEFT_LOG_ALWAYS,
        [WEFT_SYNC_EVERYSEC] = WEFT_LOG_EVERYSEC,
        [WEFT_SYNC_NO] = WEFT_LOG_NO,
    };
    weft_log_options options = {.size = sizeof options,
                                .directory = node->options.directory,
                                .sync = policies[node->options.sync],
                                .notify = weft_keeper_notify,
                                .notify_ctx = node};
    int status = weft_log_open(&node->log, &options);
    if (status != WEFT_OK) {
        node->log = NULL;
        fprintf(stderr, "weft: cannot use --dir %s: %s\n", node->options.directory,
                options.error_text[0] != '\0' ? options.error_text : weft_status_text(status));
        return false;
    }
    if (!read_log(node)) {
        return false;
    }
    status = weft_recovery_barrier(node);
    if (status != WEFT_OK) {
        fprintf(stderr, "weft: cannot write to %s: %s\n", node->options.directory,
                weft_status_text(status));
    }
    return status == WEFT_OK;
}
