// SPDX-License-Identifier: MIT

module weft/bench/peers/go-claims

go 1.24
