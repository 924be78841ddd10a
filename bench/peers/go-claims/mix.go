// SPDX-License-Identifier: MIT

package main

import (
	"math"
	"runtime"
	"runtime/metrics"
	"sort"
	"sync"
	"time"
)

// table is a map that several goroutines may use at once.
type table[V any] interface {
	get(key uint64) (V, bool)
	put(key uint64, value V)
}

// lockedOf is a map under a lock for several readers.
type lockedOf[V any] struct {
	lock    sync.RWMutex
	entries map[uint64]V
}

func newLockedOf[V any]() *lockedOf[V] {
	return &lockedOf[V]{entries: map[uint64]V{}}
}

func (t *lockedOf[V]) get(key uint64) (V, bool) {
	t.lock.RLock()
	value, found := t.entries[key]
	t.lock.RUnlock()
	return value, found
}

func (t *lockedOf[V]) put(key uint64, value V) {
	t.lock.Lock()
	t.entries[key] = value
	t.lock.Unlock()
}

// syncOf is a sync.Map.
type syncOf[V any] struct {
	m sync.Map
}

func newSyncOf[V any]() *syncOf[V] {
	return &syncOf[V]{}
}

func (t *syncOf[V]) get(key uint64) (V, bool) {
	value, found := t.m.Load(key)
	if !found {
		var none V
		return none, false
	}
	return value.(V), true
}

func (t *syncOf[V]) put(key uint64, value V) {
	t.m.Store(key, value)
}

// shard is a map under a lock, in cache lines of its own.
type shard[V any] struct {
	lock    sync.Mutex
	entries map[uint64]V
	_       [112]byte
}

// shardedOf is several of them; the key chooses.
type shardedOf[V any] struct {
	shards []shard[V]
}

func newShardedOf[V any](count int) *shardedOf[V] {
	t := &shardedOf[V]{shards: make([]shard[V], count)}
	for i := range t.shards {
		t.shards[i].entries = map[uint64]V{}
	}
	return t
}

func (t *shardedOf[V]) get(key uint64) (V, bool) {
	s := &t.shards[key%uint64(len(t.shards))]
	s.lock.Lock()
	value, found := s.entries[key]
	s.lock.Unlock()
	return value, found
}

func (t *shardedOf[V]) put(key uint64, value V) {
	s := &t.shards[key%uint64(len(t.shards))]
	s.lock.Lock()
	s.entries[key] = value
	s.lock.Unlock()
}

func fill[V any](t table[V], keys int, make func(key uint64) V) {
	for key := range uint64(keys) {
		t.put(key, make(key))
	}
}

// mix is gets and writes by several goroutines.
type mix[V any] struct {
	threads    int
	pause      time.Duration
	keys       int
	reads      float64            // share of gets
	ranks      []uint32           // keys by their popularity; nil: all the same
	own        int                // each goroutine keeps to every so many-th key; 0: no
	yieldEvery int                // operations; 0: never
	value      func(key uint64) V // what is stored
}

func (x *mix[V]) key(m *member, random uint64) uint64 {
	if x.ranks != nil {
		return uint64(x.ranks[random%uint64(len(x.ranks))])
	}
	key := (random & math.MaxUint32) * uint64(x.keys) >> 32
	if x.own > 0 {
		return key - key%uint64(x.own) + uint64(m.index%x.own)
	}
	return key
}

// run fills the table, lets them at it, and returns the operations a second.
func (x *mix[V]) run(t table[V]) float64 {
	fill(t, x.keys, x.value)
	reads := uint64(x.reads * (1 << 32))
	done := crew(x.threads, x.pause, func(m *member) {
		for m.ops = 1; ; m.ops++ {
			random := m.next()
			key := x.key(m, random)
			if random>>32 < reads {
				t.get(key)
			} else {
				t.put(key, x.value(key))
			}
			if x.yieldEvery != 0 && m.ops%x.yieldEvery == 0 {
				runtime.Gosched()
			}
			if m.stop.Load() {
				return
			}
		}
	})
	return float64(done.ops) / done.seconds
}

func number(key uint64) uint64 { return key }

// popular draws keys that follow Zipf's law with an exponent below 1.
func popular(keys, count int, exponent float64) []uint32 {
	sums := make([]float64, keys)
	sum := 0.0
	for i := range sums {
		sum += math.Pow(float64(i+1), -exponent)
		sums[i] = sum
	}
	m := member{random: 1}
	ranks := make([]uint32, count)
	for i := range ranks {
		ranks[i] = uint32(sort.SearchFloat64s(sums, float64(m.next()>>11)*0x1p-53*sum))
	}
	return ranks
}

// blockedSeconds is for how long goroutines have waited for locks so far.
func blockedSeconds() float64 {
	sample := []metrics.Sample{{Name: "/sync/mutex/wait/total:seconds"}}
	metrics.Read(sample)
	return sample[0].Value.Float64()
}
