// Package guest is a plugin for tests: it does what the text of an item asks for, good or bad, and finds phrases in
// any other text.
package guest

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

//go:embed plugin.yaml
var manifest []byte

// Plugin is the plugin.
var Plugin = sdk.Plugin{Manifest: manifest, New: open}

type guest struct {
	URL    string `json:"url"`
	Refuse bool   `json:"refuse"`
	Crash  bool   `json:"crash"`

	host   sdk.Host
	polls  int
	hoard  [][]byte
	themes [len(vocabulary)]score
	tone   int
	spans  []feedback.Span
	tones  []float64
}

func open(_ context.Context, host sdk.Host, settings []byte) (any, error) {
	g := &guest{host: host}
	if err := json.Unmarshal(settings, g); err != nil {
		return nil, err
	}
	if g.Crash {
		panic("configured to crash")
	}
	if g.Refuse {
		return nil, sdk.Fatal("these settings are refused")
	}
	return g, nil
}

// Categorize does what each text begins with, or else labels it.
func (g *guest) Categorize(ctx context.Context, items []feedback.Item, out []sdk.Result) error {
	g.spans, g.tones = g.spans[:0], g.tones[:0]
	for i := range items {
		text := items[i].Text
		if !strings.HasPrefix(text, "!") {
			g.label(text, &out[i])
			continue
		}
		word, rest, _ := strings.Cut(text[1:], " ")
		if err := g.obey(ctx, word, rest, &out[i]); err != nil {
			return err
		}
	}
	return nil
}

func (g *guest) obey(ctx context.Context, word, rest string, out *sdk.Result) error {
	switch word {
	case "panic":
		var nothing *guest
		nothing.polls++
	case "exit":
		fmt.Fprintln(os.Stderr, "leaving")
		os.Exit(3)
	case "spin":
		for {
			g.polls++
		}
	case "recurse":
		g.polls = recurse(1 << 62)
	case "hog":
		for {
			g.hoard = append(g.hoard, filled(1<<20))
		}
	case "keep":
		g.hoard = append(g.hoard, filled(1<<20))
	case "garbage":
		for range 256 {
			sink = make([]byte, 1<<10)
		}
	case "sleep":
		time.Sleep(time.Hour)
		out.AddTheme("slept", 1)
	case "wait":
		<-ctx.Done()
		return ctx.Err()
	case "chatter":
		for range 10_000 {
			fmt.Fprintln(os.Stderr, "chatter chatter chatter")
		}
		panic("enough")
	case "retry":
		return sdk.Retry(3*time.Second, "come back later")
	case "fatal":
		return sdk.Fatal("never again")
	case "bad":
		out.Err = sdk.Fatal("this one is bad")
	case "drop":
		out.Drop = rest
	case "log":
		g.host.Log(sdk.Warn, rest)
	case "shout": // past whatever stands between
		raw := os.NewFile(1, "stdout")
		for range 100 {
			if _, err := raw.Write(filled(64 << 10)); err != nil {
				return err
			}
		}
		out.AddTheme("shouted", 1)
	case "huge":
		out.Drop = strings.Repeat("x", 65<<20)
	case "put":
		key, value, _ := strings.Cut(rest, " ")
		return g.host.KVPut(key, []byte(value))
	case "get":
		value, err := g.host.KVGet(rest)
		if value != nil {
			out.AddTheme(feedback.ThemePath(value), 1)
		}
		return err
	case "now":
		out.AddTheme(feedback.ThemePath(fmt.Sprintf("%d/%d", g.host.Now(), time.Now().UnixMilli())), 1)
	case "random":
		out.AddTheme(feedback.ThemePath(fmt.Sprint(rand.Uint64())), 1)
	case "long":
		out.AddTheme(feedback.ThemePath(strings.Repeat("x", 1<<20)), 1)
	case "many":
		for range 100_000 {
			out.AddTheme("a", 1)
		}
	default:
		return sdk.Fatal("there is no %q", word)
	}
	return nil
}

var sink []byte

func filled(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = 1
	}
	return b
}

func recurse(n int) int {
	if n == 0 {
		return 0
	}
	return recurse(n-1) + n%7
}

// Poll returns an item for each line of each file, after the files whose number is the checkpoint, and one item that
// says how often this instance was polled. The checkpoint "panic" crashes.
func (g *guest) Poll(_ context.Context, req sdk.PollRequest) (sdk.PollResult, error) {
	if string(req.Checkpoint) == "panic" {
		panic("polled to crash")
	}
	g.polls++
	r := sdk.PollResult{Next: []byte(fmt.Sprint(g.polls)), Batch: "import", Wait: time.Second}
	r.Items = append(r.Items, feedback.Item{ExternalID: "polls", Text: fmt.Sprint(g.polls)})
	files, err := g.host.Files()
	if err != nil {
		r.Notices = append(r.Notices, sdk.Notice{Code: "files", Message: err.Error()})
		return r, nil
	}
	for _, f := range files {
		text, err := g.read(f)
		if err != nil {
			r.Rejects = append(r.Rejects, sdk.Reject{Position: f.Name, Code: "unreadable", Message: err.Error()})
			continue
		}
		for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
			r.Items = append(r.Items, feedback.Item{ExternalID: fmt.Sprintf("%s:%d", f.Name, i+1), Text: line})
		}
	}
	return r, nil
}

// read reads a file in small pieces.
func (g *guest) read(f sdk.FileInfo) (string, error) {
	var text []byte
	piece := make([]byte, 7)
	for {
		n, err := g.host.ReadFile(f.Name, piece, int64(len(text)))
		text = append(text, piece[:n]...)
		if errors.Is(err, io.EOF) {
			return string(text), nil
		}
		if err != nil {
			return "", err
		}
	}
}

// Receive returns the body as an item, and the header "x-title".
func (g *guest) Receive(_ context.Context, req sdk.ReceiveRequest) (sdk.ReceiveResult, error) {
	if len(req.Body) == 0 {
		return sdk.ReceiveResult{Rejects: []sdk.Reject{{Position: "body", Code: "empty", Message: "found nothing"}}}, nil
	}
	return sdk.ReceiveResult{Items: []feedback.Item{{Text: string(req.Body), Title: req.Headers["x-title"]}}}, nil
}

// Deliver posts the message, signed, and wants the body back.
func (g *guest) Deliver(ctx context.Context, m sdk.Message) error {
	resp, err := g.host.HTTP(ctx, sdk.HTTPRequest{
		Method: "POST", URL: g.URL, Body: m.Body, Headers: map[string]string{"content-type": "application/json"},
		Auth: sdk.HTTPAuth{Scheme: "bearer", Secret: "token"},
		Sign: sdk.HTTPSign{Scheme: "standard-webhooks", Secret: "hook", ID: m.Key, Timestamp: m.At},
	})
	if err != nil {
		return err
	}
	if resp.Status != 200 || string(resp.Body) != string(m.Body) {
		return sdk.Retry(time.Minute, "found status %d and %d bytes, expected the body back", resp.Status, len(resp.Body))
	}
	return nil
}

// Direct returns a function that categorizes items without any host, and what it needs to use its memory again.
func Direct() func(items []feedback.Item) []sdk.Result {
	g, out := &guest{}, []sdk.Result(nil)
	return func(items []feedback.Item) []sdk.Result {
		for len(out) < len(items) {
			out = append(out, sdk.Result{})
		}
		for i := range items {
			out[i].Reset()
		}
		if err := g.Categorize(context.Background(), items, out[:len(items)]); err != nil {
			panic(err)
		}
		return out[:len(items)]
	}
}
