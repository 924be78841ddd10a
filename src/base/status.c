/* SPDX-License-Identifier: MIT */
#include <weft/status.h>

const char *weft_status_name(int status) {
    switch (status) {
#define WEFT_STATUS_NAME(name, code, sentence)                                                     \
    case code:                                                                                     \
        return #name;
        WEFT_STATUS_TABLE(WEFT_STATUS_NAME)
#undef WEFT_STATUS_NAME
    default:
        return "WEFT_?";
    }
}

const char *weft_status_text(int status) {
    switch (status) {
#define WEFT_STATUS_TEXT(name, code, sentence)                                                     \
    case code:                                                                                     \
        return sentence;
        WEFT_STATUS_TABLE(WEFT_STATUS_TEXT)
#undef WEFT_STATUS_TEXT
    default:
        return "unknown status";
    }
}
