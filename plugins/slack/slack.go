// Package slack posts messages to a Slack channel through an incoming webhook.
//
// A message becomes blocks that tell the case's story: who said what, with which score and about what, and whose it is;
// of alerts those that fire and those that are over; of a digest its first messages. No text of a customer can call
// somebody, make a link, or be longer than Slack takes.
//
//	secrets: {care-channel: {env: SLACK_CARE}}
//	destinations:
//	  care:
//	    plugin: native:slack
//	    grants: {http: [hooks.slack.com]}
//	    settings: {webhook: care-channel, mentions: {critical: [here]}}
//
// The URL of an incoming webhook is a secret: whoever has it can post. So the host puts it in, and the plugin knows its
// name only.
//
// What Slack answers decides what becomes of the message:
//
//   - 2xx: it is in the channel.
//   - 408, 425, 429, 5xx, or no answer at all: it is tried again, not before what Retry-After says. Slack does not know
//     messages again, so an answer that is lost on its way makes a message appear twice.
//   - Anything else: it is given up, with what Slack says.
package slack

import (
	"bytes"
	"context"
	_ "embed" // for plugin.yaml
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // a sandbox has no timezones of its own

	"github.com/closedloop/closedloop/plugins/internal/answer"
	"github.com/closedloop/closedloop/plugins/internal/story"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/suggest"
)

//go:embed plugin.yaml
var manifest []byte

// Plugin is the destination.
var Plugin = sdk.Plugin{Manifest: manifest, New: open}

// settings are as the program gives them; plugin.yaml says what the members mean.
type settings struct {
	Webhook  string              `json:"webhook"`
	Channel  string              `json:"channel"`
	Mentions map[string][]string `json:"mentions"`
	Timezone string              `json:"timezone"`
}

// channel is one incoming webhook.
type channel struct {
	host     sdk.Host
	settings settings
	zone     *time.Location
}

var _ sdk.Deliverer = (*channel)(nil)

func open(_ context.Context, host sdk.Host, raw []byte) (any, error) {
	c := &channel{host: host}
	if err := json.Unmarshal(raw, &c.settings); err != nil {
		return nil, sdk.Fatal("settings: %w", err)
	}
	var errs []error
	if c.settings.Webhook == "" {
		errs = append(errs, sdk.SettingError{Path: "webhook", Message: "found nothing, expected the name of the secret that is the webhook's URL"})
	}
	var err error
	if c.zone, err = time.LoadLocation(c.settings.Timezone); err != nil || c.settings.Timezone == "Local" {
		errs = append(errs, sdk.SettingError{Path: "timezone",
			Message: fmt.Sprintf("found %q, expected a name such as Europe/Berlin", c.settings.Timezone)})
	}
	var known []string
	for _, s := range story.Severities() {
		known = append(known, string(s))
	}
	for _, severity := range slices.Sorted(maps.Keys(c.settings.Mentions)) {
		if !slices.Contains(known, severity) {
			errs = append(errs, sdk.SettingError{Path: "mentions." + severity, OnKey: true,
				Message: fmt.Sprintf("found the severity %q, expected one of %v", severity, known), Hint: suggest.DidYouMean(severity, known)})
		}
	}
	if len(errs) > 0 {
		return nil, sdk.Fatal("%w", errors.Join(errs...))
	}
	return c, nil
}

// Deliver posts the message once.
func (c *channel) Deliver(ctx context.Context, m sdk.Message) error {
	s, err := story.Read(m.Body, c.zone)
	if err != nil {
		return sdk.Fatal("%w", err)
	}
	body, err := encode(compose(s, c.settings.Mentions))
	if err != nil {
		return sdk.Fatal("%w", err)
	}
	resp, err := c.host.HTTP(ctx, sdk.HTTPRequest{
		Method: "POST", Body: body, Headers: map[string]string{"Content-Type": "application/json; charset=utf-8", "Webhook-Id": m.Key},
		Auth: sdk.HTTPAuth{Scheme: "url", Secret: c.settings.Webhook},
	})
	if err != nil {
		return err
	}
	if err := c.judge(&resp); err != nil {
		return err
	}
	if m.Attempt > 1 {
		c.host.Log(sdk.Info, fmt.Sprintf("delivered %s at attempt %d", m.Key, m.Attempt))
	}
	return nil
}

// encode writes a payload as JSON, with <, > and & as they are.
func encode(p payload) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(p)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// judge says what an answer means for the message.
func (c *channel) judge(resp *sdk.HTTPResponse) error {
	where := ""
	if c.settings.Channel != "" {
		where = " for " + c.settings.Channel
	}
	said := story.Clip(strings.Join(strings.Fields(strings.ToValidUTF8(string(resp.Body), "")), " "), maxSaid, story.Bytes)
	if said != "" {
		said = ": " + said
	}
	switch s := resp.Status; {
	case s >= 200 && s <= 299:
		return nil
	case answer.Again(s):
		return sdk.Retry(answer.RetryAfter(resp.Headers["retry-after"], c.host.Now().Std()), "Slack answered %d%s%s%s", s, where, said, advice(said))
	default:
		return sdk.Fatal("Slack answered %d and will not take this message%s%s%s", s, where, said, advice(said))
	}
}

// maxSaid is how many bytes of an answer are told.
const maxSaid = 200

// advice says what to do about an error of Slack's.
func advice(said string) string {
	switch word := strings.TrimPrefix(said, ": "); word {
	case "no_service", "no_service_id", "no_team", "no_active_hooks", "invalid_token":
		return "; the webhook is no longer: make a new one and put its URL into the secret"
	case "channel_not_found", "channel_is_archived", "user_not_found":
		return "; make a webhook for another channel and put its URL into the secret"
	case "action_prohibited", "posting_to_general_channel_denied":
		return "; an administrator of the workspace must allow it"
	}
	return ""
}
