/* SPDX-License-Identifier: MIT */
/* Patterns of KEYS, SCAN and CONFIG GET: '*' any bytes, '?' one byte, '[ab0-9]' one of a set,
 * '[^…]' none of it, backslash takes the next byte as it is.
 *
 * One star needs to be remembered only: when what follows the latest star fails, taking more bytes
 * for an earlier star cannot help either. So the match is O(pattern * text) at worst, without
 * recursion. */
#include "server/command.h"

typedef struct cursor {
    const unsigned char *at;
    const unsigned char *end;
} cursor;

static unsigned char folded(unsigned char byte, bool any_case) {
    return any_case && byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
}

static unsigned char set_byte(cursor *pattern, bool any_case) {
    if (*pattern->at == '\\' && pattern->end - pattern->at >= 2) {
        pattern->at++;
    }
    return folded(*pattern->at++, any_case);
}

/* `pattern` stands behind '['; it is left behind ']', or at the end if there is none. */
static bool set_matches(cursor *pattern, unsigned char byte, bool any_case) {
    bool negated = pattern->at < pattern->end && *pattern->at == '^';
    bool found = false;
    pattern->at += negated;
    while (pattern->at < pattern->end && *pattern->at != ']') {
        bool escaped = *pattern->at == '\\';
        unsigned char low = set_byte(pattern, any_case);
        unsigned char high = low;
        if (!escaped && pattern->end - pattern->at >= 2 && *pattern->at == '-') {
            pattern->at++;
            high = folded(*pattern->at++, any_case);
        }
        if (low > high) {
            unsigned char swapped = low;
            low = high;
            high = swapped;
        }
        found = found || (byte >= low && byte <= high);
    }
    pattern->at += pattern->at < pattern->end;
    return found != negated;
}

/* Does one element of the pattern, not a star, match the byte? Moves behind the element. */
static bool element_matches(cursor *pattern, unsigned char byte, bool any_case) {
    byte = folded(byte, any_case);
    unsigned char element = *pattern->at++;
    if (element == '?') {
        return true;
    }
    if (element == '[') {
        return set_matches(pattern, byte, any_case);
    }
    if (element == '\\' && pattern->at < pattern->end) {
        element = *pattern->at++;
    }
    return folded(element, any_case) == byte;
}

bool weft_pattern_matches(weft_bytes pattern_bytes, weft_bytes text_bytes, bool any_case) {
    const unsigned char *at = text_bytes.data;
    const unsigned char *end = at + text_bytes.size;
    cursor pattern = {pattern_bytes.data, NULL};
    pattern.end = pattern.at + pattern_bytes.size;
    const unsigned char *star = NULL; /* behind the latest star of the pattern */
    const unsigned char *resume =
        NULL; /* where the text goes on if that star takes one byte more */
    while (at < end) {
        if (pattern.at < pattern.end && *pattern.at == '*') {
            star = ++pattern.at;
            resume = at;
        } else if (pattern.at < pattern.end && element_matches(&pattern, *at, any_case)) {
            at++;
        } else if (star != NULL) {
            pattern.at = star;
            at = ++resume;
        } else {
            return false;
        }
    }
    while (pattern.at < pattern.end && *pattern.at == '*') {
        pattern.at++;
    }
    return pattern.at == pattern.end;
}
