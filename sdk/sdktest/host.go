package sdktest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// MaxResponse is the most bytes of a response's body that a Host passes on.
const MaxResponse = 4 << 20

// Host is a real host for plugins under test: it reads real files and makes real requests, as far as it is told to.
// The zero value grants nothing but Log.
type Host struct {
	// Dir is the granted file, or the folder whose regular files, at any depth, are granted. Defaults to none.
	Dir string
	// Allow lists the host:port pairs that requests may go to, such as the address of an httptest.Server.
	Allow []string
	// Secrets holds the program's secrets by name.
	Secrets map[string]string
	// KV is what the plugin keeps, and is granted when it is not nil. Unlike an engine, this host keeps at once what a
	// call puts, and sets no bound but that of a key and a value.
	KV map[string][]byte
	// Clock is the time that the plugin sees. Defaults to 2026-01-01T00:00:00Z.
	Clock feedback.Time
	// Logf takes the plugin's log, such as testing.T's. Defaults to nowhere.
	Logf func(format string, args ...any)

	mu sync.Mutex // guards KV
}

var _ sdk.Host = (*Host)(nil)

// Log writes a line to Logf.
func (h *Host) Log(level sdk.Level, message string) {
	if h.Logf != nil {
		h.Logf("plugin, level %d: %s", level, message)
	}
}

// Now returns the clock.
func (h *Host) Now() feedback.Time {
	if h.Clock == 0 {
		return feedback.TimeOf(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	}
	return h.Clock
}

// Files lists the granted files by name.
func (h *Host) Files() ([]sdk.FileInfo, error) {
	if h.Dir == "" {
		return nil, notGranted("file")
	}
	var files []sdk.FileInfo
	err := filepath.WalkDir(h.Dir, func(at string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(h.Dir, at)
		if name == "." {
			name = filepath.Base(at)
		}
		files = append(files, sdk.FileInfo{
			Name: filepath.ToSlash(name), Size: info.Size(), Modified: feedback.TimeOf(info.ModTime()), Identity: identity(info),
		})
		return err
	})
	slices.SortFunc(files, func(a, b sdk.FileInfo) int { return strings.Compare(a.Name, b.Name) })
	return files, err
}

// ReadFile reads from a granted file.
func (h *Host) ReadFile(name string, p []byte, offset int64) (int, error) {
	if h.Dir == "" {
		return 0, notGranted("file")
	}
	at := h.Dir
	if info, err := os.Stat(at); err != nil {
		return 0, err
	} else if info.IsDir() {
		if !fs.ValidPath(name) {
			return 0, sdk.Fatal("%q is no name of a granted file", name)
		}
		at = filepath.Join(at, filepath.FromSlash(name))
	} else if name != filepath.Base(at) {
		return 0, sdk.Fatal("%q is not the granted file", name)
	}
	f, err := os.Open(at)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return f.ReadAt(p, offset)
}

// HTTP makes a request to one of the allowed addresses. It follows no redirects.
func (h *Host) HTTP(ctx context.Context, req sdk.HTTPRequest) (sdk.HTTPResponse, error) {
	target, err := h.target(&req)
	if err != nil {
		return sdk.HTTPResponse{}, err
	}
	r, err := http.NewRequestWithContext(ctx, req.Method, target, bytes.NewReader(req.Body))
	if err != nil {
		return sdk.HTTPResponse{}, sdk.Fatal("%w", err)
	}
	if !slices.Contains(h.Allow, r.URL.Host) {
		return sdk.HTTPResponse{}, sdk.Fatal("requests to %q are not granted, only to %q", r.URL.Host, h.Allow)
	}
	for name, value := range req.Headers {
		r.Header.Set(name, value)
	}
	if err := h.authorize(r, req.Auth); err != nil {
		return sdk.HTTPResponse{}, err
	}
	if err := h.sign(r, req.Sign, req.Body); err != nil {
		return sdk.HTTPResponse{}, err
	}
	client := http.Client{
		Timeout:       10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(r)
	if e := (*url.Error)(nil); errors.As(err, &e) { // it shows the URL, which may be a secret
		return sdk.HTTPResponse{}, fmt.Errorf("%s: %w", r.URL.Host, e.Err)
	} else if err != nil {
		return sdk.HTTPResponse{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, MaxResponse))
	if err != nil {
		return sdk.HTTPResponse{}, err
	}
	headers := make(map[string]string, len(resp.Header))
	for name, values := range resp.Header {
		headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	return sdk.HTTPResponse{Status: resp.StatusCode, Headers: headers, Body: body}, nil
}

// KVGet returns a value in KV.
func (h *Host) KVGet(key string) ([]byte, error) {
	if h.KV == nil {
		return nil, notGranted("kv")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return bytes.Clone(h.KV[key]), nil
}

// KVPut keeps a value in KV.
func (h *Host) KVPut(key string, value []byte) error {
	switch {
	case h.KV == nil:
		return notGranted("kv")
	case key == "" || len(key) > sdk.MaxKVKey:
		return sdk.Fatal("found a key of %d bytes, expected 1 to %d", len(key), sdk.MaxKVKey)
	case len(value) > sdk.MaxKVValue:
		return sdk.Fatal("found a value of %d bytes, expected at most %d", len(value), sdk.MaxKVValue)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(value) == 0 {
		delete(h.KV, key)
	} else {
		h.KV[key] = bytes.Clone(value)
	}
	return nil
}

// target returns the URL of a request: its own, or the secret that is one.
func (h *Host) target(req *sdk.HTTPRequest) (string, error) {
	if req.Auth.Scheme != "url" {
		return req.URL, nil
	}
	secret, ok := h.Secrets[req.Auth.Secret]
	switch {
	case !ok:
		return "", sdk.Fatal("there is no secret %q", req.Auth.Secret)
	case req.URL != "":
		return "", sdk.Fatal("found the URL %q beside the secret that is one", req.URL)
	}
	if _, err := url.Parse(secret); err != nil {
		return "", sdk.Fatal("the secret %q is no URL", req.Auth.Secret)
	}
	return secret, nil
}

func (h *Host) authorize(r *http.Request, a sdk.HTTPAuth) error {
	if a == (sdk.HTTPAuth{}) || a.Scheme == "url" {
		return nil
	}
	secret, ok := h.Secrets[a.Secret]
	if !ok {
		return sdk.Fatal("there is no secret %q", a.Secret)
	}
	switch a.Scheme {
	case "bearer":
		r.Header.Set("Authorization", "Bearer "+secret)
	case "basic":
		r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(secret)))
	default:
		return sdk.Fatal("found the scheme %q, expected bearer, basic or url", a.Scheme)
	}
	return nil
}

// sign adds the headers of Standard Webhooks, https://www.standardwebhooks.com.
func (h *Host) sign(r *http.Request, s sdk.HTTPSign, body []byte) error {
	if s == (sdk.HTTPSign{}) {
		return nil
	}
	if s.Scheme != "standard-webhooks" {
		return sdk.Fatal("found the scheme %q, expected standard-webhooks", s.Scheme)
	}
	secret, ok := h.Secrets[s.Secret]
	if !ok {
		return sdk.Fatal("there is no secret %q", s.Secret)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		return sdk.Fatal("the secret %q is not in base64", s.Secret)
	}
	if s.Timestamp == 0 {
		s.Timestamp = h.Now()
	}
	at := strconv.FormatInt(int64(s.Timestamp)/1000, 10)
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", s.ID, at, body)
	r.Header.Set("Webhook-Id", s.ID)
	r.Header.Set("Webhook-Timestamp", at)
	r.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return nil
}

func notGranted(capability string) error {
	return sdk.Fatal("not granted: the program must grant %q to this plugin", capability)
}
