package engine

import (
	"cmp"
	"errors"
	"hash/maphash"
	"math"
	"slices"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// ValueAtRisk is the account value behind cases about a theme. An account is Customer.Account of the feedback, or the
// customer where that is not given, and is worth what the case about its latest feedback says.
type ValueAtRisk struct {
	Theme     feedback.ThemePath `json:"theme,omitempty"`
	Cases     int                `json:"cases"`     // open ones
	Customers int                `json:"customers"` // accounts with open cases
	Value     float64            `json:"value"`     // of these accounts: what is at risk
	Late      float64            `json:"late"`      // of these accounts, of those with an open case past a promise
	// Affected is the value of all accounts with a case of the time of the report, or with an open one.
	Affected          float64 `json:"affected"`
	AffectedCustomers int     `json:"affected_customers"`
}

// risk is the accounts with cases about a theme, by the hash of their names.
type risk struct {
	cases    int
	accounts map[uint64]atStake
}

// atStake is what is known of an account.
type atStake struct {
	value      float64
	of         feedback.ItemID // whose case says so
	open, late bool
}

// risk counts a case for its themes and for all.
func (r *reporting) risk(snap *store.Snapshot, c *feedback.Case) error {
	labels, _, err := records.EffectiveLabels(snap, c.Item)
	if err != nil {
		return err
	}
	name, err := accountOf(snap, c)
	if err != nil {
		return err
	}
	account := maphash.String(r.accounts, name)
	paths := []feedback.ThemePath{""}
	for i := range labels.Themes {
		if p := labels.Themes[i].Path; !slices.Contains(paths, p) {
			paths = append(paths, p)
		}
	}
	for _, path := range paths {
		v := r.risks[path]
		if v == nil {
			v = &risk{accounts: map[uint64]atStake{}}
			r.risks[path] = v
		}
		a := v.accounts[account]
		if c.Value != nil && c.Item >= a.of { // ids of items are in the order of their time: the latest counts
			a.value, a.of = *c.Value, c.Item
		}
		if c.Status.Open() {
			v.cases++
			a.open = true
			a.late = a.late || c.OverdueAt != 0 || c.BreachedAt != 0 && c.RespondedAt == 0
		}
		v.accounts[account] = a
	}
	return nil
}

// accountOf returns what tells the account of a case from others.
func accountOf(snap *store.Snapshot, c *feedback.Case) (string, error) {
	it, err := store.Load[struct {
		Feedback struct {
			Customer struct {
				Account string `json:"account"`
			} `json:"customer"`
		} `json:"item"`
	}](snap, records.ItemKey(c.Item))
	if errors.Is(err, store.ErrNotFound) {
		return "c" + cmp.Or(c.Customer, string(c.ID)), nil
	}
	if err != nil {
		return "", err
	}
	if account := it.Feedback.Customer.Account; account != "" {
		return "a" + account, nil
	}
	return "c" + cmp.Or(c.Customer, string(c.ID)), nil
}

// atRisk adds the accounts up, by theme and in all.
func (r *reporting) atRisk() (themes []ValueAtRisk, total ValueAtRisk) {
	themes = []ValueAtRisk{}
	for path, found := range r.risks {
		v := ValueAtRisk{Theme: path, Cases: found.cases, AffectedCustomers: len(found.accounts)}
		for _, a := range found.accounts {
			v.Affected += a.value
			if a.open {
				v.Customers++
				v.Value += a.value
			}
			if a.late {
				v.Late += a.value
			}
		}
		for _, sum := range [...]*float64{&v.Value, &v.Late, &v.Affected} {
			*sum = math.Round(*sum*100) / 100 // whatever the order of adding up
		}
		switch {
		case path == "":
			total = v
		case v.Cases > 0 || v.Affected > 0:
			themes = append(themes, v)
		}
	}
	slices.SortFunc(themes, func(a, b ValueAtRisk) int {
		return cmp.Or(cmp.Compare(b.Value, a.Value), b.Cases-a.Cases, cmp.Compare(b.Affected, a.Affected), cmp.Compare(a.Theme, b.Theme))
	})
	return themes, total
}
