// SPDX-License-Identifier: MIT

package main

import (
	"runtime"
	"runtime/debug"
	"strings"
)

// mapVersion is the version of the module that the map is from; for the language's own maps Go's.
func mapVersion() string {
	if info, found := debug.ReadBuildInfo(); found && mapModule != "" {
		for _, module := range info.Deps {
			if module.Path == mapModule {
				return strings.TrimPrefix(module.Version, "v")
			}
		}
	}
	return strings.TrimPrefix(runtime.Version(), "go")
}
