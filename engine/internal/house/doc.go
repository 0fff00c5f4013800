// Package house holds the tests that read the sources of the whole module: who may import what, how long files and
// functions are, that exported names are documented, and what stands at the top level.
//
// The tests read every file with os.ReadFile, so that a changed source is a changed test. A finding names the file,
// the line and the rule; what is allowed stands in the tables of the tests. They run with all the others:
//
//	go test ./engine/internal/house
package house
