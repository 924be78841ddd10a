// SPDX-License-Identifier: MIT

package main

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

func init() {
	register("churn-leak", churnLeak)
	register("retention", retention)
}

// held is the bytes of the heap that are in use after a collection.
func held() float64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapAlloc)
}

// churn returns what is held after each of ten slices: always new keys, each is read once if
// `reads`, and the one that came 1000 before leaves.
func churn(keys uint64, reads bool) []float64 {
	const live, slices = 1000, 10
	var m sync.Map
	bytes := []float64{}
	for key := uint64(1); key <= keys+live; key++ {
		m.Store(key, &wideValue{})
		if reads {
			m.Load(key)
		}
		if key > live {
			m.Delete(key - live)
			if (key-live)%(keys/slices) == 0 {
				bytes = append(bytes, held())
			}
		}
	}
	runtime.KeepAlive(&m)
	return bytes
}

func churnLeak(c *claim) {
	keys := choose(c, uint64(300000), 5000)
	worst := 0.0
	for _, reads := range []bool{false, true} {
		base := held()
		bytes := churn(keys, reads)
		for i := range bytes {
			bytes[i] -= base
		}
		grown := (bytes[9] + bytes[8] + bytes[7]) / (bytes[1] + bytes[2] + bytes[3])
		name := "sync.Map, never read, held at the end"
		if reads {
			name = "sync.Map, read once, held at the end"
		}
		c.figure(name, "KiB", bytes[9]/1024)
		worst = max(worst, grown)
	}
	c.figure("sync.Map, end over beginning", "ratio", worst)
}

// pointingValue is a value that the collector has to follow.
type pointingValue struct {
	next *pointingValue
	data [24]byte
}

// freed is the milliseconds from the removal of 64 values to the moment when the collector has
// found all of them to be garbage; it is asked to look at once.
func freed(add func(m *sync.Map, key int, gone func(int))) float64 {
	const leaving, kept = 64, 1000
	var m sync.Map
	var gone atomic.Int64
	for key := range kept + leaving {
		add(&m, key, func(key int) {
			if key >= kept {
				gone.Add(1)
			}
		})
	}
	runtime.GC()
	for key := kept; key < kept+leaving; key++ {
		m.Delete(key)
	}
	began := time.Now()
	for gone.Load() < leaving && time.Since(began) < time.Second {
		runtime.GC()
	}
	took := time.Since(began)
	runtime.KeepAlive(&m)
	return float64(took) / 1e6
}

func retention(c *claim) {
	ms := contest(choose(c, 15, 3),
		func() float64 {
			return freed(func(m *sync.Map, key int, gone func(int)) {
				value := &wideValue{}
				runtime.AddCleanup(value, gone, key)
				m.Store(key, value)
			})
		},
		func() float64 {
			return freed(func(m *sync.Map, key int, gone func(int)) {
				value := &pointingValue{}
				for range 8 {
					value = &pointingValue{next: value}
				}
				runtime.AddCleanup(value, gone, key)
				m.Store(key, value)
			})
		})
	c.figure("sync.Map, plain", "ms", ms[0])
	c.figure("sync.Map, pointers", "ms", ms[1])
	c.figure("pointers over plain", "ratio", ms[1]/ms[0])
}
