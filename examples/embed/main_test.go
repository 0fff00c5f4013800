package main

import (
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRunTwice(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	var first, second strings.Builder
	if err := run(t.Context(), &first, "program", state); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"message to billing: Ida has a problem with billing\n",
		"message to care: Kim is unhappy\n",
		"1001: new, queue \"billing\"\n1002: new, queue \"\"\n1003: new, queue \"care\"\n",
		"NPS -33 of 3 answers, 95 % interval",
		"why 1001 went to billing:\n",
		"billing-detractor",
	} {
		if !strings.Contains(first.String(), want) {
			t.Errorf("the first run does not say %q:\n%s", want, first.String())
		}
	}
	if err := run(t.Context(), &second, "program", state); err != nil {
		t.Fatal(err)
	}
	if got := second.String(); strings.Contains(got, "message") || !strings.Contains(got, "1001: duplicate") {
		t.Errorf("the second run acted again:\n%s", got)
	}
}
