package engine

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/closedloop/closedloop/engine/internal/pipeline"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Metrics is a snapshot of what the engine has done since it was opened.
type Metrics struct {
	feedback.Counts
	Decisions int64 `json:"decisions"`
	Cases     int64 `json:"cases"`
	Alerts    int64 `json:"alerts"`
	// Queued, Sent and Failed count messages put into the outbox, delivered, and attempts that failed.
	Queued int64 `json:"queued"`
	Sent   int64 `json:"sent"`
	Failed int64 `json:"failed"`

	// Retention is what was taken out because of its age.
	Retention RetentionCounts `json:"retention"`

	Intake  int                      `json:"intake"`  // calls of Ingest and Receive under way
	Stages  map[string]Latency       `json:"stages"`  // prepare: accept, filter, categorize; commit: decide, make durable
	Plugins map[string]PluginMetrics `json:"plugins"` // by id
	Rules   map[string]RuleMetrics   `json:"rules"`   // by id: those of which there is something to tell
	// Destinations is what was done for each, by id.
	Destinations map[string]DestinationMetrics `json:"destinations"`
	Store        StoreMetrics                  `json:"store"`
	Uptime       time.Duration                 `json:"uptime_ns"`
}

// Latency is how long something took.
type Latency struct {
	Count int64         `json:"count"`
	Total time.Duration `json:"total_ns"`
	Max   time.Duration `json:"max_ns"`
}

// Mean returns the average, or 0 when nothing was measured.
func (l Latency) Mean() time.Duration {
	if l.Count == 0 {
		return 0
	}
	return l.Total / time.Duration(l.Count)
}

// PluginMetrics is what a plugin has done since it was loaded.
type PluginMetrics struct {
	Name      string        `json:"name"`
	Version   string        `json:"version"`
	Calls     uint64        `json:"calls"`
	Errors    uint64        `json:"errors"`    // calls that failed
	Items     uint64        `json:"items"`     // categorized, polled or received
	Made      uint64        `json:"made"`      // instances or processes started
	Discarded uint64        `json:"discarded"` // of these, closed after an error
	Recycled  uint64        `json:"recycled"`  // of these, closed because their memory had grown
	Busy      time.Duration `json:"busy_ns"`
	Slowest   time.Duration `json:"slowest_ns"`
	Paused    bool          `json:"paused,omitempty"` // in quarantine
}

// RuleMetrics is what a rule has done since the engine was opened.
type RuleMetrics struct {
	Fired      int64 `json:"fired"`
	Shadow     int64 `json:"shadow,omitempty"`     // would have fired; its mode is shadow
	Suppressed int64 `json:"suppressed,omitempty"` // matched; its throttle or another rule kept it from acting
	// Unknown counts items for which its condition was unknown, so that it did not match, or fired because of its on_error.
	Unknown int64 `json:"unknown,omitempty"`
	// Conflicts counts decisions in which it set another value of an output than another rule, where that is an error.
	Conflicts int64 `json:"conflicts,omitempty"`
}

// StoreMetrics is what the store has done.
type StoreMetrics struct {
	Commits uint64 `json:"commits"`
	Updates uint64 `json:"updates"`
	Bytes   uint64 `json:"bytes"`
	Queue   int    `json:"queue"` // updates that wait
	Free    int64  `json:"free"`  // bytes on the disk
}

// The stages of the pipeline.
const (
	stagePrepare = iota
	stageCommit
	stages
)

var stageNames = [stages]string{"prepare", "commit"}

// meter counts. Its methods are safe for concurrent use.
type meter struct {
	sent, failed atomic.Int64
	mu           sync.Mutex
	total        Metrics
	stages       [stages]Latency
	pass         map[string]*pipeline.Report // by source, since begin
	rules        map[string]*RuleMetrics
}

func newMeter() *meter {
	return &meter{pass: map[string]*pipeline.Report{}, rules: map[string]*RuleMetrics{}}
}

// decided counts what the rules of a decision did.
func (m *meter) decided(_ feedback.ItemID, d *rules.Decision) {
	m.mu.Lock()
	defer m.mu.Unlock()
	of := func(rule string) *RuleMetrics {
		r := m.rules[rule]
		if r == nil {
			r = &RuleMetrics{}
			m.rules[rule] = r
		}
		return r
	}
	for _, g := range d.Groups {
		for _, f := range g.Fired {
			r := of(f.Rule)
			if f.Mode == rules.Shadow {
				r.Shadow++
			} else {
				r.Fired++
			}
			if f.Assumed {
				r.Unknown++
			}
		}
	}
	for _, s := range d.Suppressed {
		of(s.Rule).Suppressed++
	}
	for _, id := range d.Unknown {
		of(id).Unknown++
	}
	for _, e := range d.Errors {
		for _, id := range e.Rules {
			of(id).Conflicts++
		}
	}
}

// begin forgets what the last pass did.
func (m *meter) begin() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.pass)
}

// stage measures until the returned function is called.
func (m *meter) stage(i int) func() {
	from := time.Now()
	return func() {
		d := time.Since(from)
		m.mu.Lock()
		defer m.mu.Unlock()
		l := &m.stages[i]
		l.Count++
		l.Total += d
		l.Max = max(l.Max, d)
	}
}

func (m *meter) count(r *pipeline.Report) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.total.Counts.Add(r.Import.Counts)
	m.total.Decisions += int64(r.Decided)
	m.total.Cases += int64(r.Cases)
	m.total.Alerts += int64(r.Alerts)
	m.total.Queued += int64(r.Messages)
}

// sweep adds what retention has taken out.
func (m *meter) sweep(done RetentionCounts) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := &m.total.Retention
	r.Items += done.Items
	r.Cases += done.Cases
	r.Decisions += done.Decisions
	r.DeadLetters += done.DeadLetters
}

// progress adds to what this pass did for a source.
func (m *meter) progress(source string, r *pipeline.Report) {
	m.mu.Lock()
	defer m.mu.Unlock()
	sum := m.pass[source]
	if sum == nil {
		sum = &pipeline.Report{}
		m.pass[source] = sum
	}
	rows := r.Rows
	r.Rows = nil
	sum.Add(*r)
	r.Rows = rows
}

// Metrics returns a snapshot.
func (e *Engine) Metrics() Metrics {
	e.meter.mu.Lock()
	m := e.meter.total
	m.Stages = map[string]Latency{}
	for i, name := range stageNames {
		m.Stages[name] = e.meter.stages[i]
	}
	m.Rules = map[string]RuleMetrics{}
	for id, r := range e.meter.rules {
		m.Rules[id] = *r
	}
	e.meter.mu.Unlock()
	m.Destinations = e.serving()
	m.Sent, m.Failed = e.meter.sent.Load(), e.meter.failed.Load()
	m.Intake = len(e.intake)
	m.Uptime = e.opts.Now().Sub(e.started)
	m.Plugins = map[string]PluginMetrics{}
	for id, p := range e.plugins.byID {
		s, state := p.Stats(), p.State()
		m.Plugins[id] = PluginMetrics{
			Name: state.Name, Version: state.Version, Paused: state.Paused, Calls: s.Calls, Errors: s.Errors, Items: s.Items,
			Made: s.Made, Discarded: s.Discarded, Recycled: s.Recycled, Busy: s.Busy, Slowest: s.Slowest,
		}
	}
	s := e.store.Stats()
	m.Store = StoreMetrics{Commits: s.Commits, Updates: s.Updates, Bytes: s.Bytes, Queue: s.Waiting, Free: s.FreeBytes}
	return m
}
