// SPDX-License-Identifier: MIT

package main

import "sync"

func init() { register("once", onceClaim) }

type published struct {
	once  sync.Once
	value *uint64
}

//go:noinline
func (p *published) direct() uint64 {
	return *p.value
}

//go:noinline
func (p *published) throughOnce() uint64 {
	p.once.Do(func() { p.value = new(uint64) })
	return *p.value
}

func onceClaim(c *claim) {
	reads := choose(c, 3000000, 100000)
	p := published{value: new(uint64)}
	p.throughOnce()
	sum := uint64(0)
	ns := contest(choose(c, 11, 3),
		func() float64 { return timed(reads, func() { sum += p.direct() }) },
		func() float64 { return timed(reads, func() { sum += p.throughOnce() }) })
	c.figure("a constructor's value", "ns", ns[0])
	c.figure("sync.Once and the value", "ns", ns[1])
}
