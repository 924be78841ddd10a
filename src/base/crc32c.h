/* SPDX-License-Identifier: MIT */
#ifndef WEFT_BASE_CRC32C_H
#define WEFT_BASE_CRC32C_H

#include "base/platform.h"

/* CRC-32C (Castagnoli) of `size` bytes, going on from `crc`, which is 0 for the first piece. */
uint32_t weft_crc32c(uint32_t crc, const void *data, size_t size);

#endif
