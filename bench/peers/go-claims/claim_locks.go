// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

func init() {
	register("counter-curve", counterCurve)
	register("city-counters", cityCounters)
	register("write-p99", writeP99)
	register("read-heavy", readHeavy)
	register("mixed-100", mixed100)
	register("shards-8", shards8)
	register("shards-64", shards64)
	register("yield", yield)
	register("segments", segments)
}

// counters adds 1 to what a key counts.
type counters interface {
	add(key uint64)
}

// syncCounters holds a counter of its own for each key in a sync.Map.
type syncCounters struct {
	m sync.Map
}

func (t *syncCounters) add(key uint64) {
	counter, found := t.m.Load(key)
	if !found {
		counter, _ = t.m.LoadOrStore(key, new(atomic.Uint64))
	}
	counter.(*atomic.Uint64).Add(1)
}

func (t *lockedOf[V]) with(key uint64, change func(V) V) {
	t.lock.Lock()
	t.entries[key] = change(t.entries[key])
	t.lock.Unlock()
}

func (t *shardedOf[V]) with(key uint64, change func(V) V) {
	s := &t.shards[key%uint64(len(t.shards))]
	s.lock.Lock()
	s.entries[key] = change(s.entries[key])
	s.lock.Unlock()
}

func more(count uint64) uint64 { return count + 1 }

type lockedCounters struct{ *lockedOf[uint64] }

func (t lockedCounters) add(key uint64) { t.with(key, more) }

type shardedCounters struct{ *shardedOf[uint64] }

func (t shardedCounters) add(key uint64) { t.with(key, more) }

func counting(t counters, threads int, pause time.Duration) float64 {
	const keys = 1024
	done := crew(threads, pause, func(m *member) {
		for m.ops = 1; !m.stop.Load(); m.ops++ {
			t.add(m.next() % keys)
		}
	})
	return float64(done.ops) / done.seconds / 1e6
}

func counterCurve(c *claim) {
	pause := choose(c, 60*time.Millisecond, 4*time.Millisecond)
	locked := func(threads int) func() float64 {
		return func() float64 {
			return counting(lockedCounters{newLockedOf[uint64]()}, threads, pause)
		}
	}
	shared := func(threads int) func() float64 {
		return func() float64 { return counting(&syncCounters{}, threads, pause) }
	}
	rates := contest(choose(c, 5, 1), locked(8), locked(64), shared(8), shared(64))
	c.figure("RWMutex, 8 threads", "M/s", rates[0])
	c.figure("RWMutex, 64 threads", "M/s", rates[1])
	c.figure("sync.Map, 8 threads", "M/s", rates[2])
	c.figure("sync.Map, 64 threads", "M/s", rates[3])
}

// cities is the 99th percentile of a request in milliseconds, from the time at which it was due.
func cities(t counters, pause time.Duration) float64 {
	const threads, rate, keys = 16, 12000, 500
	period := time.Second * threads / rate
	done := crew(threads, pause, func(m *member) {
		due := time.Now().Add(time.Duration(m.next() % uint64(period)))
		for m.ops = 1; ; m.ops++ {
			time.Sleep(time.Until(due))
			t.add(m.next() % keys)
			m.note(due)
			due = due.Add(period)
			if m.stop.Load() {
				return
			}
		}
	})
	return percentile(done.latencies, 0.99) / 1e6
}

func cityCounters(c *claim) {
	pause := choose(c, 250*time.Millisecond, 30*time.Millisecond)
	p99 := contest(choose(c, 3, 1),
		func() float64 { return cities(&syncCounters{}, pause) },
		func() float64 { return cities(shardedCounters{newShardedOf[uint64](64)}, pause) })
	c.figure("sync.Map, p99", "ms", p99[0])
	c.figure("64 shards, p99", "ms", p99[1])
}

// lockedWrites is the 99th percentile of a write under one mutex in milliseconds, and the share (%)
// of the goroutines' time in which they waited for it.
func lockedWrites(threads int, pause time.Duration) (float64, float64) {
	const keys, timedOne = 8192, 8
	var lock sync.Mutex
	var waited, lived atomic.Int64
	entries := map[uint64]uint64{}
	for key := range uint64(keys) {
		entries[key] = key
	}
	done := crew(threads, pause, func(m *member) {
		began := time.Now()
		wait := time.Duration(0)
		for m.ops = 1; ; m.ops++ {
			key := m.next() % keys
			since := time.Now()
			if !lock.TryLock() {
				lock.Lock()
				wait += time.Since(since)
			}
			entries[key] = key
			lock.Unlock()
			if m.ops%timedOne == 1 {
				m.note(since)
			}
			if m.stop.Load() {
				break
			}
		}
		waited.Add(int64(wait))
		lived.Add(int64(time.Since(began)))
	})
	return percentile(done.latencies, 0.99) / 1e6,
		100 * float64(waited.Load()) / float64(lived.Load())
}

func writeP99(c *claim) {
	counts := []int{1, 50, 100}
	pause := choose(c, 100*time.Millisecond, 10*time.Millisecond)
	waiting := make([][]float64, len(counts))
	sample := func(i int) func() float64 {
		return func() float64 {
			p99, share := lockedWrites(counts[i], pause)
			waiting[i] = append(waiting[i], share)
			return p99
		}
	}
	p99 := contest(choose(c, 5, 1), sample(0), sample(1), sample(2))
	for i, threads := range counts {
		c.figure(fmt.Sprintf("Mutex, %d threads, p99", threads), "ms", p99[i])
		c.figure(fmt.Sprintf("Mutex, %d threads, waiting for it", threads), "%", median(waiting[i]))
	}
}

// text is a value of 128 bytes.
type text [128]byte

func newText(key uint64) *text {
	return &text{byte(key)}
}

func readHeavy(c *claim) {
	const keys = 10000
	counts := []int{16, 256, 1024}
	x := mix[*text]{keys: keys, reads: 0.95, ranks: popular(keys, 1<<16, 0.9), value: newText,
		pause: choose(c, 50*time.Millisecond, 4*time.Millisecond)}
	var contenders []func() float64
	for _, threads := range counts {
		some := x
		some.threads = threads
		contenders = append(contenders,
			func() float64 { return some.run(newLockedOf[*text]()) / 1e6 },
			func() float64 { return some.run(newSyncOf[*text]()) / 1e6 })
	}
	rates := contest(choose(c, 3, 1), contenders...)
	for i, threads := range counts {
		c.figure(fmt.Sprintf("RWMutex, %d threads", threads), "M/s", rates[2*i])
		c.figure(fmt.Sprintf("sync.Map, %d threads", threads), "M/s", rates[2*i+1])
	}
	perOperation := func(t table[*text]) float64 {
		fill(t, keys, newText)
		blocks, _ := allocations(2000, func() { t.put(1, newText(1)) })
		return blocks * (1 - x.reads)
	}
	c.figure("RWMutex, allocations of an operation", "blocks", perOperation(newLockedOf[*text]()))
	c.figure("sync.Map, allocations of an operation", "blocks", perOperation(newSyncOf[*text]()))
}

func mixed100(c *claim) {
	const threads = 100
	x := mix[*text]{keys: 10000, reads: 0.5, threads: threads, value: newText,
		pause: choose(c, 120*time.Millisecond, 8*time.Millisecond)}
	var blocked [2][]float64
	sample := func(which int, make func() table[*text]) func() float64 {
		return func() float64 {
			t := make()
			before, began := blockedSeconds(), time.Now()
			rate := x.run(t)
			lived := threads * time.Since(began).Seconds()
			blocked[which] = append(blocked[which], 100*(blockedSeconds()-before)/lived)
			return rate
		}
	}
	rates := contest(choose(c, 5, 1),
		sample(0, func() table[*text] { return newLockedOf[*text]() }),
		sample(1, func() table[*text] { return newSyncOf[*text]() }))
	for i, name := range []string{"RWMutex", "sync.Map"} {
		c.figure(name+", rate", "k/s", rates[i]/1e3)
		c.figure(name+", an operation", "ms", threads*1e3/rates[i])
		c.figure(name+", blocked", "%", median(blocked[i]))
	}
}

func shards8(c *claim) {
	x := mix[uint64]{keys: 16384, reads: 0.5, threads: 8, value: number,
		pause: choose(c, 80*time.Millisecond, 5*time.Millisecond)}
	keeping := x
	keeping.own = 8
	rates := contest(choose(c, 7, 1),
		func() float64 { return x.run(newSyncOf[uint64]()) },
		func() float64 { return x.run(newShardedOf[uint64](8)) },
		func() float64 { return keeping.run(newShardedOf[uint64](8)) })
	for i, name := range []string{"sync.Map", "8 shards", "8 shards, a thread each"} {
		c.figure(name+", rate", "M/s", rates[i]/1e6)
		c.figure(name+", an operation", "us", float64(x.threads)*1e6/rates[i])
	}
}

func shards64(c *claim) {
	x := mix[uint64]{keys: 16384, threads: 8, value: number,
		pause: choose(c, 60*time.Millisecond, 5*time.Millisecond)}
	rates := contest(choose(c, 7, 1),
		func() float64 { return x.run(newShardedOf[uint64](64)) },
		func() float64 { return x.run(newLockedOf[uint64]()) })
	c.figure("64 shards", "M/s", rates[0]/1e6)
	c.figure("one RWMutex", "M/s", rates[1]/1e6)
	c.figure("64 shards over one RWMutex", "ratio", rates[0]/rates[1])
}

func yield(c *claim) {
	x := mix[uint64]{keys: 8192, threads: 8, value: number,
		pause: choose(c, 80*time.Millisecond, 5*time.Millisecond)}
	yielding := x
	yielding.yieldEvery = 100
	rates := contest(choose(c, 7, 1),
		func() float64 { return x.run(newSyncOf[uint64]()) },
		func() float64 { return yielding.run(newSyncOf[uint64]()) })
	c.figure("sync.Map", "M/s", rates[0]/1e6)
	c.figure("sync.Map, yielding", "M/s", rates[1]/1e6)
	c.figure("sync.Map, what yielding costs", "%", 100*(1-rates[1]/rates[0]))
}

// node is an entry of a list; links of present entries never change, since nothing is removed.
type node struct {
	key   uint64
	value atomic.Uint64
	next  *node
}

// listTable is a fixed array of lists whose heads change by compare and swap.
type listTable struct {
	heads []atomic.Pointer[node]
}

func (t *listTable) find(key uint64) (*node, *node) {
	first := t.heads[key%uint64(len(t.heads))].Load()
	for at := first; at != nil; at = at.next {
		if at.key == key {
			return first, at
		}
	}
	return first, nil
}

func (t *listTable) get(key uint64) (uint64, bool) {
	_, at := t.find(key)
	if at == nil {
		return 0, false
	}
	return at.value.Load(), true
}

func (t *listTable) put(key, value uint64) {
	for {
		first, at := t.find(key)
		if at != nil {
			at.value.Store(value)
			return
		}
		fresh := &node{key: key, next: first}
		fresh.value.Store(value)
		if t.heads[key%uint64(len(t.heads))].CompareAndSwap(first, fresh) {
			return
		}
	}
}

func segments(c *claim) {
	const keys = 8192
	x := mix[uint64]{keys: keys, reads: 0.5, threads: 8, value: number,
		pause: choose(c, 80*time.Millisecond, 5*time.Millisecond)}
	rates := contest(choose(c, 7, 1),
		func() float64 { return x.run(newLockedOf[uint64]()) },
		func() float64 { return x.run(newShardedOf[uint64](16)) },
		func() float64 {
			return x.run(&listTable{heads: make([]atomic.Pointer[node], keys)})
		})
	c.figure("one lock", "M/s", rates[0]/1e6)
	c.figure("16 segments", "M/s", rates[1]/1e6)
	c.figure("compare-and-swap and lists", "M/s", rates[2]/1e6)
}
