// SPDX-License-Identifier: MIT

//go:build mutex || rwmutex

package main

type tableU64 = lockedU64

func newTableU64() *tableU64 {
	return &tableU64{entriesOf: map[uint64]uint64{}}
}

type tableBytes = lockedBytes

func newTableBytes(values valueMaker) *tableBytes {
	return &tableBytes{entriesOf: map[string][]byte{}, values: values}
}
