// Package webhook posts messages to a URL: a destination that fits whatever takes JSON over HTTP.
//
// Each message is one POST of its body, with its key as the header webhook-id, so that the receiver can drop repeats.
// With a secret the host signs it by Standard Webhooks, https://www.standardwebhooks.com; the plugin never sees the
// secret.
//
//	settings: {url: "https://hooks.example.com/feedback", secret: hook}
//
// What the receiver answers decides what becomes of the message:
//
//   - 2xx: it has the message.
//   - 400, 406, 409, 411 to 417, 422 and 431 speak of the message itself: it is given up.
//   - Anything else, or no answer at all: it is tried again, not before what Retry-After says. A redirect is among that,
//     since it is not followed: a message belongs to the host that the program grants.
package webhook

import (
	"context"
	_ "embed" // for plugin.yaml
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/closedloop/closedloop/plugins/internal/answer"
	"github.com/closedloop/closedloop/sdk"
)

//go:embed plugin.yaml
var manifest []byte

// Plugin is the destination.
var Plugin = sdk.Plugin{Manifest: manifest, New: open}

// settings are as the program gives them; plugin.yaml says what the members mean.
type settings struct {
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
	Secret  string            `json:"secret"`
}

// hook is one URL.
type hook struct {
	host     sdk.Host
	settings settings
}

var _ sdk.Deliverer = (*hook)(nil)

// reserved are the headers that say what is sent, in lower case.
var reserved = []string{"content-type", "webhook-id", "webhook-timestamp", "webhook-signature"}

func open(_ context.Context, host sdk.Host, raw []byte) (any, error) {
	h := &hook{host: host}
	if err := json.Unmarshal(raw, &h.settings); err != nil {
		return nil, sdk.Fatal("settings: %w", err)
	}
	if h.settings.URL == "" {
		return nil, sdk.Fatal("%w", sdk.SettingError{Path: "url", Message: "found nothing, expected where to post"})
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(h.settings.Headers)) {
		if slices.Contains(reserved, strings.ToLower(name)) {
			errs = append(errs, sdk.SettingError{Path: "headers." + name, OnKey: true,
				Message: fmt.Sprintf("found the header %q, which the webhook sets itself", name)})
		}
	}
	if len(errs) > 0 {
		return nil, sdk.Fatal("%w", errors.Join(errs...))
	}
	return h, nil
}

// Deliver posts the message once.
func (h *hook) Deliver(ctx context.Context, m sdk.Message) error {
	req := sdk.HTTPRequest{Method: "POST", URL: h.settings.URL, Headers: h.headers(m.Key), Body: m.Body}
	if h.settings.Secret != "" {
		req.Sign = sdk.HTTPSign{Scheme: "standard-webhooks", Secret: h.settings.Secret, ID: m.Key}
	}
	resp, err := h.host.HTTP(ctx, req)
	if err != nil {
		return err
	}
	if err := h.judge(&resp); err != nil {
		return err
	}
	if m.Attempt > 1 {
		h.host.Log(sdk.Info, fmt.Sprintf("delivered %s at attempt %d", m.Key, m.Attempt))
	}
	return nil
}

func (h *hook) headers(key string) map[string]string {
	headers := make(map[string]string, len(h.settings.Headers)+2)
	maps.Copy(headers, h.settings.Headers)
	headers["Content-Type"] = "application/json"
	headers["Webhook-Id"] = key
	return headers
}

// judge says what an answer means for the message.
func (h *hook) judge(resp *sdk.HTTPResponse) error {
	switch s := resp.Status; {
	case s >= 200 && s <= 299:
		return nil
	case s >= 300 && s <= 399:
		to := strings.ToValidUTF8(resp.Headers["location"], "")
		if to == "" {
			to = "another place"
		}
		return sdk.Retry(0, "the receiver answered %d, which leads to %s: redirects are not followed; put the final address into the setting url and its host into the grants", s, excerpt(to))
	case answer.Misplaced(s):
		return sdk.Retry(answer.RetryAfter(resp.Headers["retry-after"], h.host.Now().Std()), "the receiver answered %d%s; look at the setting url, and at the secrets that it takes", s, said(resp.Body))
	case answer.Again(s):
		return sdk.Retry(answer.RetryAfter(resp.Headers["retry-after"], h.host.Now().Std()), "the receiver answered %d%s", s, said(resp.Body))
	default:
		return sdk.Fatal("the receiver answered %d and will not take this message%s", s, said(resp.Body))
	}
}

// said is the beginning of an answer's body, as the end of a sentence.
func said(body []byte) string {
	text := strings.Join(strings.Fields(strings.ToValidUTF8(string(body[:min(len(body), 4*maxExcerpt)]), "")), " ")
	if text == "" {
		return ""
	}
	return ": " + excerpt(text)
}

const maxExcerpt = 200

func excerpt(s string) string {
	if len(s) <= maxExcerpt {
		return s
	}
	end := maxExcerpt
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}
