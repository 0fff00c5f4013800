// Package assemblyscript holds the SDK for plugins in AssemblyScript: the folder closedloop, which has no dependencies.
// The engine copies it into the folder of a new plugin:
//
//	closedloop plugin new --lang assemblyscript --kind categorizer shouting
package assemblyscript

import "embed"

// Files is the folder closedloop.
//
//go:embed closedloop
var Files embed.FS
