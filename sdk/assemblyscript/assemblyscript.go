// Package assemblyscript holds the SDK for plugins in AssemblyScript, which has no dependencies. The engine copies it
// into the folder of a new plugin:
//
//	closedloop plugin new --lang assemblyscript --kind categorizer shouting
package assemblyscript

import "embed"

// Files is the SDK: index.ts is what a plugin imports, and testing.mjs what its tests import.
//
//go:embed *.ts testing.mjs
var Files embed.FS
