// SPDX-License-Identifier: MIT

//go:build mutex

package main

import "sync"

const (
	peerID    = "go-mutex"
	mapName   = "map+sync.Mutex"
	isControl = true
)

// lock is a sync.Mutex; readers exclude each other.
type lock struct {
	sync.Mutex
}

func (l *lock) RLock()   { l.Lock() }
func (l *lock) RUnlock() { l.Unlock() }
