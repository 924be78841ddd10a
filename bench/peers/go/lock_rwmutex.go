// SPDX-License-Identifier: MIT

//go:build rwmutex

package main

import "sync"

const (
	peerID    = "go-rwmutex"
	mapName   = "map+sync.RWMutex"
	isControl = false
)

type lock = sync.RWMutex
