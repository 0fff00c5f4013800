package records

import (
	"errors"
	"math"
	"strings"

	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// CustomerCases are the latest cases of a customer, the latest last.
type CustomerCases struct {
	Cases []feedback.CaseID `json:"cases"`
}

// mostCustomerCases bounds CustomerCases.
const mostCustomerCases = 8

// TimerCase is the kind of the timer of a case: it fires when something is due next. Its reference is the case's id.
const TimerCase = "sla"

// Add adds a case, and forgets the oldest when there are too many.
func (c *CustomerCases) Add(id feedback.CaseID) {
	c.Cases = append(c.Cases, id)
	c.Cases = c.Cases[max(0, len(c.Cases)-mostCustomerCases):]
}

// The second field of the keys by which cases are found.
const (
	byOpenCase     = "opencase"
	byCustomerCase = "customercase"
	latestCases    = "latestcases"
)

// LoadCase reads a case. One of a store that knew no more than open cases has its state of today: new, or assigned.
func LoadCase(r Reader, id feedback.CaseID) (*feedback.Case, error) {
	c, err := store.Load[feedback.Case](r, CaseKey(id))
	if err != nil {
		return nil, err
	}
	Present(c)
	return c, nil
}

// Present brings a case that was stored before there were more states than open into the state that it has today, and
// reports whether it was one.
func Present(c *feedback.Case) bool {
	if c.Status != feedback.CaseOpen {
		return false
	}
	c.Status = feedback.CaseNew
	if c.Owner != "" {
		c.Status = feedback.CaseAssigned
	}
	if c.DueAt != 0 && c.ResponseSLA == 0 {
		c.ResponseSLA = c.DueAt.Std().Sub(c.OpenedAt.Std())
	}
	return true
}

// DueOf returns the instant by which open cases are ordered: the response's, else the resolution's, else one behind all.
func DueOf(c *feedback.Case) feedback.Time {
	switch {
	case c.DueAt != 0:
		return c.DueAt
	case c.ResolveBy != 0:
		return c.ResolveBy
	}
	return math.MaxInt64
}

// OpenCaseKey indexes the open cases of a queue by what is due first. Its value is made by OpenCaseValue.
func OpenCaseKey(queue string, due feedback.Time, id feedback.CaseID) []byte {
	return openCases(queue).Time(due).Str(string(id)).Bytes()
}

// OpenCaseValue is the value of an OpenCaseKey: what cases are chosen by without reading them.
func OpenCaseValue(c *feedback.Case) []byte {
	late := ""
	if c.BreachedAt != 0 {
		late += breachedMark
	}
	if c.OverdueAt != 0 {
		late += overdueMark
	}
	return []byte(string(c.Status) + "\x00" + c.Owner + "\x00" + late)
}

// The marks of an OpenCaseValue.
const (
	breachedMark = "b"
	overdueMark  = "o"
)

func openCases(queue string) store.Key { return store.NewKey('i').Str(byOpenCase).Str(queue) }

// CustomerCaseKey indexes the cases of a customer.
func CustomerCaseKey(customer string, id feedback.CaseID) []byte {
	return store.NewKey('i').Str(byCustomerCase).Str(customer).Str(string(id)).Bytes()
}

// LatestCasesKey is the key of a CustomerCases.
func LatestCasesKey(customer string) []byte {
	return store.NewKey(store.KeyMeta).Str(latestCases).Str(customer).Bytes()
}

// OpenCase is an entry of the index of open cases.
type OpenCase struct {
	ID     feedback.CaseID
	Status feedback.CaseStatus
	Queue  string
	Due    feedback.Time // see DueOf
	Owner  string
	// Breached and Overdue tell whether BreachedAt and OverdueAt are set.
	Breached, Overdue bool
}

// OpenCases calls yield with the open cases of a queue, what is due first first, until it returns false.
func OpenCases(s *store.Snapshot, queue string, yield func(OpenCase) (bool, error)) error {
	return s.Scan(openCases(queue).Bytes(), nil, false, func(key, value []byte) (bool, error) {
		r := store.ReadKey(key)
		_ = r.Str()
		status, owner, _ := strings.Cut(string(value), "\x00")
		owner, late, _ := strings.Cut(owner, "\x00")
		c := OpenCase{
			Queue: r.Str(), Due: r.Time(), ID: feedback.CaseID(r.Str()), Status: feedback.CaseStatus(status), Owner: owner,
			Breached: strings.Contains(late, breachedMark), Overdue: strings.Contains(late, overdueMark),
		}
		if err := r.Err(); err != nil {
			return false, err
		}
		return yield(c)
	})
}

// CountCases returns how many cases have a status, without reading them.
func CountCases(s *store.Snapshot, status feedback.CaseStatus) (n int, err error) {
	err = s.Scan(store.NewKey('i').Str(byCase).Str(string(status)).Bytes(), nil, false, func(_, _ []byte) (bool, error) {
		n++
		return true, nil
	})
	return n, err
}

// OpenQueues returns the queues that have open cases, which may be one without a name, by stepping from one to the next.
func OpenQueues(s *store.Snapshot) (queues []string, err error) {
	prefix := store.NewKey('i').Str(byOpenCase).Bytes()
	var from []byte
	for found := true; found && err == nil; {
		found = false
		err = s.Scan(prefix, from, false, func(key, _ []byte) (bool, error) {
			q, err := lastString(key, 2)
			queues, found = append(queues, q), err == nil
			from = openCases(q).Time(math.MaxInt64).Str("\U0010FFFF").Bytes()
			return false, err
		})
	}
	return queues, err
}

// CasesOf returns the ids of at most limit cases of a status, after a case, the oldest first.
func CasesOf(s *store.Snapshot, status feedback.CaseStatus, after feedback.CaseID, limit int) ([]feedback.CaseID, error) {
	return caseIDs(s, store.NewKey('i').Str(byCase).Str(string(status)).Bytes(), CaseStatusKey(status, after), after, limit)
}

// CasesOfCustomer returns the ids of at most limit cases of a customer, after a case, the oldest first.
func CasesOfCustomer(s *store.Snapshot, customer string, after feedback.CaseID, limit int) ([]feedback.CaseID, error) {
	prefix := store.NewKey('i').Str(byCustomerCase).Str(customer).Bytes()
	return caseIDs(s, prefix, CustomerCaseKey(customer, after), after, limit)
}

func caseIDs(s *store.Snapshot, prefix, last []byte, after feedback.CaseID, limit int) (ids []feedback.CaseID, err error) {
	var from []byte
	if after != "" {
		from = append(last, 0)
	}
	err = s.Scan(prefix, from, false, func(key, _ []byte) (bool, error) {
		if len(ids) >= limit {
			return false, nil
		}
		id, err := lastString(key, 3)
		ids = append(ids, feedback.CaseID(id))
		return err == nil, err
	})
	return ids, err
}

// CasesWithPrefix returns at most limit cases whose ids begin with a text, in the order of their ids.
func CasesWithPrefix(s *store.Snapshot, prefix string, limit int) ([]feedback.Case, error) {
	out := []feedback.Case{}
	err := Each(s, CasePrefix(), CaseKey(feedback.CaseID(prefix)), false, func(c *feedback.Case) (bool, error) {
		if len(out) >= limit || !strings.HasPrefix(string(c.ID), prefix) {
			return false, nil
		}
		Present(c)
		out = append(out, *c)
		return true, nil
	})
	return out, err
}

// EachCase calls yield with every case, the oldest first, until it returns false.
func EachCase(s *store.Snapshot, yield func(*feedback.Case) (bool, error)) error {
	return Each(s, CasePrefix(), nil, false, func(c *feedback.Case) (bool, error) {
		Present(c)
		return yield(c)
	})
}

// LatestCases returns the latest cases of a customer, of whom there may be none.
func LatestCases(r Reader, customer string) (*CustomerCases, error) {
	c, err := store.Load[CustomerCases](r, LatestCasesKey(customer))
	if errors.Is(err, store.ErrNotFound) {
		return &CustomerCases{}, nil
	}
	return c, err
}
