package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// serverEnv is the address to which the victims that do everything deliver.
const serverEnv = "CLOSEDLOOP_TEST_SERVER"

// soakDirs are where such a victim keeps its state and its backups: on a disk of their own below the program.
func soakDirs(program string) (disk, state, backups string) {
	disk = filepath.Join(program, "disk")
	return disk, filepath.Join(disk, "state"), filepath.Join(disk, "backups")
}

// openSoak opens the program of the soak with a clock of its own.
func openSoak(ctx context.Context, dir string, now func() time.Time) (*engine.Engine, error) {
	_, state, _ := soakDirs(dir)
	return engine.Open(ctx, dir, engine.Options{
		State: state, Profile: engine.Small, Now: now,
		Native: map[string]sdk.Plugin{
			"feed": native(sdk.AbilityPoll, stream{}), "words": native(sdk.AbilityCategorize, words{}),
			"sink": native(sdk.AbilityDeliver, courier{os.Getenv(serverEnv)}),
		},
	})
}

// stream is a source without an end: its checkpoint is how many items it has given.
type stream struct{}

func (stream) Poll(_ context.Context, req sdk.PollRequest) (sdk.PollResult, error) {
	n, _ := strconv.Atoi(string(req.Checkpoint))
	var items []feedback.Item
	for range 5 {
		items = append(items, soakItem("stream-"+strconv.Itoa(n), n))
		n++
	}
	return sdk.PollResult{Items: items, Next: strconv.AppendInt(nil, int64(n), 10), Wait: 100 * time.Millisecond}, nil
}

// soakItem is an answer whose text tells its id.
func soakItem(id string, n int) feedback.Item {
	it := answer(id, float64(n%11), "id="+id+"; late #shipping"+string(bytes.Repeat([]byte(" and more"), n%300)))
	it.OccurredAt = feedback.TimeOf(time.Now())
	return it
}

// courier delivers to a server of HTTP.
type courier struct{ url string }

func (c courier) Deliver(ctx context.Context, m sdk.Message) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(m.Body))
	if err != nil {
		return err
	}
	req.Header.Set("Idempotency-Key", m.Key)
	req.Header.Set("Kind", m.Kind)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return sdk.Retry(0, "%v", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return sdk.Retry(0, "%s", resp.Status)
	}
	return nil
}

// doEverything is a victim that takes items from two callers and a source, delivers them, changes its rules, corrects
// labels, works on cases, erases persons, backs up, compacts and reloads, all at once, while its clock steps to and fro. It
// goes on when the disk is full, and tells of it.
func doEverything(v *victim) error {
	ctx := context.Background()
	_, _, backups := soakDirs(v.dir)
	if err := v.patiently("folder", func() error { return os.MkdirAll(backups, 0o700) }); err != nil {
		return err
	}
	var step atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(step.Load())) }
	var e *engine.Engine
	open := func() (err error) { e, err = openSoak(ctx, v.dir, now); return err }
	if err := v.patiently("open", open); err != nil {
		return err
	}
	v.ack("open")
	failed := make(chan error)
	again := func(what string, every time.Duration, do func(n int) error) {
		go func() {
			for n := 0; ; n++ {
				if err := v.patiently(what, func() error { return do(n) }); err != nil {
					failed <- fmt.Errorf("%s: %w", what, err)
				}
				time.Sleep(every)
			}
		}()
	}
	s := &soaker{v: v, e: e}
	go func() { failed <- e.Run(ctx) }()
	for caller := range 2 {
		again("ingest", 0, func(n int) error { return s.ingest(ctx, caller, n) })
	}
	again("activate", 50*time.Millisecond, func(n int) error { return s.activate(ctx, n) })
	again("correct", 10*time.Millisecond, func(int) error { return s.correct(ctx) })
	again("work", 10*time.Millisecond, func(n int) error { return s.work(ctx, n) })
	again("erase", 50*time.Millisecond, func(n int) error { return s.erase(ctx, n) })
	again("backup", 300*time.Millisecond, func(n int) error { return s.backup(ctx, n) })
	again("compact", time.Second, func(int) error { _, err := e.CompactStore(ctx, nil); return err })
	again("reload", 400*time.Millisecond, func(int) error { _, err := e.Reload(ctx); return err })
	again("clock", 100*time.Millisecond, func(int) error {
		step.Store(int64(time.Duration(rand.IntN(5)-2) * time.Hour))
		return nil
	})
	return <-failed
}

// patiently does something until the disk is not full.
func (v *victim) patiently(what string, do func() error) error {
	for {
		err := do()
		if !errors.Is(err, engine.ErrFull) && !errors.Is(err, syscall.ENOSPC) {
			return err
		}
		v.ack("full " + what)
		time.Sleep(10 * time.Millisecond)
	}
}

// soaker is the work on one engine.
type soaker struct {
	v *victim
	e *engine.Engine
}

func (s *soaker) ingest(ctx context.Context, caller, n int) error {
	it := soakItem(fmt.Sprintf("%d-%d-%d", s.v.round, caller, n), n)
	if _, err := s.e.Ingest(ctx, "app", it); err != nil {
		return err
	}
	s.v.ack("item " + it.ExternalID)
	return nil
}

// activate has another version of the rules decide, and goes back every third time.
func (s *soaker) activate(ctx context.Context, n int) error {
	path := filepath.Join(s.e.Dir(), "rules", "route.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	body, _, _ := bytes.Cut(text, []byte("# version"))
	version := fmt.Appendf(body, "# version %d\n", n%5)
	if err := os.WriteFile(path+".new", version, 0o600); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	if n%3 == 2 {
		if _, err = s.e.Rollback(ctx, engine.RollbackOptions{By: "ben"}); errors.Is(err, engine.ErrNotFound) {
			return nil // it went back to the first already
		}
		return err
	}
	_, err = s.e.Activate(ctx, engine.ActivateOptions{By: "anna"})
	return err
}

// correct gives the latest item that nobody erases a theme that the life is called after.
func (s *soaker) correct(ctx context.Context) error {
	items, err := s.e.Items(ctx, engine.ItemQuery{Limit: 8})
	items = slices.DeleteFunc(items, func(it engine.Item) bool { return it.Score == nil }) // see erase
	if err != nil || len(items) == 0 {
		return err
	}
	theme := feedback.ThemePath(fmt.Sprintf("life-%d", s.v.round))
	_, err = s.e.Correct(ctx, engine.Correction{
		Item: items[0].ID, By: engine.Actor{Name: "anna"}, Why: "it is so", Add: []feedback.ThemePath{theme},
	})
	if err == nil {
		s.v.ack(fmt.Sprintf("label %s %s", items[0].ID, theme))
	}
	return err
}

// work notes something on a case.
func (s *soaker) work(ctx context.Context, n int) error {
	cases, err := s.e.Cases(ctx, engine.CaseQuery{Limit: 5})
	if err != nil || len(cases) == 0 {
		return err
	}
	c, note := cases[n%len(cases)].ID, fmt.Sprintf("note-%d-%d", s.v.round, n)
	_, err = s.e.ActOnCase(ctx, engine.CaseAction{Case: c, Action: engine.ActionNote, By: engine.Actor{Name: "anna"}, Why: note})
	if err == nil {
		s.v.ack(fmt.Sprintf("note %s %s", c, note))
	}
	return err
}

// erase takes in what a person says, erases the person, and takes it in again, which must not bring it back.
func (s *soaker) erase(ctx context.Context, n int) error {
	name := fmt.Sprintf("gone-%d-%d", s.v.round, n)
	it := feedback.Item{ExternalID: name, Text: "late #shipping", OccurredAt: answer("", 0, "").OccurredAt, Customer: feedback.Customer{ID: name}}
	if _, err := s.e.Ingest(ctx, "app", it); err != nil {
		return err
	}
	_, err := s.e.EraseCustomer(ctx, engine.Erasure{Customer: name, By: engine.Actor{Name: "anna"}, Why: "asked for it"})
	if err != nil && !errors.Is(err, engine.ErrNotFound) { // it was erased before the disk was full
		return err
	}
	if _, err := s.e.Ingest(ctx, "app", it); err != nil {
		return err
	}
	s.v.ack("erased " + name)
	return nil
}

// backup makes a backup and removes the one before the last.
func (s *soaker) backup(ctx context.Context, n int) error {
	_, _, dir := soakDirs(s.v.dir)
	name := func(n int) string { return filepath.Join(dir, fmt.Sprintf("%d-%d", s.v.round, n)) }
	err := os.Remove(name(n - 2))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if _, err := s.e.BackupFile(ctx, engine.BackupFileOptions{Path: name(n)}, nil); err != nil {
		return err
	}
	s.v.ack("backup " + name(n))
	return nil
}
