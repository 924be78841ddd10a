/* SPDX-License-Identifier: MIT */
/* Values in place: under a guard for a moment, through a reference for as long as it is needed. */
#include <stdio.h>
#include <weft/map.h>

static void say_goodbye(void *ctx, weft_bytes key, weft_bytes value, weft_reason reason) {
    (void)ctx;
    (void)key;
    printf("freed: %.*s%s\n", (int)value.size, (const char *)value.data,
           reason == WEFT_REMOVED ? " (removed)" : "");
}

int main(void) {
    weft_map_options options = {
        .size = sizeof options, .refcount = true, .destructor = say_goodbye};
    weft_map map;
    weft_guard guard;
    weft_view view;
    weft_ref ref;
    if (weft_map_open(&map, &options) != WEFT_OK) {
        return 1;
    }
    weft_map_put(&map, weft_str("motd"), weft_str("be kind"));

    weft_guard_enter(&guard);
    if (weft_map_peek(&map, weft_str("motd"), &guard, &view) == WEFT_OK) {
        printf("peeked: %.*s\n", (int)view.value.size, (const char *)view.value.data);
    }
    weft_guard_leave(&guard); /* the view is void from here on */

    if (weft_map_take(&map, weft_str("motd"), &ref) == WEFT_OK) {
        while (weft_map_maintain(&map, 100) != WEFT_OK) {
        }
        printf("taken, and still here: %.*s\n", (int)ref.view.value.size,
               (const char *)ref.view.value.data);
        weft_ref_release(&ref);
    }
    return weft_map_close(&map);
}
