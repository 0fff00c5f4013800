package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/closedloop/closedloop/engine"
)

func (a *app) auditCommand() *cobra.Command {
	var q engine.AuditQuery
	var f filters
	list := &cobra.Command{
		Use:     "list",
		Short:   "List what people and the engine did, the latest first",
		Example: "  closedloop audit list --what k_01KJQ6PSG02N59PTAZ44SB39P9\n  closedloop audit list --who anna --since 7d",
	}
	list.Flags().StringVar(&q.What, "what", "", "only about the case, item or ruleset with this `id`")
	list.Flags().StringVar(&q.Who, "who", "", "only by this `person`")
	f.addSince(list)
	f.addLimit(list)
	listed(a, limited(list, &f), func(ctx context.Context, s *session) (_ []engine.AuditEntry, err error) {
		if q.Since, err = f.from(a.std.Now(), s.zone); err != nil {
			return nil, err
		}
		q.Limit = f.limit
		return s.Audit(ctx, q)
	}, a.auditTable)
	verify := listed(a, &cobra.Command{
		Use:   "verify",
		Short: "Check that nothing in the audit log was changed, removed or put in between",
		Long: `verify goes through the whole audit log. Each entry carries the digest of the one before it, so that a change shows.
Note the number and the digest elsewhere: they prove later that the log up to there is the same.`,
		Example: "  closedloop audit verify",
	}, func(ctx context.Context, s *session) (engine.AuditHead, error) { return s.AuditVerify(ctx) }, func(_ *session, h engine.AuditHead) {
		fmt.Fprintf(a.std.Out, "%s, each as it was written\n", count(int(h.N), "entry"))
		if h.Erased > 0 {
			fmt.Fprintf(a.std.Out, "the content of %s was erased, and the log says so\n", grouped(h.Erased))
		}
		fmt.Fprintf(a.std.Out, "head %d %s\n", h.N, h.Digest)
	})
	return group("audit", "See who did what, and prove it", "the audit log holds every change of a case, every correction and every activation of rules.",
		"  closedloop audit list\n  closedloop audit verify", list, verify)
}

func (a *app) auditTable(s *session, entries []engine.AuditEntry) {
	if len(entries) == 0 {
		a.none("entries")
		return
	}
	t := newTable(digits("n"), text("at"), text("who"), text("kind"), ident("what"), elastic("why"))
	for i := range entries {
		e := &entries[i]
		why := e.Why
		if e.Erased {
			why = "(erased)"
		}
		t.add(grouped(int(e.N)), instant(e.At, s.zone), e.Who, e.Kind, e.What, why)
	}
	t.write(a.std.Out, a.std.Width)
}
