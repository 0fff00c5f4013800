package alert

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/closedloop/closedloop/sdk/feedback"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// monday is the first day of the timelines.
var monday = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

// TestTimelines plays the files of testdata/timelines. A line is a comment, a setting, or an instant with what happens
// then; what comes of it stands below it after "  > ". Between two lines, everything is done that is due.
//
//	instance for=10m keep=5m stale=2h       an alert: true, false, unknown, raise
//	group wait=1m interval=30m repeat=24h   a group: fires RULE/KEY [SEVERITY], resolves RULE/KEY, flush,
//	                                        silence RULE/KEY until T, inhibit RULE/KEY by RULE, release, mute until T
//	digest every=24h offset=8h zone=NAME    a digest: add TEXT, mute until T
//
// For all of them there is also restart, and wait, which does nothing but let time pass. The clock of a line may be
// before that of the line above: then it was set back.
func TestTimelines(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/timelines/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("found %d files: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(data))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(data) {
				t.Errorf("differs; run with -update and look at the difference. Got\n%s", got)
			}
		})
	}
}

// player plays one timeline.
type player struct {
	t       *testing.T
	out     *strings.Builder
	machine machine
	now     feedback.Time
}

// machine is one of the state machines, as a timeline drives it.
type machine interface {
	do(p *player, words []string)
	due() (feedback.Time, bool)
	onDue(p *player)
	restart(t *testing.T)
}

func play(t *testing.T, text string) string {
	p := &player{t: t, out: &strings.Builder{}}
	for line := range strings.Lines(text) {
		switch trimmed := strings.TrimSpace(line); {
		case strings.HasPrefix(trimmed, ">"): // what came of it is written anew
		case trimmed == "" || trimmed[0] == '#':
			p.out.WriteString(line)
		default:
			p.line(line, strings.Fields(trimmed))
		}
	}
	return p.out.String()
}

func (p *player) line(line string, words []string) {
	switch words[0] {
	case "instance":
		p.machine = &instancePlayer{}
	case "group":
		p.machine = &groupPlayer{}
	case "digest":
		p.machine = &digestPlayer{}
	default:
		at := p.instant(words[0], words[1])
		p.advance(at)
		p.now = at
		p.out.WriteString(line)
		if words[2] == "restart" {
			p.machine.restart(p.t)
		} else if words[2] != "wait" {
			p.machine.do(p, words[2:])
		}
		return
	}
	p.now = 0
	p.out.WriteString(line)
	p.machine.do(p, words)
}

// advance does everything that is due before the instant. What is due at it is done after what happens at it.
func (p *player) advance(at feedback.Time) {
	for range 1000 {
		due, ok := p.machine.due()
		if !ok || due >= at {
			return
		}
		p.now = max(due, p.now)
		p.machine.onDue(p)
	}
	p.t.Fatalf("something is due for ever, last at %s", p.now)
}

func (p *player) printf(format string, args ...any) {
	fmt.Fprintf(p.out, "  > "+format+"\n", args...)
}

// instant reads such as "Tue 10:00" or "Tue 10:00:30": a day of the first week, or of the second as "Tue2".
func (p *player) instant(day, clock string) feedback.Time {
	week := strings.TrimLeft(day, "MonTueWdhFriSat")
	n := strings.Index("Mon Tue Wed Thu Fri Sat Sun", strings.TrimSuffix(day, week))
	if len(clock) == len("10:00") {
		clock += ":00"
	}
	c, err := time.Parse(time.TimeOnly, clock)
	if n < 0 || err != nil {
		p.t.Fatalf("found %s %s, expected an instant", day, clock)
	}
	days := n / 4
	if week != "" {
		days += 7 * int(week[0]-'1')
	}
	return feedback.TimeOf(time.Date(2026, 3, 2+days, c.Hour(), c.Minute(), c.Second(), 0, time.UTC))
}

// words writes an instant as instant reads it.
func words(at feedback.Time) string {
	t := at.Std()
	s := t.Format("Mon")
	if week := int(t.Sub(monday)/day) / 7; week > 0 {
		s += fmt.Sprint(week + 1)
	}
	if t.Second() > 0 {
		return s + t.Format(" 15:04:05")
	}
	return s + t.Format(" 15:04")
}

func dueWords(due feedback.Time, ok bool) string {
	if !ok {
		return "nothing due"
	}
	return "due " + words(due)
}

// setting reads NAME=DURATION from words.
func (p *player) setting(from []string, name string) time.Duration {
	for _, w := range from {
		if v, ok := strings.CutPrefix(w, name+"="); ok {
			d, err := time.ParseDuration(v)
			if err != nil {
				p.t.Fatal(err)
			}
			return d
		}
	}
	return 0
}

func reread[T any](t failer, from *T) {
	t.Helper()
	data, err := json.Marshal(from)
	if err != nil {
		t.Fatal(err)
	}
	*from = *new(T)
	if err := json.Unmarshal(data, from); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
}

type instancePlayer struct {
	in     Instance
	policy Policy
	holds  Truth
}

func (m *instancePlayer) due() (feedback.Time, bool) { return m.in.Due() }
func (m *instancePlayer) restart(t *testing.T)       { reread(t, &m.in) }

func (m *instancePlayer) do(p *player, words []string) {
	switch words[0] {
	case "instance":
		m.policy = Policy{p.setting(words, "for"), p.setting(words, "keep"), p.setting(words, "stale")}
		return
	case "raise":
		m.print(p, m.in.Raise(p.now, m.policy.KeepFiring))
		return
	case "false":
		m.holds = False
	case "unknown":
		m.holds = Unknown
	case "true":
		m.holds = True
	default:
		p.t.Fatalf("found %q", words)
	}
	m.print(p, m.in.Observe(m.holds, p.now, m.policy))
}

func (m *instancePlayer) onDue(p *player) { m.print(p, m.in.Observe(m.holds, p.now, m.policy)) }

func (m *instancePlayer) print(p *player, c Change) {
	due, ok := m.in.Due()
	if c == None {
		c = "stays"
	}
	p.printf("%s: %s, %s; %s", words(p.now), c, m.in.Status, dueWords(due, ok))
}

type groupPlayer struct {
	group     Group
	pace      Pace
	silences  []Silence
	inhibited map[string]string
	muted     feedback.Time
}

func (m *groupPlayer) due() (feedback.Time, bool) { return m.group.Due() }
func (m *groupPlayer) restart(t *testing.T)       { reread(t, &m.group) }

func (m *groupPlayer) do(p *player, words []string) {
	switch words[0] {
	case "group":
		m.pace = Pace{p.setting(words, "wait"), p.setting(words, "interval"), p.setting(words, "repeat")}
		m.inhibited = map[string]string{}
	case "fires", "resolves":
		member := named(words[1])
		if len(words) > 2 {
			member.Severity = words[2]
		}
		m.group.Update(member, words[0] == "fires", p.now, m.pace)
	case "silence":
		s, err := NewSilence(Silence{Rule: named(words[1]).Rule, Key: named(words[1]).Key, Starts: p.now,
			Ends: p.instant(words[3], words[4]), By: "anna", Why: "known"})
		if err != nil {
			p.t.Fatal(err)
		}
		s.ID = "s_1"
		m.silences = []Silence{s}
	case "inhibit":
		m.inhibited[words[1]] = words[3]
	case "release":
		m.silences = nil
		clear(m.inhibited)
	case "mute":
		m.muted = p.instant(words[2], words[3])
	case "flush":
		m.onDue(p)
	default:
		p.t.Fatalf("found %q", words)
	}
}

func named(s string) Member {
	rule, key, _ := strings.Cut(s, "/")
	return Member{Rule: rule, Key: key}
}

func (m *groupPlayer) onDue(p *player) {
	n, why := m.group.Flush(p.now, m.pace, Conditions{
		Silenced: func(x Member) (string, feedback.Time, bool) { return Silenced(m.silences, x.Rule, x.Key, p.now) },
		Inhibited: func(x Member) (string, bool) {
			by, held := m.inhibited[x.Rule+"/"+x.Key]
			return by, held
		},
		Muted: func(now feedback.Time) (feedback.Time, bool) { return m.muted, now < m.muted },
	})
	due, ok := m.group.Due()
	p.printf("%s: %s%s; %s", words(p.now), why, told(n), dueWords(due, ok))
}

// told writes a notification on one line.
func told(n *Notification) string {
	if n == nil {
		return ""
	}
	var b strings.Builder
	list := func(what string, count int64, of []string) {
		if count > 0 {
			fmt.Fprintf(&b, ", %s %s", what, strings.Join(of, " "))
		}
		if more := count - int64(len(of)); more > 0 {
			fmt.Fprintf(&b, " and %d more", more)
		}
	}
	var firing []string
	for _, l := range n.Firing {
		s := show(l.Member)
		if l.New {
			s += "(new)"
		}
		firing = append(firing, s)
	}
	list("firing", n.FiringCount, firing)
	list("resolved", n.ResolvedCount, showAll(n.Resolved))
	list("passed", n.PassedCount, showAll(n.Passed))
	if n.Suppressed > 0 {
		fmt.Fprintf(&b, ", %d suppressed", n.Suppressed)
	}
	return b.String()
}

func show(m Member) string {
	s := m.Rule + "/" + m.Key
	if m.Severity != "" {
		s += "[" + m.Severity + "]"
	}
	return s
}

func showAll(list []Member) []string {
	var out []string
	for _, m := range list {
		out = append(out, show(m))
	}
	return out
}

type digestPlayer struct {
	digest Digest
	rhythm Rhythm
	muted  feedback.Time
}

func (m *digestPlayer) due() (feedback.Time, bool) { return m.digest.Due() }
func (m *digestPlayer) restart(t *testing.T)       { reread(t, &m.digest) }

func (m *digestPlayer) do(p *player, args []string) {
	switch args[0] {
	case "digest":
		m.rhythm = Rhythm{Every: p.setting(args, "every"), Offset: p.setting(args, "offset")}
		for _, a := range args[1:] {
			if name, ok := strings.CutPrefix(a, "zone="); ok {
				zone, err := time.LoadLocation(name)
				if err != nil {
					p.t.Fatal(err)
				}
				m.rhythm.Zone = zone
			}
			m.rhythm.Aligned = m.rhythm.Aligned || a == "aligned"
		}
	case "mute":
		m.muted = p.instant(args[2], args[3])
	case "add":
		m.digest.Add(Entry{At: p.now, Rule: "r", Text: args[1]}, p.now, m.rhythm)
		due, ok := m.digest.Due()
		p.printf("%s", dueWords(due, ok))
	}
}

func (m *digestPlayer) onDue(p *player) {
	c, why := m.digest.Flush(p.now, m.rhythm, func(now feedback.Time) (feedback.Time, bool) { return m.muted, now < m.muted })
	due, ok := m.digest.Due()
	if c == nil {
		p.printf("%s: %s; %s", words(p.now), why, dueWords(due, ok))
		return
	}
	var texts []string
	for _, e := range c.Entries {
		texts = append(texts, e.Text)
	}
	p.printf("%s: %d since %s: %s; %s", words(p.now), c.Count, words(c.Since), strings.Join(texts, " "), dueWords(due, ok))
}

// failer is a test, or one run of a property.
type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}
