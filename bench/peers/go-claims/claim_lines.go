// SPDX-License-Identifier: MIT

package main

import (
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

func init() {
	register("false-sharing", falseSharing)
	register("line-bouncing", lineBouncing)
	register("pinning", pinning)
}

const (
	lineWords     = 16 // a pair of cache lines
	resourceOwn   = 1  // RUSAGE_THREAD
	pinKeys       = 8192
	pinBeside     = 2 // readers for each processor
	affinityWords = 16
)

// pin keeps the goroutine to a thread of its own, and that to a processor: members to those of the
// process in turn.
func pin(index int) {
	var allowed, one [affinityWords]uint64
	runtime.LockOSThread()
	size := unsafe.Sizeof(allowed)
	syscall.RawSyscall(syscall.SYS_SCHED_GETAFFINITY, 0, size, uintptr(unsafe.Pointer(&allowed)))
	var processors []int
	for i := range affinityWords * 64 {
		if allowed[i/64]>>(i%64)&1 == 1 {
			processors = append(processors, i)
		}
	}
	if len(processors) == 0 {
		return
	}
	chosen := processors[index%len(processors)]
	one[chosen/64] = 1 << (chosen % 64)
	syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, 0, size, uintptr(unsafe.Pointer(&one)))
}

// ownUsage is this thread's processor time and its context switches.
func ownUsage() (time.Duration, int64) {
	var usage syscall.Rusage
	syscall.Getrusage(resourceOwn, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), usage.Nvcsw + usage.Nivcsw
}

// adding is the processor time of an addition to words[index*stride], in nanoseconds.
func adding(threads, stride int, pause time.Duration) float64 {
	words := make([]uint64, (threads+1)*lineWords)
	var spent atomic.Int64
	result := crew(threads, pause, func(m *member) {
		pin(m.index)
		word := &words[lineWords/2+m.index*stride]
		before, _ := ownUsage()
		for m.ops = 1; !m.stop.Load(); m.ops++ {
			atomic.AddUint64(word, 1)
		}
		after, _ := ownUsage()
		spent.Add(int64(after - before))
	})
	return float64(spent.Load()) / float64(result.ops)
}

func falseSharing(c *claim) {
	pause := choose(c, 80*time.Millisecond, 5*time.Millisecond)
	ns := contest(choose(c, 7, 1),
		func() float64 { return adding(2, lineWords, pause) },
		func() float64 { return adding(2, 1, pause) })
	c.figure("2 words, a line each", "ns", ns[0])
	c.figure("2 words, one line", "ns", ns[1])
}

// writing is the processor time of a write of one key of a sync.Map.
func writing(threads int, pause time.Duration) float64 {
	t := newSyncOf[uint64]()
	var spent atomic.Int64
	result := crew(threads, pause, func(m *member) {
		pin(m.index)
		before, _ := ownUsage()
		for m.ops = 1; !m.stop.Load(); m.ops++ {
			t.put(1, uint64(m.ops))
		}
		after, _ := ownUsage()
		spent.Add(int64(after - before))
	})
	return float64(spent.Load()) / float64(result.ops)
}

func lineBouncing(c *claim) {
	pause := choose(c, 40*time.Millisecond, 5*time.Millisecond)
	ns := contest(choose(c, 5, 1),
		func() float64 { return adding(1, 0, pause) },
		func() float64 { return adding(4, 0, pause) },
		func() float64 { return writing(1, pause) },
		func() float64 { return writing(4, pause) })
	c.figure("one word, 1 thread", "ns", ns[0])
	c.figure("one word, 4 threads", "ns", ns[1])
	c.figure("sync.Map, 1 thread", "ns", ns[2])
	c.figure("sync.Map, 4 threads", "ns", ns[3])
}

// pinnedWrite is what a write of one writer beside several readers takes, in nanoseconds, and the
// context switches of 1000 of them.
func pinnedWrite(pinned bool, pause time.Duration) (float64, float64) {
	t := newSyncOf[uint64]()
	fill(t, pinKeys, func(key uint64) uint64 { return key })
	var took time.Duration
	var switches int64
	var writes int
	crew(1+pinBeside*runtime.NumCPU(), pause, func(m *member) {
		if m.index != 0 {
			for !m.stop.Load() {
				t.get(m.next() % pinKeys)
			}
			return
		}
		runtime.LockOSThread()
		if pinned {
			pin(m.index)
		} else {
			defer runtime.UnlockOSThread()
		}
		_, before := ownUsage()
		began := time.Now()
		for writes = 1; !m.stop.Load(); writes++ {
			t.put(m.next()%pinKeys, uint64(writes))
		}
		took = time.Since(began)
		_, after := ownUsage()
		switches = after - before
	})
	return float64(took) / float64(writes), 1000 * float64(switches) / float64(writes)
}

func pinning(c *claim) {
	pause := choose(c, 100*time.Millisecond, 10*time.Millisecond)
	var switched [2][]float64
	sample := func(which int) func() float64 {
		return func() float64 {
			ns, switches := pinnedWrite(which == 1, pause)
			switched[which] = append(switched[which], switches)
			return ns
		}
	}
	ns := contest(choose(c, 9, 1), sample(0), sample(1))
	c.figure("a write, not pinned", "ns", ns[0])
	c.figure("a write, pinned", "ns", ns[1])
	c.figure("context switches, not pinned", "of 1000 writes", median(switched[0]))
	c.figure("context switches, pinned", "of 1000 writes", median(switched[1]))
}
