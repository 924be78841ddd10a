// SPDX-License-Identifier: MIT

//go:build empty

package main

const (
	peerID    = "go-empty"
	mapName   = "empty"
	mapModule = ""
	isControl = true
)

// empty answers without a map: what remains of a run is the harness. Its methods are not inlined,
// so that the key is read and the call is made, as a map needs both.
type empty[K uint64 | string] struct{}

type (
	tableU64   = empty[uint64]
	tableBytes = empty[string]
)

func newTableU64() *tableU64                 { return new(tableU64) }
func newTableBytes(_ valueMaker) *tableBytes { return new(tableBytes) }

//go:noinline
func (t *empty[K]) get(_ K) (uint64, bool) { return 0, false }

//go:noinline
func (t *empty[K]) put(_ K, _ uint64) {}

//go:noinline
func (t *empty[K]) insert(_ K, _ uint64) bool { return true }

//go:noinline
func (t *empty[K]) remove(_ K) bool { return true }

//go:noinline
func (t *empty[K]) add(_ K) uint64 { return 1 }

func (t *empty[K]) entries() uint64        { return 0 }
func (t *empty[K]) each(_ func(K, uint64)) {}
