package meter_test

import (
	"os"
	"testing"

	"github.com/closedloop/closedloop/engine/internal/host/hosttest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	hosttest.Clean()
	os.Exit(code)
}
