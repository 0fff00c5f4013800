package sdktest

import (
	"context"
	"slices"

	"github.com/closedloop/closedloop/sdk"
)

// Deliverer checks a deliverer with a message to a real destination that accepts it. Seen returns the keys that the
// destination has been given so far, in order; nil leaves out the checks of keys.
//
// It expects that a message is delivered, that another attempt carries the same key, so that the destination can drop
// it, and that a cancelled call sends nothing and fails in a way that can be tried again.
func Deliverer(t TB, fresh func() (sdk.Deliverer, error), m sdk.Message, seen func() []string) {
	t.Helper()
	if seen == nil {
		seen = func() []string { return nil }
	}
	m.Attempt = 1
	before := len(seen())

	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	switch err := deliver(cancelled, open(t, fresh), m); {
	case err == nil:
		t.Errorf("cancelled call: delivered, expected an error")
	case sdk.FailureOf(err).Fatal:
		t.Errorf("cancelled call: %v, which is fatal, expected an error that can be tried again", err)
	}
	if n := len(seen()) - before; n > 0 {
		t.Errorf("cancelled call: the destination was given %d messages, expected none", n)
	}

	instance := open(t, fresh)
	for m.Attempt = 1; m.Attempt <= 2; m.Attempt++ {
		if err := deliver(context.Background(), instance, m); err != nil {
			t.Errorf("attempt %d: %v", m.Attempt, err)
		}
	}
	if keys := seen()[before:]; len(keys) > 0 && !slices.Equal(keys, []string{m.Key, m.Key}) {
		t.Errorf("the destination was given the keys %q, expected %q at both attempts", keys, m.Key)
	}
}

// deliver hands over a copy of the message.
func deliver(ctx context.Context, instance sdk.Deliverer, m sdk.Message) error {
	m.Body = slices.Clone(m.Body)
	return safely(func() error { return instance.Deliver(ctx, m) })
}
