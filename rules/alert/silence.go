package alert

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// The bounds of a silence.
const (
	// MaxSilence is the longest that a silence lasts. What is to be quiet for longer is a rule to switch off.
	MaxSilence = 366 * day
	// MaxPattern is the length of the longest pattern in bytes.
	MaxPattern = 1000
)

// Silence keeps alerts from being told for a time, because somebody knows of them. The alerts themselves go on.
type Silence struct {
	ID string `json:"id"`
	// Rule and Key are patterns for the rule and the key of an alert: * stands for any text, also none, ? for one
	// character, and a backslash takes the special meaning from what follows. An empty pattern fits everything, but not
	// both may be empty.
	Rule string `json:"rule,omitempty"`
	Key  string `json:"key,omitempty"`
	// Starts belongs to the silence, Ends does not.
	Starts feedback.Time `json:"starts"`
	Ends   feedback.Time `json:"ends"`
	By     string        `json:"by"`  // who is silent about it
	Why    string        `json:"why"` // why
}

// NewSilence returns a silence with its ID, or all that is wrong with it. The ID is made of everything but the end, so
// that who asks for the same silence twice has one, and one that is ended early or prolonged keeps its ID.
func NewSilence(s Silence) (Silence, error) {
	if err := s.Validate(); err != nil {
		return Silence{}, err
	}
	parts, err := json.Marshal([]string{s.Rule, s.Key, s.Starts.String(), s.By, s.Why})
	if err != nil {
		return Silence{}, fmt.Errorf("silence: %w", err)
	}
	sum := sha256.Sum256(parts)
	s.ID = "s_" + hex.EncodeToString(sum[:8])
	return s, nil
}

// Validate returns all that is wrong with a silence, but for its ID, or nil.
func (s *Silence) Validate() error {
	var problems []error
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf("silence: "+format, args...)) }
	if s.Rule == "" && s.Key == "" {
		problem("found neither rule nor key, expected what is to be silenced; rule: \"*\" silences everything")
	}
	for _, p := range []struct{ name, pattern string }{{"rule", s.Rule}, {"key", s.Key}} {
		if len(p.pattern) > MaxPattern {
			problem("found a %s of %d bytes, expected at most %d", p.name, len(p.pattern), MaxPattern)
		}
		if danglingEscape(p.pattern) {
			problem("found %s %.60q, expected something after the last backslash; write two for a backslash", p.name, p.pattern)
		}
	}
	switch length := s.Ends.Std().Sub(s.Starts.Std()); {
	case s.Starts <= 0 || s.Ends <= 0 || s.Ends > lastInstant:
		problem("found starts %q and ends %q, expected both", s.Starts, s.Ends)
	case s.Ends <= s.Starts:
		problem("found that it ends at %s, expected an end after its start at %s", s.Ends, s.Starts)
	case length > MaxSilence:
		problem("found that it lasts %d days, expected at most %d; set a rule that is to be quiet for longer to mode: off",
			length/day, MaxSilence/day)
	}
	if s.By == "" {
		problem("found no name, expected by whom it is")
	}
	if s.Why == "" {
		problem("found no reason, expected why, for those who wonder about the quiet")
	}
	return errors.Join(problems...)
}

// Matches reports whether the silence is about an alert.
func (s *Silence) Matches(rule, key string) bool {
	return (s.Rule == "" || fits(s.Rule, rule)) && (s.Key == "" || fits(s.Key, key))
}

// Active reports whether the silence holds at an instant.
func (s *Silence) Active(now feedback.Time) bool { return s.Starts <= now && now < s.Ends }

// Silenced returns the silence that keeps an alert quiet now. Of several it is the one that ends last, and of those the
// one with the least ID. It is made for Conditions.Silenced.
func Silenced(silences []Silence, rule, key string, now feedback.Time) (id string, until feedback.Time, held bool) {
	for i := range silences {
		s := &silences[i]
		if !s.Active(now) || s.Ends < until || s.Ends == until && s.ID >= id || !s.Matches(rule, key) {
			continue
		}
		id, until, held = s.ID, s.Ends, true
	}
	return id, until, held
}

// UnmarshalJSON reads what json.Marshal wrote. It returns an error that wraps ErrDamaged for a silence that is not valid
// or has no ID.
func (s *Silence) UnmarshalJSON(b []byte) error {
	type plain Silence
	var in plain
	if err := json.Unmarshal(b, &in); err != nil {
		return fmt.Errorf("silence: %w: %w", ErrDamaged, err)
	}
	out := Silence(in)
	if err := out.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if out.ID == "" {
		return fmt.Errorf("silence: %w: found no id", ErrDamaged)
	}
	*s = out
	return nil
}

// fits reports whether a text is what a pattern stands for. It takes at most the product of their lengths in steps.
func fits(pattern, text string) bool {
	p, t := []rune(pattern), []rune(text)
	star, from := -1, 0 // the last * that was passed, and where the text that it stands for may end
	i, j := 0, 0
	for j < len(t) {
		switch {
		case i < len(p) && p[i] == '*':
			star, from = i, j
			i++
			continue
		case i < len(p) && p[i] == '?':
			i, j = i+1, j+1
			continue
		case i+1 < len(p) && p[i] == '\\' && p[i+1] == t[j]:
			i, j = i+2, j+1
			continue
		case i < len(p) && p[i] != '\\' && p[i] == t[j]:
			i, j = i+1, j+1
			continue
		case star < 0:
			return false
		}
		from++
		i, j = star+1, from
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p)
}

func danglingEscape(pattern string) bool {
	n := 0
	for n < len(pattern) && pattern[len(pattern)-1-n] == '\\' {
		n++
	}
	return n%2 == 1
}
