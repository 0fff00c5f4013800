package alert_test

import (
	"fmt"
	"time"

	"github.com/closedloop/closedloop/rules/alert"
	"github.com/closedloop/closedloop/sdk/feedback"
)

func Example() {
	now := feedback.TimeOf(time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC))
	policy := alert.Policy{For: 30 * time.Minute}
	pace := alert.DefaultPace()
	var in alert.Instance
	var group alert.Group

	in.Observe(alert.True, now, policy)
	now, _ = in.Due() // the condition will have held for half an hour
	if in.Observe(alert.True, now, policy) == alert.Fires {
		m := alert.Member{Rule: "nps-drop", Key: "kettle", Severity: "critical", FiringAt: in.FiringAt}
		group.Update(m, true, now, pace)
	}
	now, _ = group.Due() // more news will have had time to come
	if n, why := group.Flush(now, pace, alert.Conditions{}); n != nil {
		fmt.Println(n.At, why, n.Firing[0].Rule, n.Firing[0].Key)
	}
	next, _ := group.Due()
	fmt.Println("told again", next)
	// Output:
	// 2026-03-02T10:31:00.000Z news nps-drop kettle
	// told again 2026-03-03T10:31:00.000Z
}
