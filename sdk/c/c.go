// Package c holds the SDK for plugins in C: one header that needs no library. The engine copies it into the folder of a
// new plugin:
//
//	closedloop plugin new --lang c --kind categorizer shouting
package c

import "embed"

// Files is the header closedloop.h.
//
//go:embed closedloop.h
var Files embed.FS
