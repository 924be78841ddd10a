// SPDX-License-Identifier: MIT

//go:build syncmap

package main

import (
	"strings"
	"sync"
)

const (
	peerID    = "go-syncmap"
	mapName   = "sync.Map"
	mapModule = ""
	isControl = false
)

// countOf counts by walking: a sync.Map does not know its size.
func countOf(m *sync.Map) uint64 {
	count := uint64(0)
	m.Range(func(_, _ any) bool {
		count++
		return true
	})
	return count
}

// The keys and values of a sync.Map are interfaces: making them allocates, which is its cost.
type tableU64 struct {
	entriesOf sync.Map
}

func newTableU64() *tableU64 {
	return new(tableU64)
}

func (t *tableU64) get(key uint64) (uint64, bool) {
	value, found := t.entriesOf.Load(key)
	if !found {
		return 0, false
	}
	return value.(uint64), true
}

func (t *tableU64) put(key, value uint64) {
	t.entriesOf.Store(key, value)
}

func (t *tableU64) insert(key, value uint64) bool {
	_, loaded := t.entriesOf.LoadOrStore(key, value)
	return !loaded
}

func (t *tableU64) remove(key uint64) bool {
	_, loaded := t.entriesOf.LoadAndDelete(key)
	return loaded
}

func (t *tableU64) add(key uint64) uint64 {
	for {
		old, loaded := t.entriesOf.LoadOrStore(key, uint64(1))
		if !loaded {
			return 1
		}
		fresh := old.(uint64) + 1
		if t.entriesOf.CompareAndSwap(key, old, fresh) {
			return fresh
		}
	}
}

func (t *tableU64) entries() uint64 {
	return countOf(&t.entriesOf)
}

func (t *tableU64) each(visit func(key, value uint64)) {
	t.entriesOf.Range(func(key, value any) bool {
		visit(key.(uint64), value.(uint64))
		return true
	})
}

type tableBytes struct {
	entriesOf sync.Map
	values    valueMaker
}

func newTableBytes(values valueMaker) *tableBytes {
	return &tableBytes{values: values}
}

func (t *tableBytes) get(key string) (uint64, bool) {
	value, found := t.entriesOf.Load(key)
	if !found {
		return 0, false
	}
	return numberOf(value.([]byte)), true
}

func (t *tableBytes) put(key string, number uint64) {
	t.entriesOf.Store(strings.Clone(key), t.values.value(number))
}

// insert looks first: a key that is there costs no copy of it.
func (t *tableBytes) insert(key string, number uint64) bool {
	if _, found := t.entriesOf.Load(key); found {
		return false
	}
	_, loaded := t.entriesOf.LoadOrStore(strings.Clone(key), t.values.value(number))
	return !loaded
}

func (t *tableBytes) remove(key string) bool {
	_, loaded := t.entriesOf.LoadAndDelete(key)
	return loaded
}

func (t *tableBytes) entries() uint64 {
	return countOf(&t.entriesOf)
}

func (t *tableBytes) each(visit func(key string, number uint64)) {
	t.entriesOf.Range(func(key, value any) bool {
		visit(key.(string), numberOf(value.([]byte)))
		return true
	})
}
