// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

func init() {
	register("promote-cost", promoteCost)
	register("promote-copies", promoteCopies)
	register("hot-rewrite", hotRewrite)
}

// absent is the first of the keys that are never stored.
const absent = uint64(1) << 48

func filled(keys uint64) *sync.Map {
	m := new(sync.Map)
	for key := uint64(1); key <= keys; key++ {
		m.Store(key, key)
	}
	for i := uint64(0); i <= keys; i++ {
		m.Load(absent + i)
	}
	return m
}

// threadTime is the processor time of this thread, to which the goroutine is locked.
func threadTime() time.Duration {
	const clockThread = 3
	var now syscall.Timespec
	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockThread, uintptr(unsafe.Pointer(&now)), 0)
	return time.Duration(now.Nano())
}

// cycle is what a new key and the longest of as many misses take, in microseconds of processor
// time: up to Go 1.23 the first copies all keys, and one of the others promotes.
func cycle(m *sync.Map, next *uint64) float64 {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	*next++
	since := threadTime()
	m.Store(*next, *next)
	now := threadTime()
	took, longest := now-since, time.Duration(0)
	for i := uint64(0); i <= *next; i++ {
		since = now
		m.Load(absent + i)
		now = threadTime()
		longest = max(longest, now-since)
	}
	return float64(took+longest) / 1000
}

func promoteCost(c *claim) {
	sizes := choose(c, []uint64{1000, 10000, 100000}, []uint64{1000, 10000})
	contenders := []func() float64{}
	for _, keys := range sizes {
		m, next := filled(keys), keys
		contenders = append(contenders, func() float64 { return cycle(m, &next) })
	}
	for i, took := range contest(choose(c, 7, 1), contenders...) {
		c.figure(fmt.Sprintf("sync.Map, %d K keys", sizes[i]/1000), "µs", took)
	}
}

// copies is how many megabytes are allocated in a second, and the 99.9th percentile in
// microseconds.
func copies(threads int, pause time.Duration) (float64, float64) {
	const keys = 10000
	var before, after runtime.MemStats
	m := filled(keys)
	runtime.ReadMemStats(&before)
	result := crew(threads, pause, func(c *member) {
		fresh := uint64(c.index+1) << 32
		for !c.stop.Load() {
			drawn := c.next()
			began := time.Now()
			switch {
			case drawn%1000 == 0:
				m.Store(fresh, drawn)
				fresh++
			case drawn%1000 <= 200:
				m.Load(absent + drawn%4096)
			default:
				m.Load(1 + (drawn>>32)%keys)
			}
			if c.ops%64 == 0 {
				c.note(began)
			}
			c.ops++
		}
	})
	runtime.ReadMemStats(&after)
	return float64(after.TotalAlloc-before.TotalAlloc) / 1e6 / result.seconds,
		percentile(result.latencies, 0.999) / 1000
}

func promoteCopies(c *claim) {
	pause := choose(c, 150*time.Millisecond, 20*time.Millisecond)
	for _, threads := range []int{1, 16} {
		rates, pauses := []float64{}, []float64{}
		for range choose(c, 5, 1) {
			rate, longest := copies(threads, pause)
			rates, pauses = append(rates, rate), append(pauses, longest)
		}
		c.figure(fmt.Sprintf("sync.Map, %d goroutines, allocated", threads), "MB/s", median(rates))
		c.figure(fmt.Sprintf("sync.Map, %d goroutines, p99.9", threads), "µs", median(pauses))
	}
}

// rewrites is the nanoseconds of a rewrite, in the median of batches; with a storm another
// goroutine adds a key, misses as often as there are keys, and removes it.
func rewrites(storm bool, pause time.Duration) float64 {
	const hot, batch = 1000, 100
	m := filled(hot)
	threads := 1
	if storm {
		threads = 2
	}
	result := crew(threads, pause, func(c *member) {
		for ; !c.stop.Load(); c.ops++ {
			if c.index != 0 {
				key := absent - uint64(c.ops) - 1
				m.Store(key, key)
				for i := uint64(0); i <= hot+1; i++ {
					m.Load(absent + i)
				}
				m.Delete(key)
				continue
			}
			began := time.Now()
			for i := range batch {
				key := 1 + c.next()%hot
				if i == 0 {
					m.Load(key)
				} else {
					m.Store(key, uint64(c.ops))
				}
			}
			c.note(began)
		}
	})
	return percentile(result.latencies, 0.5) / batch
}

func hotRewrite(c *claim) {
	pause := choose(c, 60*time.Millisecond, 10*time.Millisecond)
	ns := contest(choose(c, 7, 1),
		func() float64 { return rewrites(false, pause) },
		func() float64 { return rewrites(true, pause) })
	c.figure("sync.Map, alone", "ns", ns[0])
	c.figure("sync.Map, in a storm", "ns", ns[1])
	c.figure("storm over alone", "ratio", ns[1]/ns[0])
}
