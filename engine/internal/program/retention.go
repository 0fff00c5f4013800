package program

import "time"

// readRetention reads how long what there is is kept.
func (l *loader) readRetention() {
	n := l.root.Get("retention")
	if n.IsNull() || !n.Object("items", "sources", "cases", "decisions", "dead_letters", "backups") {
		return
	}
	r := &l.p.Retention
	for name, into := range map[string]*time.Duration{
		"items": &r.Items, "cases": &r.Cases, "decisions": &r.Decisions, "dead_letters": &r.DeadLetters, "backups": &r.Backups,
	} {
		*into = duration(n.Get(name), 0)
	}
	for _, e := range entries(n.Get("sources")) {
		if !checkID(e.Key, e.Name) {
			continue
		}
		if r.Sources == nil {
			r.Sources = map[string]time.Duration{}
		}
		r.Sources[e.Name] = duration(e.Value, 0)
	}
}
