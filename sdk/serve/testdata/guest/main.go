// Command guest is a plugin with every ability, which uses everything that a host offers.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/serve"
)

func init() { serve.Register(sdk.Plugin{Manifest: []byte("name: guest\n"), New: open}) }

func main() { serve.Main() }

func open(_ context.Context, host sdk.Host, settings []byte) (any, error) {
	g := &guest{host: host}
	if err := json.Unmarshal(settings, g); err != nil {
		return nil, sdk.Fatal("settings: %w", err)
	}
	host.Log(sdk.Info, "opened for "+g.URL)
	return g, nil
}

type guest struct {
	host sdk.Host
	URL  string `json:"url"`
}

var (
	_ sdk.Categorizer = (*guest)(nil)
	_ sdk.Poller      = (*guest)(nil)
	_ sdk.Receiver    = (*guest)(nil)
	_ sdk.Deliverer   = (*guest)(nil)
)

// Categorize does as the text says.
func (g *guest) Categorize(_ context.Context, items []feedback.Item, out []sdk.Result) error {
	for i := range items {
		switch text := items[i].Text; text {
		case "panic":
			panic("the text says so")
		case "fail":
			return sdk.Retry(1500*time.Millisecond, "busy")
		case "drop":
			out[i].Drop = "the text says so"
		case "error":
			out[i].Err = sdk.Fatal("the text says so")
		case "time":
			out[i].AddTheme(feedback.ThemePath("time/"+strconv.FormatInt(int64(g.host.Now()), 10)), 1)
		case "keep":
			if err := g.host.KVPut("text", bytes.Repeat([]byte("keep "), 1000)); err != nil {
				return err
			}
		case "kept":
			kept, err := g.host.KVGet("text")
			none, err2 := g.host.KVGet("none")
			if err := errors.Join(err, err2); err != nil {
				return err
			}
			out[i].AddTheme(feedback.ThemePath("kept/"+strconv.Itoa(len(kept))+"/"+strconv.FormatBool(none == nil)), 1)
		default:
			if at := strings.Index(text, "open"); at >= 0 {
				out[i].AddTheme("packaging/opening", 0.5, feedback.Span{Start: uint32(at), End: uint32(at + 4)}).Sentiment = new(-1.0)
			}
		}
	}
	return nil
}

// Poll makes an item of each line of each file. The checkpoint is the number of lines that are done.
func (g *guest) Poll(_ context.Context, req sdk.PollRequest) (sdk.PollResult, error) {
	done := 0
	if len(req.Checkpoint) > 0 {
		var err error
		if done, err = strconv.Atoi(string(req.Checkpoint)); err != nil {
			return sdk.PollResult{}, sdk.Fatal("the checkpoint is damaged")
		}
	}
	files, err := g.host.Files()
	if err != nil {
		return sdk.PollResult{}, err
	}
	res := sdk.PollResult{Batch: strconv.Itoa(len(files)) + " files"}
	line := 0
	for _, f := range files {
		text, err := g.read(f)
		if err != nil {
			return sdk.PollResult{}, err
		}
		for l := range strings.Lines(text) {
			if line++; line <= done {
				continue
			}
			if len(res.Items) == req.Limit {
				res.More = true
				break
			}
			res.Items = append(res.Items, feedback.Item{ExternalID: f.Name + ":" + strconv.Itoa(line), Text: strings.TrimSpace(l)})
		}
	}
	res.Next = strconv.AppendInt(nil, int64(done+len(res.Items)), 10)
	return res, nil
}

func (g *guest) read(f sdk.FileInfo) (string, error) {
	text := make([]byte, f.Size)
	n, err := g.host.ReadFile(f.Name, text, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return string(text[:n]), nil
}

// Receive makes an item of a body.
func (g *guest) Receive(_ context.Context, req sdk.ReceiveRequest) (sdk.ReceiveResult, error) {
	body := string(bytes.ToValidUTF8(req.Body, []byte("?")))
	if len(body) == 0 || len(body) > 1000 {
		return sdk.ReceiveResult{Rejects: []sdk.Reject{{Code: "bad_body", Message: "found " + strconv.Itoa(len(body)) + " bytes, expected 1 to 1000"}}}, nil
	}
	return sdk.ReceiveResult{Items: []feedback.Item{{Text: body, Channel: req.Headers["x-channel"]}}}, nil
}

// Deliver posts a message.
func (g *guest) Deliver(ctx context.Context, m sdk.Message) error {
	resp, err := g.host.HTTP(ctx, sdk.HTTPRequest{
		Method: "POST", URL: g.URL, Body: m.Body, Headers: map[string]string{"idempotency-key": m.Key},
		Auth: sdk.HTTPAuth{Scheme: "bearer", Secret: "token"},
	})
	if err != nil {
		return err
	}
	if resp.Status != 200 || len(resp.Body) < 100_000 {
		return sdk.Retry(0, "status %d, %d bytes", resp.Status, len(resp.Body))
	}
	return nil
}
