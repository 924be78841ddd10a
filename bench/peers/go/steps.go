// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// peer is the process: a trace, and the map that stands between two commands.
type peer struct {
	trace   *trace
	present *tables // nil: an empty one when it is needed
}

// job is what the threads of one command do.
type job struct {
	chunks  []chunk
	threads int
	offset  uint64
	latency bool
	pause   time.Duration // 0: every chunk once; else round and round for so long
}

// outcome is what they did.
type outcome struct {
	counters
	wall, processor time.Duration
	latency         *histogram
}

func (p *peer) tables() *tables {
	if p.present == nil {
		p.present = newTables(p.trace)
	}
	return p.present
}

// work replays the chunks first, first + threads, …: to the last one, or until the flag is set.
func (w *worker) work(t *tables, j *job, first uint64, ended *atomic.Bool) {
	count := uint64(len(j.chunks))
	for k := first; j.pause > 0 || k < count; k += uint64(j.threads) {
		c := &j.chunks[k%count]
		for from := 0; from < len(c.codes); from += blockOperations {
			if ended.Load() {
				return
			}
			w.replayBlock(t, c, from)
		}
	}
}

func newWorkers(j *job) []worker {
	workers := make([]worker, j.threads)
	if j.latency {
		for i := range workers {
			workers[i].latency = new(histogram)
		}
	}
	return workers
}

// start runs a job: goroutines wait at a gate, and the clock starts when it opens.
func (j *job) start(t *tables) outcome {
	workers := newWorkers(j)
	var ended atomic.Bool
	var ready, done sync.WaitGroup
	gate := make(chan struct{})
	ready.Add(j.threads)
	done.Add(j.threads)
	for i := range workers {
		go func() {
			defer done.Done()
			ready.Done()
			<-gate
			workers[i].work(t, j, j.offset+uint64(i), &ended)
		}()
	}
	ready.Wait()
	processorBefore, start := processorTime(), time.Now()
	close(gate)
	if j.pause > 0 {
		time.Sleep(j.pause)
		ended.Store(true)
	}
	done.Wait()
	total := outcome{wall: time.Since(start), processor: processorTime() - processorBefore}
	total.addUp(workers)
	return total
}

func (o *outcome) addUp(workers []worker) {
	for i := range workers {
		w := &workers[i]
		o.ops += w.ops
		o.hits += w.hits
		o.misses += w.misses
		o.inserted += w.inserted
		o.removed += w.removed
		o.sum += w.sum
		if w.latency == nil {
			continue
		}
		if o.latency == nil {
			o.latency = new(histogram)
		}
		o.latency.merge(w.latency)
	}
}

func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

func fnv1a(key string) uint64 {
	h := uint64(0xcbf29ce484222325)
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * 0x100000001b3
	}
	return h
}

// content walks the map: what its entries contribute to the checksum, and how many there are.
func (t *tables) content() (sum, entries uint64) {
	if t.u64 != nil {
		t.u64.each(func(key, value uint64) {
			sum += mix(mix(key) ^ value)
			entries++
		})
	} else {
		t.bytes.each(func(key string, value uint64) {
			sum += mix(mix(fnv1a(key)) ^ value)
			entries++
		})
	}
	return sum, entries
}

// verify is the deterministic pass: one thread, a fresh map, every answer in the checksum.
func (p *peer) verify() any {
	start := time.Now()
	t := newTables(p.trace)
	var w worker
	for i := range p.trace.prefill {
		w.replay(t, &p.trace.prefill[i], 0, len(p.trace.prefill[i].codes))
	}
	h := uint64(0)
	for i := range p.trace.chunks {
		c := &p.trace.chunks[i]
		for at := range c.codes {
			w.replay(t, c, at, at+1)
			h = (bits.RotateLeft64(h, 5) ^ w.answer) * 0x9e3779b97f4a7c15
		}
	}
	sum, entries := t.content()
	if said := t.entries(); said != entries {
		return failure{fmt.Sprintf("the map says %d entries, a walk finds %d", said, entries)}
	}
	checksum := h ^ mix(sum+entries)
	return verified{fmt.Sprintf("%016x", checksum), entries, time.Since(start).Seconds()}
}
