/* SPDX-License-Identifier: MIT */
/* Snapshots of maps of both shapes: taking, reading, releasing, and keeping what they show. The
 * protocol is in docs/design/snapshot.md. */
#include "map/core.h"
#include <weft/snapshot.h>

/* The end of a list to which nothing is added any more. */
#define KEPT_CLOSED ((uint64_t)1)

/* The epoch moves once while a guard is held, and the snapshot's door opens when it has moved
 * twice. */
enum { GRACE_TURNS = 3 };

/* ---- what snapshots keep --------------------------------------------------------------------- */

/* False if the snapshot is being released. */
static bool keep(weft_image *image, weft_entry *entry) {
    uint64_t head = weft_load_relaxed(&image->kept);
    while (head != KEPT_CLOSED) {
        /* Release: behind the reason. Pairs with weft_entry_look. */
        weft_store_release(&entry->version, head);
        /* Release: the link. Pairs with the exchange in weft_snapshot_release. */
        if (weft_cas_acq_rel(&image->kept, &head, (uint64_t)(uintptr_t)entry)) {
            return true;
        }
    }
    return false;
}

bool weft_snapshot_keeps(weft_core *core, weft_entry *entry) {
    WEFT_ASSERT(weft_epoch_inside());
    weft_key key = weft_key_of_bytes(core, weft_entry_key_bytes(entry));
    for (unsigned i = 0; i < WEFT_IMAGES_MAX; i++) {
        /* Acquire: the image. Pairs with its registration. */
        weft_image *image = weft_load_acquire(&core->images[i]);
#if WEFT_MUTANT == 13 /* frees what a snapshot shows */
        image = NULL;
#endif
        if (image != NULL &&
            core->engine->image_holds(core, image, &key, (uint64_t)(uintptr_t)entry) &&
            keep(image, entry)) {
            return true;
        }
    }
    return false;
}

bool weft_core_register_image(weft_core *core, weft_image *image) {
    for (uint64_t i = 0; i < WEFT_IMAGES_MAX; i++) {
        weft_image *none = NULL;
        image->slot = i;
        /* Release: the image. Pairs with the acquire of whoever retires an entry. */
        if (weft_load_relaxed(&core->images[i]) == NULL &&
            weft_cas_seq_cst(&core->images[i], &none, image)) {
            weft_fetch_add_seq_cst(&core->image_count, 1);
            return true;
        }
    }
    return false;
}

/* ---- taking and releasing -------------------------------------------------------------------- */

static weft_era *era_of(const weft_image *image) {
    return WEFT_CONTAINER(image->core, weft_era, core);
}

/* Inside a guard. */
static void release(weft_image *image) {
    weft_core *core = image->core;
    weft_era *era = era_of(image);
    weft_store_seq_cst(&core->images[image->slot], NULL); /* pairs with the load in keeps */
    weft_fetch_add_seq_cst(&core->image_count, (uint64_t)-1);
    /* Acquire: the links. Pairs with the CAS in keep. */
    uint64_t next = weft_exchange_acq_rel(&image->kept, KEPT_CLOSED);
    while (next != 0) {
        weft_entry *entry = (weft_entry *)(uintptr_t)next;
        next = weft_load_relaxed(&entry->version);
        weft_entry_retire_unlinked(core, entry);
    }
    core->engine->image_release(core, image);
    weft_era_let_go(era);
}

/* Inside a guard. */
static int take(weft_map_impl *map, weft_image **image) {
    weft_era *era;
    do {
        era = weft_load_acquire(&map->era); /* pairs with the CAS in weft_map_clear_impl */
    } while (!weft_era_hold(era));
    weft_core *core = &era->core;
    int status =
        core->engine->snapshot == NULL ? WEFT_E_UNSUPPORTED : core->engine->snapshot(core, image);
    if (*image == NULL) {
        weft_era_let_go(era);
    } else if (status != WEFT_OK) {
        release(*image);
        *image = NULL;
    }
    return status;
}

/* Lookups are as fast as before when all who were inside a guard have left it: here, if that is
 * soon. */
static void open_door(weft_core *core) {
    weft_guard guard;
    for (int turn = 0; turn < GRACE_TURNS; turn++) {
        weft_guard_enter(&guard);
        (void)core->engine->maintain(core, 0);
        weft_guard_leave(&guard);
    }
}

static int snapshot(weft_map_impl *map, void **handle) {
    weft_image *image = NULL;
    weft_guard guard;
    *handle = NULL;
    if (map == NULL) {
        return WEFT_E_NOMEM;
    }
    weft_guard_enter(&guard);
    int status = take(map, &image);
    if (image != NULL) {
        weft_fetch_add_relaxed(&map->references, 1);
    }
    weft_guard_leave(&guard);
    if (image != NULL) {
        open_door(image->core);
    }
    *handle = image;
    return status;
}

static void release_handle(void **handle) {
    weft_image *image = *handle;
    if (image == NULL) {
        return;
    }
    weft_map_impl *map = era_of(image)->map;
    weft_guard guard;
    weft_guard_enter(&guard);
    release(image);
    weft_guard_leave(&guard);
    weft_fetch_add_acq_rel(&map->references, (uint64_t)-1); /* pairs with the load in unmake */
    *handle = NULL;
}

/* ---- reading --------------------------------------------------------------------------------- */

static int look(weft_image *image, const weft_key *key, uint64_t *cell) {
    weft_guard guard;
    weft_guard_enter(&guard);
    int status = image->core->engine->image_look(image->core, image, key, cell);
    weft_guard_leave(&guard);
    return status;
}

static int next(weft_image *image, weft_snapshot_cursor *cursor, weft_image_cell *at) {
    if (image == NULL) {
        return WEFT_E_INVALID;
    }
    *at = (weft_image_cell){.bucket = cursor->bucket, .next = cursor->cell};
    weft_guard guard;
    weft_guard_enter(&guard);
    int status = image->core->engine->image_next(image->core, image, at);
    weft_guard_leave(&guard);
    *cursor = (weft_snapshot_cursor){at->bucket, at->next};
    return status;
}

/* The entry may have left the map: then its version is a link, and it says so. */
static void show(uint64_t cell, weft_view *view) {
    const weft_entry *entry = (const weft_entry *)(uintptr_t)cell;
    if (!weft_entry_look(entry, view)) {
        view->version = 0;
    }
}

/* ---- the public functions -------------------------------------------------------------------- */

int weft_map_snapshot(weft_map *map, weft_snapshot *taken) {
    return snapshot(weft_map_of(&map->impl, WEFT_SHAPE_BYTES), &taken->image);
}

int weft_snapshot_get(const weft_snapshot *taken, weft_bytes bytes, weft_view *view) {
    weft_image *image = taken->image;
    if (image == NULL) {
        return WEFT_E_INVALID;
    }
    if (bytes.size > WEFT_KEY_SIZE_MAX) {
        return WEFT_E_TOOBIG;
    }
    weft_key key = weft_key_of_bytes(image->core, bytes);
    uint64_t cell;
    int status = look(image, &key, &cell);
    if (status == WEFT_OK) {
        show(cell, view);
    }
    return status;
}

int weft_snapshot_next(const weft_snapshot *taken, weft_snapshot_cursor *cursor, weft_view *view) {
    weft_image_cell at;
    int status = next(taken->image, cursor, &at);
    if (status == WEFT_OK) {
        show(at.cell, view);
    }
    return status;
}

void weft_snapshot_release(weft_snapshot *taken) {
    release_handle(&taken->image);
}

int weft_u64map_snapshot(weft_u64map *map, weft_u64snapshot *taken) {
    return snapshot(weft_map_of(&map->impl, WEFT_SHAPE_U64), &taken->image);
}

int weft_u64snapshot_get(const weft_u64snapshot *taken, uint64_t number, uint64_t *value) {
    weft_image *image = taken->image;
    *value = 0;
    if (image == NULL) {
        return WEFT_E_INVALID;
    }
    weft_key key = weft_key_of_u64(image->core, number);
    return look(image, &key, value);
}

int weft_u64snapshot_next(const weft_u64snapshot *taken, weft_snapshot_cursor *cursor,
                          weft_u64pair *pair) {
    weft_image_cell at;
    int status = next(taken->image, cursor, &at);
    if (status == WEFT_OK) {
        *pair = (weft_u64pair){at.key_number, at.cell};
    }
    return status;
}

void weft_u64snapshot_release(weft_u64snapshot *taken) {
    release_handle(&taken->image);
}
