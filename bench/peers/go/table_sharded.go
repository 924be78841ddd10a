// SPDX-License-Identifier: MIT

//go:build sharded

package main

import (
	"hash/maphash"
	"sync"
	"unsafe"
)

const (
	peerID    = "go-sharded"
	mapName   = "64-shards-of-map+sync.RWMutex"
	isControl = false

	shardBits = 6
	shards    = 1 << shardBits
	line      = 128 // two cache lines, which processors fetch in pairs
)

type lock = sync.RWMutex

// Each shard stands on lines of its own, so that locks of neighbours do not share one.
type tableU64 struct {
	shards [shards]struct {
		lockedU64
		_ [line - unsafe.Sizeof(lockedU64{})%line]byte
	}
}

func newTableU64() *tableU64 {
	t := new(tableU64)
	for i := range t.shards {
		t.shards[i].entriesOf = map[uint64]uint64{}
	}
	return t
}

// of spreads keys by a multiplication, as Fibonacci hashing does.
func (t *tableU64) of(key uint64) *lockedU64 {
	return &t.shards[key*0x9e3779b97f4a7c15>>(64-shardBits)].lockedU64
}

func (t *tableU64) get(key uint64) (uint64, bool) {
	return t.of(key).get(key)
}

func (t *tableU64) put(key, value uint64) {
	t.of(key).put(key, value)
}

func (t *tableU64) insert(key, value uint64) bool {
	return t.of(key).insert(key, value)
}

func (t *tableU64) remove(key uint64) bool {
	return t.of(key).remove(key)
}

func (t *tableU64) add(key uint64) uint64 {
	return t.of(key).add(key)
}

func (t *tableU64) entries() uint64 {
	count := uint64(0)
	for i := range t.shards {
		count += t.shards[i].entries()
	}
	return count
}

func (t *tableU64) each(visit func(key, value uint64)) {
	for i := range t.shards {
		t.shards[i].each(visit)
	}
}

type tableBytes struct {
	seed   maphash.Seed
	shards [shards]struct {
		lockedBytes
		_ [line - unsafe.Sizeof(lockedBytes{})%line]byte
	}
}

func newTableBytes(values valueMaker) *tableBytes {
	t := &tableBytes{seed: maphash.MakeSeed()}
	for i := range t.shards {
		t.shards[i].entriesOf = map[string][]byte{}
		t.shards[i].values = values
	}
	return t
}

func (t *tableBytes) of(key string) *lockedBytes {
	return &t.shards[maphash.String(t.seed, key)>>(64-shardBits)].lockedBytes
}

func (t *tableBytes) get(key string) (uint64, bool) {
	return t.of(key).get(key)
}

func (t *tableBytes) put(key string, number uint64) {
	t.of(key).put(key, number)
}

func (t *tableBytes) insert(key string, number uint64) bool {
	return t.of(key).insert(key, number)
}

func (t *tableBytes) remove(key string) bool {
	return t.of(key).remove(key)
}

func (t *tableBytes) entries() uint64 {
	count := uint64(0)
	for i := range t.shards {
		count += t.shards[i].entries()
	}
	return count
}

func (t *tableBytes) each(visit func(key string, number uint64)) {
	for i := range t.shards {
		t.shards[i].each(visit)
	}
}
