// Package rust holds the SDK for plugins in Rust: a crate without dependencies. The engine copies it into the folder of
// a new plugin:
//
//	closedloop plugin new --lang rust --kind categorizer shouting
package rust

import "embed"

// Files is the crate: Cargo.toml and src.
//
//go:embed Cargo.toml src
var Files embed.FS
