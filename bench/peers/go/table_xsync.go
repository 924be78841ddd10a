// SPDX-License-Identifier: MIT

//go:build xsync

package main

import (
	"strings"

	"github.com/puzpuzpuz/xsync/v4"
)

const (
	peerID    = "go-xsync"
	mapName   = "xsync.Map"
	mapModule = "github.com/puzpuzpuz/xsync/v4"
	isControl = false
)

type tableU64 struct {
	entriesOf *xsync.Map[uint64, uint64]
}

func newTableU64() *tableU64 {
	return &tableU64{xsync.NewMap[uint64, uint64]()}
}

func (t *tableU64) get(key uint64) (uint64, bool) {
	return t.entriesOf.Load(key)
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

func addOne(value uint64, _ bool) (uint64, xsync.ComputeOp) {
	return value + 1, xsync.UpdateOp
}

func (t *tableU64) add(key uint64) uint64 {
	value, _ := t.entriesOf.Compute(key, addOne)
	return value
}

func (t *tableU64) entries() uint64 {
	return uint64(t.entriesOf.Size())
}

func (t *tableU64) each(visit func(key, value uint64)) {
	for key, value := range t.entriesOf.All() {
		visit(key, value)
	}
}

type tableBytes struct {
	entriesOf *xsync.Map[string, []byte]
	values    valueMaker
}

func newTableBytes(values valueMaker) *tableBytes {
	return &tableBytes{xsync.NewMap[string, []byte](), values}
}

func (t *tableBytes) get(key string) (uint64, bool) {
	value, found := t.entriesOf.Load(key)
	if !found {
		return 0, false
	}
	return numberOf(value), true
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
	return uint64(t.entriesOf.Size())
}

func (t *tableBytes) each(visit func(key string, number uint64)) {
	for key, value := range t.entriesOf.All() {
		visit(key, numberOf(value))
	}
}
