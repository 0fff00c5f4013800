// Package docs holds the pages of this folder that programs read.
//
// Program is the page of program.yaml, whose tables say of every key what it takes and means. A test holds them against
// the loader, so that what is made of them, such as the JSON Schema for editors, is what the loader reads.
package docs

import _ "embed" // for the page

//go:embed PROGRAM.md
var program string

// Program returns the page of program.yaml in Markdown.
func Program() string { return program }
