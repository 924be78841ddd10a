// SPDX-License-Identifier: MIT

//go:build mutex || rwmutex || sharded

package main

import "strings"

const mapModule = ""

type lockedU64 struct {
	lock      lock
	entriesOf map[uint64]uint64
}

func (t *lockedU64) get(key uint64) (uint64, bool) {
	t.lock.RLock()
	value, found := t.entriesOf[key]
	t.lock.RUnlock()
	return value, found
}

func (t *lockedU64) put(key, value uint64) {
	t.lock.Lock()
	t.entriesOf[key] = value
	t.lock.Unlock()
}

func (t *lockedU64) insert(key, value uint64) bool {
	t.lock.Lock()
	_, found := t.entriesOf[key]
	if !found {
		t.entriesOf[key] = value
	}
	t.lock.Unlock()
	return !found
}

func (t *lockedU64) remove(key uint64) bool {
	t.lock.Lock()
	_, found := t.entriesOf[key]
	if found {
		delete(t.entriesOf, key)
	}
	t.lock.Unlock()
	return found
}

func (t *lockedU64) add(key uint64) uint64 {
	t.lock.Lock()
	value := t.entriesOf[key] + 1
	t.entriesOf[key] = value
	t.lock.Unlock()
	return value
}

func (t *lockedU64) entries() uint64 {
	return uint64(len(t.entriesOf))
}

func (t *lockedU64) each(visit func(key, value uint64)) {
	for key, value := range t.entriesOf {
		visit(key, value)
	}
}

type lockedBytes struct {
	lock      lock
	entriesOf map[string][]byte
	values    valueMaker
}

func (t *lockedBytes) get(key string) (uint64, bool) {
	t.lock.RLock()
	value, found := t.entriesOf[key]
	t.lock.RUnlock()
	if !found {
		return 0, false
	}
	return numberOf(value), true
}

// put makes its copies before it locks.
func (t *lockedBytes) put(key string, number uint64) {
	key, value := strings.Clone(key), t.values.value(number)
	t.lock.Lock()
	t.entriesOf[key] = value
	t.lock.Unlock()
}

func (t *lockedBytes) insert(key string, number uint64) bool {
	t.lock.Lock()
	_, found := t.entriesOf[key]
	if !found {
		t.entriesOf[strings.Clone(key)] = t.values.value(number)
	}
	t.lock.Unlock()
	return !found
}

func (t *lockedBytes) remove(key string) bool {
	t.lock.Lock()
	_, found := t.entriesOf[key]
	if found {
		delete(t.entriesOf, key)
	}
	t.lock.Unlock()
	return found
}

func (t *lockedBytes) entries() uint64 {
	return uint64(len(t.entriesOf))
}

func (t *lockedBytes) each(visit func(key string, number uint64)) {
	for key, value := range t.entriesOf {
		visit(key, numberOf(value))
	}
}
