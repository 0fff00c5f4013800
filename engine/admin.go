package engine

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/closedloop/closedloop/engine/internal/admin"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// ErrNotRunning says that no engine works on a state directory.
var ErrNotRunning = admin.ErrNotRunning

// Queries is what can be asked of a program's state, and what people do to it: of a State that this process opened, an
// Engine, or a Client of an engine in another process.
type Queries interface {
	Items(context.Context, ItemQuery) ([]Item, error)
	Item(context.Context, feedback.ItemID) (*Item, error)
	Decisions(context.Context, feedback.ItemID) ([]rules.Decision, error)
	Explain(context.Context, feedback.ItemID) (*Explanation, error)
	LabelHistory(context.Context, feedback.ItemID) ([]feedback.Change, error)
	Activations(ctx context.Context, limit int) ([]Activation, error)
	Firings(ctx context.Context, since feedback.Time) (map[string]int, error)
	Cases(context.Context, CaseQuery) ([]feedback.Case, error)
	Case(context.Context, feedback.CaseID) (*feedback.Case, error)
	ActOnCase(context.Context, CaseAction) (feedback.Case, error)
	Customer(ctx context.Context, id string) (*CustomerStory, error)
	Customers(context.Context, CustomerQuery) ([]CustomerFound, error)
	EraseCustomer(context.Context, Erasure) (*ErasureReceipt, error)
	Erasures(context.Context) ([]ErasureReceipt, error)
	Holds(context.Context) ([]Hold, error)
	Retention(context.Context) (*RetentionReport, error)
	ChangeHold(context.Context, HoldChange) (Hold, error)
	Audit(context.Context, AuditQuery) ([]AuditEntry, error)
	AuditVerify(context.Context) (AuditHead, error)
	CaseReport(context.Context, CaseReportQuery) (*CaseReport, error)
	Imports(context.Context) ([]Import, error)
	Alerts(context.Context) ([]feedback.Alert, error)
	Windows(ctx context.Context, name string) ([]rules.WindowFigure, error)
	Silences(context.Context) ([]Silence, error)
	Silence(context.Context, Silence) (Silence, error)
	Unsilence(ctx context.Context, by Actor, id, why string) (Silence, error)
	Deliveries(context.Context, DeliveryQuery) (DeliveryPage, error)
	Delivery(ctx context.Context, key string) (*Delivery, error)
	ActOnDeliveries(context.Context, DeliveryAction) (DeliveryResult, error)
	Destinations(context.Context) ([]DestinationState, error)
	DeadLetters(ctx context.Context, kind feedback.DeadLetterKind, limit int) ([]feedback.DeadLetter, error)
	Themes(context.Context, MetricQuery) ([]Theme, error)
	NPS(context.Context, MetricQuery) (NPS, error)
	Metric(context.Context, MetricQuery) (*MetricResult, error)
	Measures(context.Context) ([]Measure, error)
	Stats(context.Context) (*Stats, error)
	Backtest(ctx context.Context, o BacktestOptions, progress func(done, total int)) (*Backtest, error)
	Diff(ctx context.Context, o DiffOptions, progress func(done, total int)) (*Diff, error)
}

var (
	_ Queries = (*Engine)(nil)
	_ Queries = (*State)(nil)
	_ Queries = (*Client)(nil)
)

// listing is the argument of the methods that list by one name.
type listing struct {
	Name  string `json:"name"`
	Limit int    `json:"limit"`
}

// unsilencing are the arguments of Unsilence.
type unsilencing struct {
	ID  string `json:"id"`
	By  Actor  `json:"by"`
	Why string `json:"why"`
}

// activated is the answer to an activation: what the gate refuses crosses the socket whole.
type activated struct {
	Activation *Activation `json:"activation,omitempty"`
	Refused    *GateReport `json:"refused,omitempty"`
}

// method makes a method of the socket from a function of one argument.
func method[A, R any](f func(context.Context, A) (R, error)) admin.Method {
	return func(ctx context.Context, raw json.RawMessage) (any, error) {
		var args A
		if err := json.Unmarshal(raw, &args); err != nil {
			return nil, err
		}
		return f(ctx, args)
	}
}

// told makes a method of the socket from a function that tells how far it is.
func told[A, R any](f func(context.Context, A, func(done, total int)) (R, error)) admin.Method {
	return admin.Telling(func(ctx context.Context, raw json.RawMessage, tell func(any)) (any, error) {
		var args A
		if err := json.Unmarshal(raw, &args); err != nil {
			return nil, err
		}
		var last time.Time
		return f(ctx, args, func(done, total int) {
			if now := time.Now(); done == total || now.Sub(last) >= tellingBetween {
				last = now
				tell(howFar{done, total})
			}
		})
	})
}

// howFar is what a method tells.
type howFar struct {
	Done  int `json:"done"`
	Total int `json:"total"`
}

// tellingBetween is the least time between two tellings.
const tellingBetween = 100 * time.Millisecond

func (e *Engine) serveAdmin() (*admin.Server, error) {
	type none struct{}
	return admin.Serve(e.dir, map[string]admin.Method{
		"items":        method(e.Items),
		"item":         method(e.Item),
		"decisions":    method(e.Decisions),
		"explain":      method(e.Explain),
		"cases":        method(e.Cases),
		"labels":       method(e.LabelHistory),
		"case_report":  method(e.CaseReport),
		"imports":      method(func(ctx context.Context, _ none) ([]Import, error) { return e.Imports(ctx) }),
		"import":       told(e.Import),
		"undo_import":  told(e.UndoImport),
		"case":         method(e.Case),
		"case_act":     method(e.ActOnCase),
		"customer":     method(e.Customer),
		"customers":    method(e.Customers),
		"erase":        method(e.EraseCustomer),
		"erasures":     method(func(ctx context.Context, _ none) ([]ErasureReceipt, error) { return e.Erasures(ctx) }),
		"holds":        method(func(ctx context.Context, _ none) ([]Hold, error) { return e.Holds(ctx) }),
		"hold_change":  method(e.ChangeHold),
		"retention":    method(func(ctx context.Context, _ none) (*RetentionReport, error) { return e.Retention(ctx) }),
		"correct":      method(e.Correct),
		"audit":        method(e.Audit),
		"audit_verify": method(func(ctx context.Context, _ none) (AuditHead, error) { return e.AuditVerify(ctx) }),
		"alerts":       method(func(ctx context.Context, _ none) ([]feedback.Alert, error) { return e.Alerts(ctx) }),
		"windows":      method(func(ctx context.Context, l listing) ([]rules.WindowFigure, error) { return e.Windows(ctx, l.Name) }),
		"silences":     method(func(ctx context.Context, _ none) ([]Silence, error) { return e.Silences(ctx) }),
		"silence":      method(e.Silence),
		"unsilence":    method(func(ctx context.Context, u unsilencing) (Silence, error) { return e.Unsilence(ctx, u.By, u.ID, u.Why) }),
		"deliveries":   method(e.Deliveries),
		"delivery":     method(e.Delivery),
		"delivery_act": method(e.ActOnDeliveries),
		"destinations": method(func(ctx context.Context, _ none) ([]DestinationState, error) { return e.Destinations(ctx) }),
		"dead_letters": method(func(ctx context.Context, l listing) ([]feedback.DeadLetter, error) {
			return e.DeadLetters(ctx, feedback.DeadLetterKind(l.Name), l.Limit)
		}),
		"themes":      method(e.Themes),
		"nps":         method(e.NPS),
		"metric":      method(e.Metric),
		"measures":    method(func(ctx context.Context, _ none) ([]Measure, error) { return e.Measures(ctx) }),
		"stats":       method(func(ctx context.Context, _ none) (*Stats, error) { return e.Stats(ctx) }),
		"metrics":     method(func(context.Context, none) (Metrics, error) { return e.Metrics(), nil }),
		"replay":      method(e.Replay),
		"plugins":     method(func(ctx context.Context, _ none) ([]PluginState, error) { return e.Plugins(ctx) }),
		"resume":      method(e.ResumePlugin),
		"backtest":    told(e.Backtest),
		"diff":        told(e.Diff),
		"reload":      method(func(ctx context.Context, _ none) (Reloaded, error) { return e.Reload(ctx) }),
		"activations": method(func(ctx context.Context, l listing) ([]Activation, error) { return e.Activations(ctx, l.Limit) }),
		"activate": method(func(ctx context.Context, o ActivateOptions) (activated, error) {
			a, err := e.Activate(ctx, o)
			if refused := (*GateError)(nil); errors.As(err, &refused) {
				return activated{Refused: &refused.Report}, nil
			}
			return activated{Activation: a}, err
		}),
		"rollback": method(e.Rollback),
		"backup":   told(e.BackupFile),
		"store_check": told(func(ctx context.Context, _ none, progress func(done, total int)) (*StoreCheck, error) {
			return e.CheckStore(ctx, progress)
		}),
		"store_stats": told(func(ctx context.Context, _ none, progress func(done, total int)) (*StoreStats, error) {
			return e.StoreStats(ctx, progress)
		}),
		"store_compact": told(func(ctx context.Context, _ none, progress func(done, total int)) (*Compaction, error) {
			return e.CompactStore(ctx, progress)
		}),
		"firings": method(e.Firings),
	}, errorCode)
}

// sentinels are the errors that keep their identity across the socket. Of an error that is several the first one counts:
// those that say why nothing was done come before what they wrap.
var sentinels = [...]struct {
	code string
	is   error
}{
	{"closed", ErrClosed}, {"poisoned", ErrPoisoned}, {"full", ErrFull}, {"busy", ErrBusy}, {"denied", ErrDenied},
	{"damaged", ErrDamaged}, {"backup_damaged", ErrBackupDamaged}, {"no_base", ErrNoBase}, {"restart", ErrRestart},
	{"transition", ErrTransition}, {"held", ErrHeld}, {"named", ErrNamed}, {"no_replay", ErrNoReplay},
	{"no_destination", ErrNoDestination}, {"query", ErrQuery}, {"missing", ErrMissing}, {"not_found", ErrNotFound},
}

func errorCode(err error) string {
	for _, s := range sentinels {
		if errors.Is(err, s.is) {
			return s.code
		}
	}
	return ""
}

// Client asks an engine that runs in another process.
type Client struct {
	CaseDesk

	admin *admin.Client
}

// Dial connects to the engine that works on the state directory, or fails with ErrNotRunning.
func Dial(state string) (*Client, error) {
	c, err := admin.Dial(state)
	if err != nil {
		return nil, err
	}
	client := &Client{admin: c}
	client.CaseDesk = CaseDesk{client.ActOnCase}
	return client, nil
}

// remoteError is an error of the engine with the identity that it has there.
type remoteError struct{ message, is error }

func (e *remoteError) Error() string { return e.message.Error() }
func (e *remoteError) Unwrap() error { return e.is }

func call[R any](ctx context.Context, c *Client, method string, args any) (R, error) {
	var result R
	err := c.admin.Call(ctx, method, args, &result)
	return result, withIdentity(err)
}

// callTold is call of a method that tells how far it is; progress may be nil.
func callTold[R any](ctx context.Context, c *Client, method string, args any, progress func(done, total int)) (*R, error) {
	result := new(R)
	err := c.admin.CallTold(ctx, method, args, result, func(raw json.RawMessage) {
		var p howFar
		if progress != nil && json.Unmarshal(raw, &p) == nil {
			progress(p.Done, p.Total)
		}
	})
	if err != nil {
		return nil, withIdentity(err)
	}
	return result, nil
}

// withIdentity gives an error of the engine the identity that it has there.
func withIdentity(err error) error {
	if e := (*admin.Error)(nil); errors.As(err, &e) {
		for _, s := range sentinels {
			if s.code == e.Code {
				return &remoteError{e, s.is}
			}
		}
	}
	return err
}

// Close releases the connection.
func (c *Client) Close() error { return c.admin.Close() }

// Items asks as State.Items does.
func (c *Client) Items(ctx context.Context, q ItemQuery) ([]Item, error) {
	return call[[]Item](ctx, c, "items", q)
}

// Item asks as State.Item does.
func (c *Client) Item(ctx context.Context, id feedback.ItemID) (*Item, error) {
	return call[*Item](ctx, c, "item", id)
}

// Decisions asks as State.Decisions does.
func (c *Client) Decisions(ctx context.Context, id feedback.ItemID) ([]rules.Decision, error) {
	return call[[]rules.Decision](ctx, c, "decisions", id)
}

// Explain asks as State.Explain does.
func (c *Client) Explain(ctx context.Context, id feedback.ItemID) (*Explanation, error) {
	return call[*Explanation](ctx, c, "explain", id)
}

// LabelHistory asks as State.LabelHistory does.
func (c *Client) LabelHistory(ctx context.Context, id feedback.ItemID) ([]feedback.Change, error) {
	return call[[]feedback.Change](ctx, c, "labels", id)
}

// Activations asks as State.Activations does.
func (c *Client) Activations(ctx context.Context, limit int) ([]Activation, error) {
	return call[[]Activation](ctx, c, "activations", listing{Limit: limit})
}

// Activate asks as State.Activate does. Problems of program.yaml come as text.
func (c *Client) Activate(ctx context.Context, o ActivateOptions) (*Activation, error) {
	answer, err := call[activated](ctx, c, "activate", o)
	if err == nil && answer.Refused != nil {
		err = &GateError{*answer.Refused}
	}
	return answer.Activation, err
}

// Firings asks as State.Firings does.
func (c *Client) Firings(ctx context.Context, since feedback.Time) (map[string]int, error) {
	return call[map[string]int](ctx, c, "firings", since)
}

// Rollback asks as State.Rollback does.
func (c *Client) Rollback(ctx context.Context, o RollbackOptions) (*Activation, error) {
	return call[*Activation](ctx, c, "rollback", o)
}

// Cases asks as State.Cases does.
func (c *Client) Cases(ctx context.Context, q CaseQuery) ([]feedback.Case, error) {
	return call[[]feedback.Case](ctx, c, "cases", q)
}

// Windows is State.Windows.
func (c *Client) Windows(ctx context.Context, name string) ([]rules.WindowFigure, error) {
	return call[[]rules.WindowFigure](ctx, c, "windows", listing{Name: name})
}

// Silences is State.Silences.
func (c *Client) Silences(ctx context.Context) ([]Silence, error) {
	return call[[]Silence](ctx, c, "silences", struct{}{})
}

// Silence is Engine.Silence.
func (c *Client) Silence(ctx context.Context, q Silence) (Silence, error) {
	return call[Silence](ctx, c, "silence", q)
}

// Unsilence is Engine.Unsilence.
func (c *Client) Unsilence(ctx context.Context, by Actor, id, why string) (Silence, error) {
	return call[Silence](ctx, c, "unsilence", unsilencing{id, by, why})
}

// Case asks as State.Case does.
func (c *Client) Case(ctx context.Context, id feedback.CaseID) (*feedback.Case, error) {
	return call[*feedback.Case](ctx, c, "case", id)
}

// ActOnCase asks as State.ActOnCase does. The engine takes the actor at its word, and asks its host whether it may.
func (c *Client) ActOnCase(ctx context.Context, a CaseAction) (feedback.Case, error) {
	return call[feedback.Case](ctx, c, "case_act", a)
}

// Imports asks as State.Imports does.
func (c *Client) Imports(ctx context.Context) ([]Import, error) {
	return call[[]Import](ctx, c, "imports", struct{}{})
}

// UndoImport asks as Engine.UndoImport does.
func (c *Client) UndoImport(ctx context.Context, o Undo, progress func(done, total int)) (*Undone, error) {
	return callTold[Undone](ctx, c, "undo_import", o, progress)
}

// Correct asks as Engine.Correct does.
func (c *Client) Correct(ctx context.Context, o Correction) (*Item, error) {
	return call[*Item](ctx, c, "correct", o)
}

// Customer asks as State.Customer does.
func (c *Client) Customer(ctx context.Context, id string) (*CustomerStory, error) {
	return call[*CustomerStory](ctx, c, "customer", id)
}

// Customers asks as State.Customers does.
func (c *Client) Customers(ctx context.Context, q CustomerQuery) ([]CustomerFound, error) {
	return call[[]CustomerFound](ctx, c, "customers", q)
}

// CaseReport asks as State.CaseReport does.
func (c *Client) CaseReport(ctx context.Context, q CaseReportQuery) (*CaseReport, error) {
	return call[*CaseReport](ctx, c, "case_report", q)
}

// Audit asks as State.Audit does.
func (c *Client) Audit(ctx context.Context, q AuditQuery) ([]AuditEntry, error) {
	return call[[]AuditEntry](ctx, c, "audit", q)
}

// AuditVerify asks as State.AuditVerify does.
func (c *Client) AuditVerify(ctx context.Context) (AuditHead, error) {
	return call[AuditHead](ctx, c, "audit_verify", struct{}{})
}

// Alerts asks as State.Alerts does.
func (c *Client) Alerts(ctx context.Context) ([]feedback.Alert, error) {
	return call[[]feedback.Alert](ctx, c, "alerts", struct{}{})
}

// Deliveries asks as State.Deliveries does.
func (c *Client) Deliveries(ctx context.Context, q DeliveryQuery) (DeliveryPage, error) {
	return call[DeliveryPage](ctx, c, "deliveries", q)
}

// Delivery asks as State.Delivery does.
func (c *Client) Delivery(ctx context.Context, key string) (*Delivery, error) {
	return call[*Delivery](ctx, c, "delivery", key)
}

// ActOnDeliveries asks as State.ActOnDeliveries does. The engine takes the actor at its word, and asks its host whether
// it may.
func (c *Client) ActOnDeliveries(ctx context.Context, a DeliveryAction) (DeliveryResult, error) {
	return call[DeliveryResult](ctx, c, "delivery_act", a)
}

// Destinations asks as State.Destinations does.
func (c *Client) Destinations(ctx context.Context) ([]DestinationState, error) {
	return call[[]DestinationState](ctx, c, "destinations", struct{}{})
}

// DeadLetters asks as State.DeadLetters does.
func (c *Client) DeadLetters(ctx context.Context, kind feedback.DeadLetterKind, limit int) ([]feedback.DeadLetter, error) {
	return call[[]feedback.DeadLetter](ctx, c, "dead_letters", listing{string(kind), limit})
}

// Themes asks as State.Themes does.
func (c *Client) Themes(ctx context.Context, q MetricQuery) ([]Theme, error) {
	return call[[]Theme](ctx, c, "themes", q)
}

// NPS asks as State.NPS does.
func (c *Client) NPS(ctx context.Context, q MetricQuery) (NPS, error) {
	return call[NPS](ctx, c, "nps", q)
}

// Metric asks as State.Metric does.
func (c *Client) Metric(ctx context.Context, q MetricQuery) (*MetricResult, error) {
	return call[*MetricResult](ctx, c, "metric", q)
}

// Measures asks as State.Measures does.
func (c *Client) Measures(ctx context.Context) ([]Measure, error) {
	return call[[]Measure](ctx, c, "measures", struct{}{})
}

// Stats asks as State.Stats does.
func (c *Client) Stats(ctx context.Context) (*Stats, error) {
	return call[*Stats](ctx, c, "stats", struct{}{})
}

// Metrics asks as Engine.Metrics does.
func (c *Client) Metrics(ctx context.Context) (Metrics, error) {
	return call[Metrics](ctx, c, "metrics", struct{}{})
}

// Replay asks as Engine.Replay does.
func (c *Client) Replay(ctx context.Context, id string) (Row, error) {
	return call[Row](ctx, c, "replay", id)
}

// Plugins asks as Engine.Plugins does.
func (c *Client) Plugins(ctx context.Context) ([]PluginState, error) {
	return call[[]PluginState](ctx, c, "plugins", struct{}{})
}

// ResumePlugin asks as Engine.ResumePlugin does.
func (c *Client) ResumePlugin(ctx context.Context, id string) (PluginState, error) {
	return call[PluginState](ctx, c, "resume", id)
}

// Backtest asks as Engine.Backtest does. Problems of rule files come as text.
func (c *Client) Backtest(ctx context.Context, o BacktestOptions, progress func(done, total int)) (*Backtest, error) {
	return callTold[Backtest](ctx, c, "backtest", o, progress)
}

// Diff asks as Engine.Diff does. Problems of rule files come as text.
func (c *Client) Diff(ctx context.Context, o DiffOptions, progress func(done, total int)) (*Diff, error) {
	return callTold[Diff](ctx, c, "diff", o, progress)
}

// Reload asks as Engine.Reload does. Problems of the program come as text.
func (c *Client) Reload(ctx context.Context) (Reloaded, error) {
	return call[Reloaded](ctx, c, "reload", struct{}{})
}
