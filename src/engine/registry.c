/* SPDX-License-Identifier: MIT */
/* The engines by number, from engines.def. */
#include "base/assert.h"
#include "engine/engine.h"

#define WEFT_ENGINE(name, ID, number) extern const weft_engine weft_engine_##name;
#include <weft/engines.def>
#undef WEFT_ENGINE

const weft_engine *weft_engine_of(weft_engine_id id) {
    WEFT_ASSERT(weft_engine_lockfree.id == WEFT_ENGINE_LOCKFREE);
    switch ((int)id) {
    case WEFT_ENGINE_AUTO:
        return &weft_engine_lockfree;
#define WEFT_ENGINE(name, ID, number)                                                              \
    case WEFT_ENGINE_##ID:                                                                         \
        return &weft_engine_##name;
#include <weft/engines.def>
#undef WEFT_ENGINE
    default:
        return NULL;
    }
}
