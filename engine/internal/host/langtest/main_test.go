package langtest

import (
	"context"
	"os"
	"testing"

	"github.com/tetratelabs/wazero"
	"go.uber.org/goleak"

	"github.com/closedloop/closedloop/engine/internal/host/hosttest"
)

// compiled is one cache for all tests, so that each module is compiled once.
var compiled = wazero.NewCompilationCache()

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = compiled.Close(context.Background())
		hosttest.Clean()
		os.Exit(code)
	}))
}
