/* SPDX-License-Identifier: MIT */
/* weft: all public headers. */
#ifndef WEFT_WEFT_H
#define WEFT_WEFT_H

#include <weft/advice.h>
#include <weft/alloc.h>
#include <weft/batch.h>
#include <weft/export.h>
#include <weft/fixed.h>
#include <weft/guard.h>
#include <weft/log.h>
#include <weft/map.h>
#include <weft/record.h>
#include <weft/snapshot.h>
#include <weft/status.h>
#include <weft/typed.h>
#include <weft/u64map.h>
#include <weft/write_batch.h>

#endif
