/* SPDX-License-Identifier: MIT */
/* The smallest program: a global map that opens itself. */
#include <stdio.h>
#include <weft/map.h>

static weft_map colours = WEFT_MAP_INIT;

static void show(const char *key) {
    char text[16];
    weft_buffer out = {.data = text, .capacity = sizeof text};
    int status = weft_map_get(&colours, weft_str(key), &out);
    if (status == WEFT_OK) {
        printf("%s is %.*s\n", key, (int)out.size, text);
    } else {
        printf("%s: %s\n", key, weft_status_text(status));
    }
}

int main(void) {
    weft_map_put(&colours, weft_str("sky"), weft_str("blue"));
    weft_map_put(&colours, weft_str("grass"), weft_str("green"));
    show("sky");
    weft_map_put(&colours, weft_str("sky"), weft_str("grey"));
    show("sky");
    weft_map_remove(&colours, weft_str("grass"));
    show("grass");
    printf("%zu left\n", weft_map_len(&colours));
    return weft_map_close(&colours);
}
