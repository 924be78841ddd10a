// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"encoding/binary"
)

// valueMaker makes the values of shape bytes: a number, and the rest 'v'.
type valueMaker struct {
	pattern []byte
}

func newValueMaker(size int) valueMaker {
	return valueMaker{bytes.Repeat([]byte{'v'}, size)}
}

func (m valueMaker) value(number uint64) []byte {
	value := append([]byte(nil), m.pattern...)
	binary.LittleEndian.PutUint64(value, number)
	return value
}

func numberOf(value []byte) uint64 {
	return binary.LittleEndian.Uint64(value)
}
