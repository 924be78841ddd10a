/* SPDX-License-Identifier: MIT */
/* Engine AUTO, resolved. */
#ifndef WEFT_MAP_ADVICE_H
#define WEFT_MAP_ADVICE_H

#include <weft/advice.h>

/* The options of engine fixed that only it has a use for. */
bool weft_options_bounded(const weft_map_options *options);

/* The engine that a map with these options gets. WEFT_OK · WEFT_E_INVALID · WEFT_E_UNSUPPORTED. */
int weft_advice_resolve(const weft_map_options *options, weft_engine_id *engine);

#endif
