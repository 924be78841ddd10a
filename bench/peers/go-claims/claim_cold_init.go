// SPDX-License-Identifier: MIT

package main

import (
	"sync"
	"time"
)

func init() { register("cold-init", coldInit) }

const coldInserts = 100

func fillSyncMap() {
	var m sync.Map
	for key := uint64(1); key <= coldInserts; key++ {
		m.Store(key, key)
	}
}

func fillLockedMap() {
	m := newLockedMap()
	for key := uint64(1); key <= coldInserts; key++ {
		m.put(key, key)
	}
}

// timed is the nanoseconds of a call, on average.
func timed(calls int, work func()) float64 {
	began := time.Now()
	for range calls {
		work()
	}
	return float64(time.Since(began)) / float64(calls)
}

func coldInit(c *claim) {
	fills := choose(c, 200, 20)
	times := contest(choose(c, 21, 3),
		func() float64 { return timed(fills, fillSyncMap) / coldInserts },
		func() float64 { return timed(fills, fillLockedMap) / coldInserts })
	syncBlocks, _ := allocations(fills, fillSyncMap)
	lockedBlocks, _ := allocations(fills, fillLockedMap)
	c.figure("sync.Map, an insert", "ns", times[0])
	c.figure("RWMutex, an insert", "ns", times[1])
	c.figure("sync.Map, allocations", "blocks", syncBlocks)
	c.figure("RWMutex, allocations", "blocks", lockedBlocks)
	c.figure("sync.Map over RWMutex, time", "ratio", times[0]/times[1])
	c.figure("sync.Map over RWMutex, allocations", "ratio", syncBlocks/lockedBlocks)
}
