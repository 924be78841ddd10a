// SPDX-License-Identifier: MIT

// A peer of weft's bench: replays a trace on one of Go's concurrent maps, chosen by a build tag.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	exitUsage       = 2
	exitEnvironment = 3
	mostThreads     = 4096
	mostSeconds     = 3600
)

type greeting struct {
	Peer     string `json:"peer"`
	Map      string `json:"map"`
	Language string `json:"language"`
	Version  string `json:"version"`
	Control  bool   `json:"control"`
}

type verified struct {
	Checksum string  `json:"checksum"`
	Entries  uint64  `json:"entries"`
	Seconds  float64 `json:"seconds"`
}

type filled struct {
	Ops       uint64  `json:"ops"`
	Seconds   float64 `json:"seconds"`
	Entries   uint64  `json:"entries"`
	RssBefore uint64  `json:"rss_before"`
	RssAfter  uint64  `json:"rss_after"`
}

type cleared struct {
	RssAfter uint64 `json:"rss_after"`
}

type percentiles struct {
	Samples uint64 `json:"samples"`
	P50     uint64 `json:"p50"`
	P90     uint64 `json:"p90"`
	P99     uint64 `json:"p99"`
	P999    uint64 `json:"p999"`
	Max     uint64 `json:"max"`
}

type replayed struct {
	Ops           uint64       `json:"ops"`
	Seconds       float64      `json:"seconds"`
	CPUSeconds    float64      `json:"cpu_seconds"`
	Hits          uint64       `json:"hits"`
	Misses        uint64       `json:"misses"`
	Inserted      uint64       `json:"inserted"`
	Removed       uint64       `json:"removed"`
	EntriesBefore uint64       `json:"entries_before"`
	Entries       uint64       `json:"entries"`
	Sum           uint64       `json:"sum"`
	Latency       *percentiles `json:"latency,omitempty"`
}

type failure struct {
	Error string `json:"error"`
}

// options are the words NAME=VALUE of a command.
type options struct {
	threads int
	seconds float64
	offset  uint64
	latency bool
}

const commandNames = "hello, verify, prefill, run, once, clear, quit"

// required names the options that a command must have, then those that it may have.
var required = map[string][2][]string{
	"hello":   {},
	"verify":  {},
	"prefill": {{"threads"}},
	"run":     {{"threads", "seconds"}, {"offset", "latency"}},
	"once":    {{"threads"}, {"latency"}},
	"clear":   {},
	"quit":    {},
}

func (o *options) set(name, value string) error {
	var err error
	switch name {
	case "threads":
		o.threads, err = strconv.Atoi(value)
		if err != nil || o.threads < 1 || o.threads > mostThreads {
			return fmt.Errorf("threads=%s, allowed: 1 to %d", value, mostThreads)
		}
	case "seconds":
		o.seconds, err = strconv.ParseFloat(value, 64)
		if err != nil || !(o.seconds > 0 && o.seconds <= mostSeconds) {
			return fmt.Errorf("seconds=%s, allowed: above 0 to %d", value, mostSeconds)
		}
	case "offset":
		o.offset, err = strconv.ParseUint(value, 10, 62)
		if err != nil {
			return fmt.Errorf("offset=%s, allowed: the number of a chunk", value)
		}
	case "latency":
		if value != "0" && value != "1" {
			return fmt.Errorf("latency=%s, allowed: 0 and 1", value)
		}
		o.latency = value == "1"
	}
	return nil
}

func parseCommand(line string) (string, options, error) {
	var o options
	words := strings.Fields(line)
	if len(words) == 0 {
		return "", o, errors.New("an empty command")
	}
	names, known := required[words[0]]
	if !known {
		return "", o, fmt.Errorf("unknown command '%s', allowed: %s", words[0], commandNames)
	}
	allowed := append(append([]string{}, names[0]...), names[1]...)
	given := map[string]bool{}
	for _, word := range words[1:] {
		name, value, _ := strings.Cut(word, "=")
		given[name] = true
		if !strings.Contains(" "+strings.Join(allowed, " ")+" ", " "+name+" ") {
			return "", o, fmt.Errorf("%s does not take '%s', allowed: %s",
				words[0], word, strings.Join(allowed, ", "))
		}
		if err := o.set(name, value); err != nil {
			return "", o, err
		}
	}
	for _, name := range names[0] {
		if !given[name] {
			return "", o, fmt.Errorf("%s needs %s=N", words[0], name)
		}
	}
	return words[0], o, nil
}

func (p *peer) prefill(o options) any {
	p.present = nil
	before := residentAfterCollection()
	j := job{chunks: p.trace.prefill, threads: o.threads}
	done := j.start(p.tables())
	entries, after := p.present.entries(), residentAfterCollection()
	return filled{done.ops, done.wall.Seconds(), entries, before, after}
}

func (p *peer) replay(j job) any {
	if j.pause > 0 && len(j.chunks) == 0 {
		return failure{"run: the trace has no operations"}
	}
	t := p.tables()
	before := t.entries()
	done := j.start(t)
	answer := replayed{
		Ops: done.ops, Seconds: done.wall.Seconds(), CPUSeconds: done.processor.Seconds(),
		Hits: done.hits, Misses: done.misses, Inserted: done.inserted, Removed: done.removed,
		EntriesBefore: before, Entries: t.entries(), Sum: done.sum}
	if h := done.latency; h != nil {
		answer.Latency = &percentiles{h.samples, h.at(500), h.at(900), h.at(990), h.at(999), h.max}
	}
	return answer
}

func (p *peer) answer(command string, o options) any {
	j := job{chunks: p.trace.chunks, threads: o.threads, offset: o.offset, latency: o.latency}
	switch command {
	case "hello":
		return greeting{peerID, mapName, "go", mapVersion(), isControl}
	case "verify":
		return p.verify()
	case "prefill":
		return p.prefill(o)
	case "run":
		j.pause = time.Duration(o.seconds * float64(time.Second))
		return p.replay(j)
	case "once":
		return p.replay(j)
	}
	p.present = nil
	return cleared{residentAfterCollection()}
}

// serve answers commands until there are no more.
func (p *peer) serve(input *bufio.Scanner, output *json.Encoder) error {
	for input.Scan() {
		command, o, err := parseCommand(input.Text())
		if command == "quit" {
			return nil
		}
		var answer any = failure{}
		if err != nil {
			answer = failure{err.Error()}
		} else {
			answer = p.answer(command, o)
		}
		if err := output.Encode(answer); err != nil {
			return err
		}
	}
	return input.Err()
}

// fail ends the process with one line for people, and the same for the driver.
func fail(output *json.Encoder, code int, message string) {
	fmt.Fprintf(os.Stderr, "%s: %s\n", peerID, message)
	output.Encode(failure{message})
	os.Exit(code)
}

func main() {
	output := json.NewEncoder(os.Stdout)
	flags := flag.NewFlagSet(peerID, flag.ContinueOnError)
	name := flags.String("map", mapName, "the map; this peer has one")
	path := flags.String("trace", "", "the trace file")
	if err := flags.Parse(os.Args[1:]); err != nil || *path == "" || flags.NArg() > 0 {
		fail(output, exitUsage, "usage: "+peerID+" [--map NAME] --trace FILE")
	}
	if *name != mapName {
		fail(output, exitUsage, "unknown map '"+*name+"', allowed: "+mapName)
	}
	t, err := openTrace(*path)
	if err != nil {
		fail(output, exitEnvironment, err.Error())
	}
	p := peer{trace: t}
	if err := p.serve(bufio.NewScanner(os.Stdin), output); err != nil {
		fail(output, exitEnvironment, err.Error())
	}
}
