package engine_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk"
)

// hook is a source that other systems push to: a line of the body is an answer, and an empty one is none.
type hook struct{}

func (hook) Receive(_ context.Context, req sdk.ReceiveRequest) (res sdk.ReceiveResult, err error) {
	for line := range strings.SplitSeq(string(req.Body), "\n") {
		if line == "" {
			res.Rejects = append(res.Rejects, sdk.Reject{Code: "empty", Message: "an empty line"})
		} else {
			res.Items = append(res.Items, answer(line, 3, line))
		}
	}
	return res, nil
}

// What other systems push is counted, bounded and refused as what the host pushes.
func TestReceive(t *testing.T) {
	t.Parallel()
	p := &parts{}
	plugins := p.native()
	plugins["hook"] = native(sdk.AbilityReceive, hook{})
	entered, letGo := make(chan struct{}, 1), make(chan struct{})
	files := strings.Replace(programFiles, "sources:\n", "sources:\n  hook: {plugin: native:hook}\n", 1)
	e := open(t, writeProgram(t, files), p, func(o *engine.Options) {
		o.Native, o.Intake = plugins, 1
		o.Events.ItemCommitted = func(engine.Item) {
			select {
			case entered <- struct{}{}:
				<-letGo
			default:
			}
		}
	})
	done := make(chan error, 1)
	go func() {
		r, err := e.Receive(context.Background(), "hook", sdk.ReceiveRequest{Body: []byte("a\n\nb")})
		if r.Read != 3 || r.New != 2 || r.Rejected != 1 {
			t.Errorf("received %+v", r)
		}
		done <- err
	}()
	<-entered
	if _, err := e.Receive(t.Context(), "hook", sdk.ReceiveRequest{Body: []byte("c")}); !errors.Is(err, engine.ErrBusy) {
		t.Errorf("a full intake gave %v", err)
	}
	close(letGo)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := e.Receive(t.Context(), "feed", sdk.ReceiveRequest{}); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("a source that is not pushed to gave %v", err)
	}
	closeEngine(t, e)
	if _, err := e.Receive(t.Context(), "hook", sdk.ReceiveRequest{Body: []byte("d")}); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("a closed engine gave %v", err)
	}
}
