package sdk

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"
)

func TestFailures(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err   error
		fatal bool
		after time.Duration
		text  string
		is    error
	}{
		{Retry(time.Minute, "busy: %w", io.ErrNoProgress), false, time.Minute, "busy: " + io.ErrNoProgress.Error(), io.ErrNoProgress},
		{Retry(-time.Second, "busy"), false, 0, "busy", nil},
		{Fatal("no such list %q", "a"), true, 0, `no such list "a"`, nil},
		{fmt.Errorf("deliver: %w", Fatal("gone: %w", io.EOF)), true, 0, "gone: EOF", io.EOF},
		{io.ErrUnexpectedEOF, false, 0, "unexpected EOF", io.ErrUnexpectedEOF},
	} {
		f := FailureOf(tt.err)
		if f.Fatal != tt.fatal || f.After != tt.after || f.Error() != tt.text || tt.is != nil && !errors.Is(f, tt.is) {
			t.Errorf("%v: %+v", tt.err, f)
		}
	}
	if FailureOf(nil) != nil {
		t.Error("no error is a failure")
	}
	if got := (&Failure{Code: "busy", Message: "later"}).Error(); got != "busy: later" {
		t.Error(got)
	}
}

func TestResultReset(t *testing.T) {
	t.Parallel()
	r := Result{Drop: "x", Err: io.EOF}
	r.Labels.Sentiment = new(1.0)
	r.AddTheme("a", 1).Sentiment = new(0.5)
	r.Reset()
	if r.Drop != "" || r.Err != nil || r.Labels.Sentiment != nil || len(r.Labels.Themes) != 0 || cap(r.Labels.Themes) == 0 {
		t.Errorf("%+v", r)
	}
	if th := r.AddTheme("b", 0.5); th.Sentiment != nil || th.Path != "b" || len(r.Labels.Themes) != 1 {
		t.Errorf("%+v", r)
	}
}
