// SPDX-License-Identifier: MIT

package main

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

func init() {
	register("fixed", fixedGets)
	register("pool", poolOfMaps)
	register("bulk-swap", bulkSwap)
	register("u64-path", u64Path)
	register("presize", presize)
	register("bulk-init", bulkInit)
	register("batch-torn", batchTorn)
	register("cow", copyOnWrite)
	register("hybrid", hotAndCold)
}

// keyOf is the i-th key: a bijection (SplitMix64's finaliser), never 0.
func keyOf(i uint64) uint64 {
	x := i + 1
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

var sink atomic.Uint64

// fixedTable is an array that never moves, half full at the most.
type fixedTable struct {
	mask   uint64
	places []struct{ key, value atomic.Uint64 }
}

func newFixedTable(entries uint64) *fixedTable {
	size := uint64(8)
	for size < 2*entries {
		size *= 2
	}
	return &fixedTable{size - 1, make([]struct{ key, value atomic.Uint64 }, size)}
}

func (t *fixedTable) get(key uint64) (uint64, bool) {
	for at := key & t.mask; ; at = (at + 1) & t.mask {
		switch t.places[at].key.Load() {
		case key:
			return t.places[at].value.Load(), true
		case 0:
			return 0, false
		}
	}
}

// put is for one writer.
func (t *fixedTable) put(key, value uint64) {
	at := key & t.mask
	for k := t.places[at].key.Load(); k != 0 && k != key; k = t.places[at].key.Load() {
		at = (at + 1) & t.mask
	}
	t.places[at].value.Store(value)
	t.places[at].key.Store(key)
}

const lookups = 1 << 16

// drawKeys is a long list of keys, half of them absent, so that no branch predictor knows it.
func drawKeys(entries uint64) []uint64 {
	keys := make([]uint64, lookups)
	for i := range keys {
		keys[i] = keyOf(keyOf(uint64(i)) % (2 * entries))
	}
	return keys
}

// getAll is the nanoseconds of a get.
func getAll(keys []uint64, get func(key uint64) (uint64, bool)) float64 {
	began := time.Now()
	sum := uint64(0)
	for _, key := range keys {
		value, _ := get(key)
		sum += value
	}
	sink.Add(sum)
	return float64(time.Since(began)) / float64(len(keys))
}

func fixedGets(c *claim) {
	const entries = 300
	locked, table, keys := newLockedMap(), newFixedTable(entries), drawKeys(entries)
	var m sync.Map
	for i := range uint64(entries) {
		locked.put(keyOf(i), i)
		table.put(keyOf(i), i)
		m.Store(keyOf(i), i)
	}
	times := contest(choose(c, 21, 1),
		func() float64 { return getAll(keys, locked.get) },
		func() float64 { return getAll(keys, table.get) },
		func() float64 {
			return getAll(keys, func(key uint64) (uint64, bool) {
				value, found := m.Load(key)
				if !found {
					return 0, false
				}
				return value.(uint64), true
			})
		})
	c.figure("RWMutex, a get", "ns", times[0])
	c.figure("fixed table, a get", "ns", times[1])
	c.figure("sync.Map, a get", "ns", times[2])
	c.figure("RWMutex over fixed", "ratio", times[0]/times[1])
}

const poolEntries = 64

func useMap(m map[uint64]uint64) {
	m[1] = 1
	sink.Add(m[1])
}

func poolOfMaps(c *claim) {
	makes := choose(c, 20000, 500)
	pool := sync.Pool{New: func() any { return make(map[uint64]uint64, poolEntries) }}
	times := contest(choose(c, 21, 3),
		func() float64 {
			return timed(makes, func() { useMap(make(map[uint64]uint64, poolEntries)) })
		},
		func() float64 {
			return timed(makes, func() {
				m := pool.Get().(map[uint64]uint64)
				useMap(m)
				clear(m)
				pool.Put(m)
			})
		})
	c.figure("make", "ns", times[0])
	c.figure("sync.Pool and clear", "ns", times[1])
	c.figure("make over pool", "ratio", times[0]/times[1])
}

const swapKeys = 1000

// swapRate is the writes a second of batches, beside a reader, and the p99 of a batch.
func swapRate(c *claim, batch func(number uint64), read func(key uint64)) (float64, float64) {
	var written []int64
	crew(2, choose(c, 60*time.Millisecond, 10*time.Millisecond), func(m *member) {
		for n := uint64(0); !m.stop.Load(); n++ {
			if m.index == 0 {
				began := time.Now()
				batch(n)
				written = append(written, int64(time.Since(began)))
			} else {
				read(keyOf(m.next() % swapKeys))
			}
		}
	})
	total := int64(0)
	for _, took := range written {
		total += took
	}
	rate := float64(len(written)) * swapKeys / (float64(total) / 1e9)
	return rate, percentile(written, 0.99) / 1e3
}

func bulkSwap(c *claim) {
	var m sync.Map
	var table atomic.Pointer[map[uint64]uint64]
	table.Store(&map[uint64]uint64{})
	var tails [2][]float64
	rates := contest(choose(c, 7, 1),
		func() float64 {
			rate, tail := swapRate(c, func(number uint64) {
				for i := range uint64(swapKeys) {
					m.Store(keyOf(i), number)
				}
			}, func(key uint64) { m.Load(key) })
			tails[0] = append(tails[0], tail)
			return rate
		},
		func() float64 {
			rate, tail := swapRate(c, func(number uint64) {
				fresh := make(map[uint64]uint64, swapKeys)
				for i := range uint64(swapKeys) {
					fresh[keyOf(i)] = number
				}
				table.Store(&fresh)
			}, func(key uint64) { sink.Store((*table.Load())[key]) })
			tails[1] = append(tails[1], tail)
			return rate
		})
	c.figure("sync.Map, one by one", "writes/s", rates[0])
	c.figure("built aside, swapped in", "writes/s", rates[1])
	c.figure("swapped over one by one", "ratio", rates[1]/rates[0])
	c.figure("sync.Map, p99 of a batch", "us", median(tails[0]))
	c.figure("swapped in, p99 of a batch", "us", median(tails[1]))
}

func u64Path(c *claim) {
	type pair struct{ low, high uint32 } // eight bytes, too, but the runtime has no path for it
	const entries = 1000
	numbers, pairs, keys := map[uint64]uint64{}, map[pair]uint64{}, drawKeys(entries)
	for i := range uint64(entries) {
		key := keyOf(i)
		numbers[key] = i
		pairs[pair{uint32(key), uint32(key >> 32)}] = i
	}
	times := contest(choose(c, 21, 1),
		func() float64 {
			return getAll(keys, func(key uint64) (uint64, bool) {
				value, found := numbers[key]
				return value, found
			})
		},
		func() float64 {
			return getAll(keys, func(key uint64) (uint64, bool) {
				value, found := pairs[pair{uint32(key), uint32(key >> 32)}]
				return value, found
			})
		})
	c.figure("map[uint64], a get", "ns", times[0])
	c.figure("map of two uint32, a get", "ns", times[1])
	c.figure("generic over uint64", "ratio", times[1]/times[0])
}

func presize(c *claim) {
	const writes = 1000
	fill := func(hint int) func() float64 {
		return func() float64 {
			return timed(choose(c, 20, 5), func() {
				m := make(map[uint64]uint64, hint)
				for i := range uint64(writes) {
					m[keyOf(i)] = i
				}
			}) / writes
		}
	}
	times := contest(choose(c, 21, 3), fill(0), fill(writes), fill(8*writes))
	c.figure("map, no hint", "ns", times[0])
	c.figure("map, exact", "ns", times[1])
	c.figure("map, large", "ns", times[2])
}

func bulkInit(c *claim) {
	type place struct{ key, value uint64 }
	table := make([]place, 1<<12)
	empty := place{key: 1 << 63}
	times := contest(choose(c, 51, 5),
		func() float64 {
			return timed(20, func() {
				for i := range table {
					table[i] = empty
				}
			})
		},
		func() float64 {
			return timed(20, func() {
				table[0] = empty
				for done := 1; done < len(table); done *= 2 {
					copy(table[done:], table[:done])
				}
			})
		},
		func() float64 { return timed(20, func() { clear(table) }) })
	runtime.KeepAlive(table)
	size := float64(len(table))
	c.figure("loop", "ns/place", times[0]/size)
	c.figure("doubling copy", "ns/place", times[1]/size)
	c.figure("direct fill", "ns/place", times[2]/size)
	c.figure("loop over doubling copy", "ratio", times[0]/times[1])
	c.figure("loop over direct fill", "ratio", times[0]/times[2])
}

const tornKeys = 8

// tornShare is the percentage of looks that saw some of one batch and some of another.
func tornShare(c *claim, write func(number uint64),
	read func(values *[tornKeys]uint64) bool) float64 {
	looks, torn := 0, 0
	crew(2, choose(c, 300*time.Millisecond, 20*time.Millisecond), func(m *member) {
		if m.index == 0 {
			for number := uint64(2); !m.stop.Load(); number++ {
				write(number)
			}
			return
		}
		for !m.stop.Load() {
			var values [tornKeys]uint64
			if read(&values) {
				looks++
				for i := 1; i < tornKeys; i++ {
					if values[i] != values[0] {
						torn++
						break
					}
				}
			}
		}
	})
	return float64(torn) / float64(max(looks, 1)) * 100
}

func batchTorn(c *claim) {
	const version, flag = uint64(1000), uint64(1001)
	var m sync.Map
	load := func(key uint64) uint64 {
		value, found := m.Load(key)
		if !found {
			return 0
		}
		return value.(uint64)
	}
	storeAll := func(number uint64) {
		for key := uint64(1); key <= tornKeys; key++ {
			m.Store(key, number)
		}
	}
	loadAll := func(values *[tornKeys]uint64) bool {
		for i := range values {
			values[i] = load(uint64(tornKeys - i))
		}
		return true
	}
	storeAll(1)
	c.figure("one after another, torn reads", "%", tornShare(c, storeAll, loadAll))
	c.figure("version key, torn reads", "%", tornShare(c, func(number uint64) {
		storeAll(number)
		m.Store(version, number)
	}, func(values *[tornKeys]uint64) bool {
		before := load(version)
		return loadAll(values) && load(version) == before
	}))
	c.figure("deleted under a flag, torn reads", "%", tornShare(c, func(number uint64) {
		m.Store(flag, uint64(1))
		for key := uint64(1); key <= tornKeys; key++ {
			m.Delete(key)
		}
		storeAll(number)
		m.Store(flag, uint64(0))
	}, func(values *[tornKeys]uint64) bool {
		return load(flag) == 0 && loadAll(values)
	}))
	var table atomic.Pointer[map[uint64]uint64]
	publish := func(number uint64) {
		fresh := make(map[uint64]uint64, tornKeys)
		for key := uint64(1); key <= tornKeys; key++ {
			fresh[key] = number
		}
		table.Store(&fresh)
	}
	publish(1)
	c.figure("map published by a pointer, torn reads", "%", tornShare(c, publish,
		func(values *[tornKeys]uint64) bool {
			now := *table.Load()
			for i := range values {
				values[i] = now[uint64(i)+1]
			}
			return true
		}))
}

// copiedMap is copied by each write and published by a pointer.
type copiedMap struct {
	lock  sync.Mutex
	table atomic.Pointer[map[uint64]uint64]
}

func (m *copiedMap) get(key uint64) (uint64, bool) {
	value, found := (*m.table.Load())[key]
	return value, found
}

func (m *copiedMap) put(key, value uint64) {
	m.lock.Lock()
	old := *m.table.Load()
	fresh := make(map[uint64]uint64, len(old)+1)
	for k, v := range old {
		fresh[k] = v
	}
	fresh[key] = value
	m.table.Store(&fresh)
	m.lock.Unlock()
}

// A tableLoad is what threads do with a map.
type tableLoad struct {
	keys, hot  uint64 // 15 of 16 operations are about the hot ones; 0: all alike
	threads    int
	writesOf64 uint64
}

func rateOf(c *claim, x tableLoad, get func(key uint64) (uint64, bool),
	put func(key, value uint64)) float64 {
	for i := range x.keys {
		put(keyOf(i), i)
	}
	result := crew(x.threads, choose(c, 50*time.Millisecond, 10*time.Millisecond), func(m *member) {
		sum := uint64(0)
		for ; !m.stop.Load(); m.ops++ {
			random := m.next()
			among := x.keys
			if x.hot != 0 && (random>>8)%16 != 0 {
				among = x.hot
			}
			key := keyOf((random >> 16) % among)
			if random%64 < x.writesOf64 {
				put(key, random)
			} else {
				value, _ := get(key)
				sum += value
			}
		}
		sink.Add(sum)
	})
	return float64(result.ops) / result.seconds
}

func rateOfLocked(c *claim, x tableLoad) float64 {
	m := newLockedMap()
	return rateOf(c, x, m.get, m.put)
}

func rateOfSyncMap(c *claim, x tableLoad) float64 {
	var m sync.Map
	return rateOf(c, x, func(key uint64) (uint64, bool) {
		value, found := m.Load(key)
		if !found {
			return 0, false
		}
		return value.(uint64), true
	}, func(key, value uint64) { m.Store(key, value) })
}

func rateOfCopied(c *claim, x tableLoad) float64 {
	m := new(copiedMap)
	m.table.Store(&map[uint64]uint64{})
	return rateOf(c, x, m.get, m.put)
}

func copyOnWrite(c *claim) {
	reads := tableLoad{keys: 256, threads: 2}
	writes := tableLoad{keys: 256, threads: 2, writesOf64: 64}
	rates := contest(choose(c, 7, 1),
		func() float64 { return rateOfCopied(c, reads) },
		func() float64 { return rateOfLocked(c, reads) },
		func() float64 { return rateOfCopied(c, writes) },
		func() float64 { return rateOfLocked(c, writes) })
	c.figure("copied, reads", "1/s", rates[0])
	c.figure("RWMutex, reads", "1/s", rates[1])
	c.figure("copied, writes", "1/s", rates[2])
	c.figure("RWMutex, writes", "1/s", rates[3])
	c.figure("reads, copied over RWMutex", "ratio", rates[0]/rates[1])
	c.figure("writes, RWMutex over copied", "ratio", rates[3]/rates[2])
}

func hotAndCold(c *claim) {
	few, many := tableLoad{64, 8, 8, 6}, tableLoad{512, 64, 64, 6}
	rates := contest(choose(c, 5, 1),
		func() float64 { return rateOfSyncMap(c, few) },
		func() float64 { return rateOfLocked(c, few) },
		func() float64 { return rateOfSyncMap(c, many) },
		func() float64 { return rateOfLocked(c, many) })
	c.figure("sync.Map, 64 keys, 8 goroutines", "1/s", rates[0])
	c.figure("RWMutex, 64 keys, 8 goroutines", "1/s", rates[1])
	c.figure("sync.Map, 512 keys, 64 goroutines", "1/s", rates[2])
	c.figure("RWMutex, 512 keys, 64 goroutines", "1/s", rates[3])
	c.figure("sync.Map over RWMutex, 64 keys", "ratio", rates[0]/rates[1])
	c.figure("sync.Map over RWMutex, 512 keys", "ratio", rates[2]/rates[3])
}
