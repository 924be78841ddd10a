// SPDX-License-Identifier: MIT

// The experiments of `weft bench claims` with Go's own types.
package main

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
)

// claim is an experiment under way.
type claim struct {
	quick bool
}

// figure prints a measured figure.
func (c *claim) figure(name, unit string, value float64) {
	fmt.Printf("figure\t%s\t%s\t%g\n", name, unit, value)
}

var experiments = map[string]func(*claim){}

// register adds an experiment; each file does so in its init.
func register(id string, run func(*claim)) {
	experiments[id] = run
}

func main() {
	known := strings.Join(slices.Sorted(maps.Keys(experiments)), " ")
	if len(os.Args) < 2 || len(os.Args) > 3 || len(os.Args) == 3 && os.Args[2] != "quick" {
		fmt.Fprintln(os.Stderr, "usage: go-claims ID [quick]; the ids are", known)
		os.Exit(2)
	}
	run, found := experiments[os.Args[1]]
	if !found {
		fmt.Fprintf(os.Stderr, "go-claims: there is no experiment '%s'; allowed: %s\n",
			os.Args[1], known)
		os.Exit(2)
	}
	fmt.Printf("go\t%s\n", runtime.Version())
	run(&claim{quick: len(os.Args) == 3})
	fmt.Println("end")
}
