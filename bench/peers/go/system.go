// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
)

// residentAfterCollection is VmRSS in bytes, after a collection that gave free pages back.
func residentAfterCollection() uint64 {
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	kilobytes := uint64(0)
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, "VmRSS:"); found {
			fmt.Sscan(rest, &kilobytes)
		}
	}
	return kilobytes << 10
}

// processorTime is user and system time of the process, the collector's included.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
