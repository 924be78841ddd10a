// SPDX-License-Identifier: MIT

package main

import (
	"sync"
	"time"
)

func init() { register("first-access", firstAccess) }

type wideValue struct {
	words [4]uint64
}

// firstOf is the nanoseconds of the first Store into each of many empty maps.
func firstOf(repeats int, store func(m *sync.Map, key int)) float64 {
	const atOnce = 64
	var took time.Duration
	for range repeats {
		var mapsOf [atOnce]sync.Map
		began := time.Now()
		for i := range mapsOf {
			store(&mapsOf[i], i)
		}
		took += time.Since(began)
	}
	return float64(took) / float64(repeats*atOnce)
}

func firstAccess(c *claim) {
	repeats := choose(c, 200, 10)
	ns := contest(choose(c, 15, 3),
		func() float64 {
			return firstOf(repeats, func(m *sync.Map, key int) { m.Store(key, true) })
		},
		func() float64 {
			return firstOf(repeats, func(m *sync.Map, key int) {
				m.Store(key, &wideValue{[4]uint64{uint64(key)}})
			})
		})
	c.figure("sync.Map, a constant first", "ns", ns[0])
	c.figure("sync.Map, a heap value first", "ns", ns[1])
	c.figure("heap value over constant", "ratio", ns[1]/ns[0])
}
