/* SPDX-License-Identifier: MIT */
/* Assertions in three levels of cost. The release library is built with WEFT_DEBUG 0 and never
 * aborts.
 *
 *   WEFT_ASSERT            >= 1   a comparison or two: arguments, states
 *   WEFT_ASSERT_INTERNAL   >= 2   may look at several words: the invariants of one bucket, one
 * record WEFT_ASSERT_EXPENSIVE  >= 3   may walk a structure
 */
#ifndef WEFT_BASE_ASSERT_H
#define WEFT_BASE_ASSERT_H

#include "base/platform.h"

#ifndef WEFT_DEBUG
#define WEFT_DEBUG 0
#endif

/* Prints "file:line: assertion failed: text" to stderr and aborts. */
__attribute__((noreturn)) WEFT_COLD void weft_assert_failed(const char *file, int line,
                                                            const char *text);

#define WEFT_ASSERT_ON(condition)                                                                  \
    ((condition) ? (void)0 : weft_assert_failed(__FILE__, __LINE__, #condition))
/* Checks that the condition compiles, and evaluates nothing. */
#define WEFT_ASSERT_OFF(condition) ((void)sizeof(!(condition)))

#if WEFT_DEBUG >= 1
#define WEFT_ASSERT(condition) WEFT_ASSERT_ON(condition)
#else
#define WEFT_ASSERT(condition) WEFT_ASSERT_OFF(condition)
#endif

#if WEFT_DEBUG >= 2
#define WEFT_ASSERT_INTERNAL(condition) WEFT_ASSERT_ON(condition)
#else
#define WEFT_ASSERT_INTERNAL(condition) WEFT_ASSERT_OFF(condition)
#endif

#if WEFT_DEBUG >= 3
#define WEFT_ASSERT_EXPENSIVE(condition) WEFT_ASSERT_ON(condition)
#else
#define WEFT_ASSERT_EXPENSIVE(condition) WEFT_ASSERT_OFF(condition)
#endif

#endif
