// Package langtest tests the SDKs of the languages besides Go: with the frames of testdata/wire, with frames that were
// damaged, and with the conformance suite of sdk/sdktest. The modules are those of testdata/plugins, whose README says
// how they are made; the variable CLOSEDLOOP_MODULES names another folder of them, such as one that was just built.
//
//	go test ./engine/internal/host/langtest
//
// What is tested of each language: a guest reads what the Go reader reads, refuses what the Go reader refuses, with a
// failure and never with a trap, and builds what the Go reader takes for what was meant.
package langtest
