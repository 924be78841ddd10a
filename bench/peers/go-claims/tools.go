// SPDX-License-Identifier: MIT

package main

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// choose is full, or with `quick` the other one.
func choose[T any](c *claim, full, quick T) T {
	if c.quick {
		return quick
	}
	return full
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// contest measures contenders in turns, a b c, b c a, …, and returns the median of each.
func contest(rounds int, contenders ...func() float64) []float64 {
	values := make([][]float64, len(contenders))
	for round := range rounds {
		for i := range contenders {
			chosen := (i + round) % len(contenders)
			values[chosen] = append(values[chosen], contenders[chosen]())
		}
	}
	medians := make([]float64, len(contenders))
	for i := range contenders {
		medians[i] = median(values[i])
	}
	return medians
}

// percentile of durations in nanoseconds, which are sorted in place; share is from 0 to 1.
func percentile(durations []int64, share float64) float64 {
	if len(durations) == 0 {
		return 0
	}
	slices.Sort(durations)
	return float64(durations[min(len(durations)-1, int(share*float64(len(durations))))])
}

// member is one of several threads that begin together; the padding keeps its neighbours off its
// cache lines.
type member struct {
	index     int
	random    uint64
	ops       int
	latencies []int64
	stop      *atomic.Bool
	_         [128]byte
}

// next is a number of a stream of the member's own (SplitMix64).
func (m *member) next() uint64 {
	m.random += 0x9e3779b97f4a7c15
	x := m.random
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// note adds the latency of an operation that began then.
func (m *member) note(since time.Time) {
	m.latencies = append(m.latencies, int64(time.Since(since)))
}

// crewResult is what all members did together.
type crewResult struct {
	seconds   float64
	ops       int
	latencies []int64
}

// crew runs work on so many goroutines at once. After `pause` (0: never) their stop is set; each
// counts in ops what it has done.
func crew(threads int, pause time.Duration, work func(*member)) crewResult {
	var stop atomic.Bool
	var ready, done sync.WaitGroup
	begin := make(chan struct{})
	members := make([]member, threads)
	for i := range members {
		members[i] = member{index: i, random: uint64(i+1) << 32, stop: &stop}
		ready.Add(1)
		done.Add(1)
		go func() {
			defer done.Done()
			ready.Done()
			<-begin
			work(&members[i])
		}()
	}
	ready.Wait()
	began := time.Now()
	close(begin)
	if pause > 0 {
		time.Sleep(pause)
		stop.Store(true)
	}
	done.Wait()
	result := crewResult{seconds: time.Since(began).Seconds()}
	for i := range members {
		result.ops += members[i].ops
		result.latencies = append(result.latencies, members[i].latencies...)
	}
	return result
}

// allocations of one call, blocks and bytes, on average over several calls.
func allocations(calls int, work func()) (float64, float64) {
	var before, after runtime.MemStats
	work()
	runtime.ReadMemStats(&before)
	for range calls {
		work()
	}
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / float64(calls),
		float64(after.TotalAlloc-before.TotalAlloc) / float64(calls)
}

// lockedMap is what sync.Map is compared with: a map under a lock for several readers.
type lockedMap struct {
	lock    sync.RWMutex
	entries map[uint64]uint64
}

func newLockedMap() *lockedMap {
	return &lockedMap{entries: map[uint64]uint64{}}
}

func (m *lockedMap) get(key uint64) (uint64, bool) {
	m.lock.RLock()
	value, found := m.entries[key]
	m.lock.RUnlock()
	return value, found
}

func (m *lockedMap) put(key, value uint64) {
	m.lock.Lock()
	m.entries[key] = value
	m.lock.Unlock()
}

func (m *lockedMap) remove(key uint64) {
	m.lock.Lock()
	delete(m.entries, key)
	m.lock.Unlock()
}
