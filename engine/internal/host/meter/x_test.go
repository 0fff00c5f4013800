package meter

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/closedloop/closedloop/engine/internal/host/wasmfile"
)

func TestX(t *testing.T) {
	ctx := context.Background()
	var ok, bad, unsup, lim int
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(api.CoreFeaturesV2|experimental.CoreFeaturesTailCall))
	reasons := map[string]int{}
	filepath.WalkDir("/root/go/pkg/mod/github.com/tetratelabs/wazero@v1.12.0", func(p string, d fs.DirEntry, err error) error {
		if !strings.HasSuffix(p, ".wasm") {
			return nil
		}
		b, _ := os.ReadFile(p)
		defer func() {
			if r := recover(); r != nil {
				t.Logf("panic %s %v", p, r)
			}
		}()
		cm, err := rt.CompileModule(ctx, b)
		w, ierr := Instrument(b, Limits{})
		if err != nil {
			bad++
			return nil
		}
		cm.Close(ctx)
		if ierr != nil {
			var se *wasmfile.SyntaxError
			if errors.As(ierr, &se) && se.Unsupported {
				unsup++
				m := ierr.Error()
				if i := strings.Index(m, ": "); i > 0 {
					m = m[i:]
				}
				reasons[m]++
				return nil
			}
			var le *LimitError
			if errors.As(ierr, &le) {
				lim++
			}
			t.Errorf("%s: %v", p, ierr)
			return nil
		}
		ok++
		cm, err = rt.CompileModule(ctx, w)
		if err != nil {
			t.Errorf("%s: instrumented: %v", p, err)
			return nil
		}
		cm.Close(ctx)
		return nil
	})
	t.Log(ok, bad, unsup, lim)
	for k, v := range reasons {
		t.Log(v, k)
	}
}
