// SPDX-License-Identifier: MIT
// The control without a map, compiled as C++.
#include "empty.c"
