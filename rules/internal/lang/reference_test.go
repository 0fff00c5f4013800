package lang

import (
	"slices"
	"strings"
	"testing"
)

func TestFunctionListHasAllFunctions(t *testing.T) {
	t.Parallel()
	want := append(sortedKeys(functions), "all", "any", "count", "none", "one", "spike")
	slices.Sort(want)
	got := Functions()
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, f := range FunctionList() {
		if !strings.HasPrefix(f.Usage, f.Name+"(") || f.Doc == "" {
			t.Errorf("%s is not described", f.Name)
		}
	}
}
