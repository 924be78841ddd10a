// SPDX-License-Identifier: MIT

package main

import (
	"time"
	"unsafe"
)

const (
	blockOperations = 256 // after so many, a thread looks at the flag that ends a run
	sampledOne      = 32  // of so many operations one is timed
)

// counters are what a thread adds up; answer is what its last operation contributes to a checksum.
type counters struct {
	ops, hits, misses, inserted, removed, sum, answer uint64
}

// worker is the state of one thread; the padding keeps neighbours off its cache lines.
type worker struct {
	counters
	latency *histogram // nil: operations are not timed
	_       [128 - (unsafe.Sizeof(counters{})+8)%128]byte
}

// tables is the map of the trace's shape; the other is nil.
type tables struct {
	u64   *tableU64
	bytes *tableBytes
}

func newTables(t *trace) *tables {
	if t.shape == shapeU64 {
		return &tables{u64: newTableU64()}
	}
	return &tables{bytes: newTableBytes(newValueMaker(t.valueBytes))}
}

func (t *tables) entries() uint64 {
	if t.u64 != nil {
		return t.u64.entries()
	}
	return t.bytes.entries()
}

// replay does the operations from … to-1 of a chunk. tableU64 and tableBytes are concrete types
// that a build tag chooses, so that calls in the loops are static, and small methods inlined.
func (w *worker) replay(t *tables, c *chunk, from, to int) {
	done := counters{answer: w.answer}
	if t.u64 != nil {
		done.replayU64(t.u64, c, from, to)
	} else {
		done.replayBytes(t.bytes, c, from, to)
	}
	w.ops += uint64(to - from)
	w.hits += done.hits
	w.misses += done.misses
	w.inserted += done.inserted
	w.removed += done.removed
	w.sum += done.sum
	w.answer = done.answer
}

func (n *counters) replayU64(t *tableU64, c *chunk, from, to int) {
	keys := c.keys[from:to]
	number := c.first + uint64(from)
	for i, code := range c.codes[from:to] {
		key := keys[i]
		switch code {
		case opGet:
			value, found := t.get(key)
			n.read(value, found)
		case opPut:
			t.put(key, number)
			n.answer = 1
		case opInsert:
			n.insertedOne(t.insert(key, number))
		case opRemove:
			n.removedOne(t.remove(key))
		case opAdd:
			n.answer = t.add(key)
		case opReadModifyWrite:
			value, found := t.get(key)
			t.put(key, number)
			n.read(value, found)
		}
		number++
	}
}

func (n *counters) replayBytes(t *tableBytes, c *chunk, from, to int) {
	number := c.first + uint64(from)
	for i, code := range c.codes[from:to] {
		key := c.key(from + i)
		switch code {
		case opGet:
			value, found := t.get(key)
			n.read(value, found)
		case opPut:
			t.put(key, number)
			n.answer = 1
		case opInsert:
			n.insertedOne(t.insert(key, number))
		case opRemove:
			n.removedOne(t.remove(key))
		case opReadModifyWrite:
			value, found := t.get(key)
			t.put(key, number)
			n.read(value, found)
		}
		number++
	}
}

func (n *counters) read(value uint64, found bool) {
	if found {
		n.hits++
		n.sum += value
	} else {
		n.misses++
		value = 0
	}
	n.answer = value
}

func (n *counters) insertedOne(fresh bool) {
	n.answer = 0
	if fresh {
		n.inserted++
		n.answer = 1
	}
}

func (n *counters) removedOne(found bool) {
	n.answer = 0
	if found {
		n.removed++
		n.answer = 1
	}
}

// replayTimed is replay with the first of every 32 operations timed alone.
func (w *worker) replayTimed(t *tables, c *chunk, from, to int) {
	for ; from < to; from += sampledOne {
		start := time.Now()
		w.replay(t, c, from, from+1)
		w.latency.add(uint64(time.Since(start)))
		w.replay(t, c, from+1, min(from+sampledOne, to))
	}
}

// replayBlock does one block, timed or not.
func (w *worker) replayBlock(t *tables, c *chunk, from int) {
	to := min(from+blockOperations, len(c.codes))
	if w.latency != nil {
		w.replayTimed(t, c, from, to)
	} else {
		w.replay(t, c, from, to)
	}
}
