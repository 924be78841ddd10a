// SPDX-License-Identifier: MIT

package main

import (
	"sync"
	"time"
)

func init() { register("cold-p99", coldP99) }

// burst is the 99th percentile, in microseconds, of requests of 16 operations by 64 goroutines.
func burst(requests int, put func(key uint64), get func(key uint64)) float64 {
	const threads, operations, keys = 64, 16, 20000
	result := crew(threads, 0, func(m *member) {
		for range requests {
			began := time.Now()
			for i := range operations {
				key := m.next() % keys
				if i%2 == 0 {
					put(key)
				} else {
					get(key)
				}
			}
			m.note(began)
		}
	})
	return percentile(result.latencies, 0.99) / 1000
}

func coldP99(c *claim) {
	requests := choose(c, 60, 10)
	p99 := contest(choose(c, 11, 2),
		func() float64 {
			var m sync.Map
			return burst(requests, func(key uint64) { m.Store(key, &wideValue{}) },
				func(key uint64) { m.Load(key) })
		},
		func() float64 {
			var lock sync.RWMutex
			m := map[uint64]*wideValue{}
			return burst(requests, func(key uint64) {
				lock.Lock()
				m[key] = &wideValue{}
				lock.Unlock()
			}, func(key uint64) {
				lock.RLock()
				_ = m[key]
				lock.RUnlock()
			})
		},
		func() float64 {
			return burst(requests, func(uint64) {}, func(uint64) {})
		})
	c.figure("sync.Map, p99 of a request", "µs", p99[0])
	c.figure("RWMutex, p99 of a request", "µs", p99[1])
	c.figure("no map, p99 of a request", "µs", p99[2])
	c.figure("RWMutex over sync.Map, p99", "ratio", p99[1]/p99[0])
}
