// SPDX-License-Identifier: MIT
#include <iostream>
#include <string>
#include <weft/map.h>

int main() {
    weft_map map = WEFT_MAP_INIT;
    int status = weft_map_put(&map, weft_str("colour"), weft_str("blue"));
    std::string text(16, '\0');
    weft_buffer out = {};
    out.data = &text[0];
    out.capacity = text.size();
    if (status == WEFT_OK) {
        status = weft_map_get(&map, weft_str("colour"), &out);
    }
    std::cout << weft_status_name(status) << " " << text.substr(0, out.size) << "\n";
    return weft_map_close(&map) == WEFT_OK && status == WEFT_OK ? 0 : 1;
}
