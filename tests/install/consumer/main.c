/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <weft/map.h>

int main(void) {
    weft_map map = WEFT_MAP_INIT;
    int status = weft_map_put(&map, weft_str("colour"), weft_str("blue"));
    char text[16];
    weft_buffer out = {.data = text, .capacity = sizeof text};
    if (status == WEFT_OK) {
        status = weft_map_get(&map, weft_str("colour"), &out);
    }
    printf("%s %.*s\n", weft_status_name(status), (int)out.size, text);
    return weft_map_close(&map) == WEFT_OK && status == WEFT_OK ? 0 : 1;
}
