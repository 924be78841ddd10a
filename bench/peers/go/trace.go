// SPDX-License-Identifier: MIT

package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

const (
	opGet = iota
	opPut
	opInsert
	opRemove
	opAdd
	opReadModifyWrite
)

const (
	shapeU64 = iota
	shapeBytes
)

const (
	magicWithVersion = "WEFTTRC1"
	headerBytes      = 128
	chunkHeaderBytes = 16
	chunkOperations  = 4096
	leastValue       = 8
	greatestValue    = 1 << 20
)

// chunk is a view of one chunk in the mapped file.
type chunk struct {
	first uint64 // number of its first operation, counted over prefill and operations
	codes []byte
	keys  []uint64 // shape u64
	ends  []uint32 // shape bytes: key i is text[ends[i]:ends[i+1]]
	text  []byte
}

// trace is a mapped file. It stays mapped until the process ends, so keys may point into it.
type trace struct {
	shape      uint32
	valueBytes int
	prefillOps uint64
	ops        uint64
	prefill    []chunk
	chunks     []chunk
}

// key is the key of operation i; its bytes are those of the file.
func (c *chunk) key(i int) string {
	first, last := c.ends[i], c.ends[i+1]
	return unsafe.String(&c.text[first], int(last-first))
}

func padded(n int) int {
	return (n + 7) &^ 7
}

func openTrace(path string) (*trace, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() < headerBytes {
		return nil, fmt.Errorf("%s: %d bytes, a trace has %d at least",
			path, info.Size(), headerBytes)
	}
	// Populated at once, so that the file's pages are not mistaken for memory of the map.
	flags := syscall.MAP_PRIVATE | syscall.MAP_POPULATE
	data, err := syscall.Mmap(int(file.Fd()), 0, int(info.Size()), syscall.PROT_READ, flags)
	if err != nil {
		return nil, fmt.Errorf("%s: mapping it: %w", path, err)
	}
	t, err := parseTrace(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

func parseTrace(data []byte) (*trace, error) {
	if string(data[:8]) != magicWithVersion {
		return nil, fmt.Errorf("begins with %q, a trace of this version with %q",
			data[:8], magicWithVersion)
	}
	little := binary.LittleEndian
	if size := little.Uint64(data[56:]); size != uint64(len(data)) {
		return nil, fmt.Errorf("its header says %d bytes, the file has %d", size, len(data))
	}
	t := &trace{shape: little.Uint32(data[8:]), valueBytes: int(little.Uint32(data[12:]))}
	if t.shape > shapeBytes {
		return nil, fmt.Errorf("shape %d, allowed: 0 and 1", t.shape)
	}
	greatest := greatestValue
	if t.shape == shapeU64 {
		greatest = leastValue
	}
	if t.valueBytes < leastValue || t.valueBytes > greatest {
		return nil, fmt.Errorf("values of %d bytes, allowed: %d to %d",
			t.valueBytes, leastValue, greatest)
	}
	count, at := little.Uint64(data[32:]), headerBytes
	for n := uint64(0); n < count; n++ {
		size, err := t.addChunk(data[at:])
		if err != nil {
			return nil, fmt.Errorf("chunk %d at byte %d: %w", n, at, err)
		}
		at += size
	}
	prefill, ops := little.Uint64(data[16:]), little.Uint64(data[24:])
	if at != len(data) || prefill != t.prefillOps || ops != t.ops {
		return nil, fmt.Errorf("its header says %d + %d operations in %d bytes, "+
			"its chunks %d + %d in %d", prefill, ops, len(data), t.prefillOps, t.ops, at)
	}
	return t, nil
}

// addChunk appends the chunk that data begins with, and returns its size.
func (t *trace) addChunk(data []byte) (int, error) {
	if len(data) < chunkHeaderBytes {
		return 0, fmt.Errorf("%d bytes are left, a chunk's header has %d",
			len(data), chunkHeaderBytes)
	}
	little := binary.LittleEndian
	count, size := int(little.Uint32(data)), int(little.Uint32(data[4:]))
	kind := little.Uint32(data[8:])
	if count < 1 || count > chunkOperations || kind > 1 || (kind == 0 && t.ops > 0) {
		return 0, fmt.Errorf("%d operations of kind %d, allowed: 1 to %d, "+
			"prefill (0) before operations (1)", count, kind, chunkOperations)
	}
	keysAt := chunkHeaderBytes + padded(count)
	bodyAt := keysAt + 8*count
	if t.shape == shapeBytes {
		bodyAt = keysAt + padded(4*(count+1))
	}
	if size%8 != 0 || size < bodyAt || size > len(data) {
		return 0, fmt.Errorf("%d bytes for %d operations, %d are left", size, count, len(data))
	}
	codes := data[chunkHeaderBytes : chunkHeaderBytes+count]
	c := chunk{first: 1 + t.prefillOps + t.ops, codes: codes}
	if t.shape == shapeU64 {
		c.keys = unsafe.Slice((*uint64)(unsafe.Pointer(&data[keysAt])), count)
	} else {
		c.ends = unsafe.Slice((*uint32)(unsafe.Pointer(&data[keysAt])), count+1)
		c.text = data[bodyAt:size]
		if int(c.ends[count]) > len(c.text) {
			return 0, fmt.Errorf("keys up to byte %d of %d", c.ends[count], len(c.text))
		}
	}
	if kind == 0 {
		t.prefill = append(t.prefill, c)
		t.prefillOps += uint64(count)
	} else {
		t.chunks = append(t.chunks, c)
		t.ops += uint64(count)
	}
	return size, nil
}
