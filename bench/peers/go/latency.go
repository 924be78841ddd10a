// SPDX-License-Identifier: MIT

package main

import "math/bits"

const (
	steps   = 16 // linear steps a power of two
	buckets = (64 - 4 + 1) * steps
)

// histogram counts nanoseconds.
type histogram struct {
	counts  [buckets]uint64
	samples uint64
	max     uint64
}

// bucketOf is the number of a power of two and a step: exact below 16, then 16 steps a doubling.
func bucketOf(ns uint64) int {
	if ns < steps {
		return int(ns)
	}
	shift := bits.Len64(ns) - 5
	return shift*steps + int(ns>>shift)
}

// upperEnd is the greatest value that falls into a bucket.
func upperEnd(bucket int) uint64 {
	if bucket < 2*steps {
		return uint64(bucket)
	}
	shift := bucket/steps - 1
	return uint64(bucket%steps+steps+1)<<shift - 1
}

func (h *histogram) add(ns uint64) {
	h.counts[bucketOf(ns)]++
	h.samples++
	h.max = max(h.max, ns)
}

func (h *histogram) merge(other *histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.samples += other.samples
	h.max = max(h.max, other.max)
}

// at is the value that perMille of a thousand samples do not exceed.
func (h *histogram) at(perMille uint64) uint64 {
	wanted := (h.samples*perMille + 999) / 1000
	seen := uint64(0)
	for bucket, n := range h.counts {
		seen += n
		if n > 0 && seen >= wanted {
			return min(upperEnd(bucket), h.max)
		}
	}
	return h.max
}
