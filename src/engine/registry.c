/* SPDX-License-Identifier: MIT */
/* The engines by number, from engines.def. */
#include "base/assert.h"
#include "engine/engine.h"

#define WEFT_ENGINE(symbol, id) extern const weft_engine symbol;
#include "engine/engines.def"
#undef WEFT_ENGINE

const weft_engine *weft_engine_of(weft_engine_id id) {
    WEFT_ASSERT(weft_engine_lockfree.id == WEFT_ENGINE_LOCKFREE);
    switch ((int)id) {
    case WEFT_ENGINE_AUTO:
        return &weft_engine_lockfree;
#define WEFT_ENGINE(symbol, id)                                                                    \
    case WEFT_ENGINE_##id:                                                                         \
        return &(symbol);
#include "engine/engines.def"
#undef WEFT_ENGINE
    default:
        return NULL;
    }
}
