package urgency

import (
	"context"
	"testing"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/sdktest"
)

const settings = `{"words": ["asap", "still waiting"], "shouting": 2}`

func TestCategorize(t *testing.T) {
	t.Parallel()
	c, err := sdktest.Open[sdk.Categorizer](Plugin, &sdktest.Host{Logf: t.Logf}, settings)()
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"I am STILL waiting, call me asap":  "urgency/asked",
		"WHERE is my PARCEL":                "urgency/shouting",
		"NASA sent it, as soon as possible": "",
	} {
		out := make([]sdk.Result, 1)
		if err := c.Categorize(context.Background(), []feedback.Item{{Text: text}}, out); err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, theme := range out[0].Labels.Themes {
			got += string(theme.Path)
			if len(theme.Evidence) != 2 {
				t.Errorf("%q: evidence %v, expected two places", text, theme.Evidence)
			}
		}
		if got != want {
			t.Errorf("%q: found %q, expected %q", text, got, want)
		}
	}
}

// TestConformance checks what an engine expects of every categorizer.
func TestConformance(t *testing.T) {
	t.Parallel()
	sdktest.Categorizer(t, sdktest.Open[sdk.Categorizer](Plugin, &sdktest.Host{Logf: t.Logf}, settings))
}
