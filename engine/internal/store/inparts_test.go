package store

import (
	"errors"
	"fmt"
	"testing"
)

// What is too large for one update is done in several, in its order and each thing once, until something else fails.
func TestInParts(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, tt := range map[string]struct {
		fits   int // in one update
		breaks int // what cannot be done
		want   string
		err    error
	}{
		"at once":            {9, 0, "[[1 2 3 4 5 6 7]]", nil},
		"in parts":           {2, 0, "[[1] [2 3] [4 5] [6 7]]", nil},
		"one is too large":   {0, 0, "[]", ErrTooLarge},
		"something else":     {2, 4, "[[1] [2 3]]", broken},
		"before it is tried": {9, 4, "[]", broken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			done := [][]int{}
			err := InParts([]int{1, 2, 3, 4, 5, 6, 7}, func(part []int) error {
				if len(part) > tt.fits {
					return fmt.Errorf("update: %w", ErrTooLarge)
				}
				for _, n := range part {
					if n == tt.breaks {
						return broken
					}
				}
				done = append(done, part)
				return nil
			})
			if got := fmt.Sprint(done); got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("did %s, want %s; %v, want %v", got, tt.want, err, tt.err)
			}
		})
	}
}
