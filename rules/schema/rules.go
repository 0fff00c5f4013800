package schema

import (
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/window"
)

// Rules describes rule files.
func Rules() File {
	return File{Title: "Closedloop rule file", Params: true, Root: object(
		need("version", Type{Kind: Anything}, "always 1"),
		key("description", text(), "for people"),
		key("params", mapOf(Param()), "[values that a program may give](#parameters) without changing the file"),
		key("lists", mapOf(listOf(either(text(), number()))), "names for lists of strings or of numbers, used as `lists.NAME` to the right of `in`"),
		key("macros", mapOf(expression()), "names for expressions. A macro is a part of its own wherever it is used, as if it stood in parentheses; it may use other macros, but not itself"),
		key("calendars", mapOf(Calendar()), "[business hours](#calendars), for the clock of cases and for when alerts are told"),
		key("pools", mapOf(Pool()), "[owners who share](#pools) the work"),
		key("windows", mapOf(Window()), "[figures over time](#windows), such as the NPS of seven days"),
		key("tables", mapOf(Table()), "[decision tables](#decision-tables), which give queues and owners by several values at once"),
		key("outputs", Outputs(), "what counts when several rules set one output, see [Outputs](#outputs)"),
		key("groups", listOf(Group()), "the rules, in the order in which they are evaluated"),
	)}
}

func severity() Type {
	return oneOf(string(rules.Info), string(rules.Warning), string(rules.Critical))
}

func priority() Type {
	return oneOf(string(rules.Low), string(rules.Normal), string(rules.High), string(rules.Urgent))
}

// Param describes the declaration of a parameter.
func Param() Type {
	return object(
		need("type", oneOf(string(rules.ParamString), string(rules.ParamNumber), string(rules.ParamDuration), string(rules.ParamBoolean),
			string(rules.ParamList), string(rules.ParamQueue), string(rules.ParamDestination)),
			"`string`, `number`, `duration`, `boolean`, `list` (of strings or of numbers), or a string that the program must declare: `queue`, `destination`"),
		key("default", Type{Kind: Anything}, "the value that it has when the program gives none; without it the program must give one"),
		key("description", text(), "for people"),
	)
}

// Calendar describes the declaration of a calendar.
func Calendar() Type {
	return object(
		key("days", text(), "`mon-fri`, or `mon, wed, sat-sun`; every day when it is left out"),
		key("hours", text(), "`\"08:00-18:00\"`, or several with commas between: `\"08:00-12:00, 13:00-17:00\"`; all day when it is left out"),
		key("holidays", texts(), "days when nobody is there: `[\"2026-12-25\"]`"),
		key("timezone", text(), "the zone of its clock, such as `Europe/Berlin`; that of the program when it is left out"),
		key("description", text(), "for people"),
	)
}

// Pool describes the declaration of a pool.
func Pool() Type {
	return object(
		need("owners", listOf(text()), "who is in it"),
		Key{Name: "by", Type: oneOf(rules.RoundRobin, rules.LeastLoaded), Default: rules.RoundRobin,
			Doc: "`round_robin`, one after the other (default), or `least_loaded`, who has the least open cases"},
		key("capacity", whole(), "the number of open cases from which an owner gets no more"),
		key("description", text(), "for people"),
	)
}

// Window describes the declaration of a window.
func Window() Type {
	return object(
		need("metric", oneOf(string(window.NPS), string(window.CSAT), string(window.CES), string(window.Rate), string(window.Count), string(window.Mean)), "what is counted, see below"),
		need("over", duration(), "how far back it looks"),
		key("step", duration(), "in what steps it moves on, of which `over` is a multiple; found from `over` when it is left out"),
		key("offset", duration(), "how long ago it ends, for a baseline that leaves out what it is compared with"),
		key("by", texts(), "the fields for whose values it is kept apart; `theme` keeps it for each theme, with all that lies below it"),
		key("where", expression(), "the items that it counts; of a `rate` those that are hits"),
		key("of", expression(), "of a `rate`: the items that it is a share of, otherwise all; of a `mean`: the field that is a number, otherwise `score`"),
		Key{Name: "confidence", Type: number(), Default: "0.95", Doc: "of `lo` and `hi`; 0.95 when it is left out"},
		key("description", text(), "for people"),
	)
}

// Table describes the declaration of a decision table.
func Table() Type {
	return object(
		key("description", text(), "for people"),
		Key{Name: "hit", Type: oneOf("first", "unique", "collect"), Default: "first",
			Doc: "`first`: the first row that fits (default); `unique`: the same, and it is an error when two rows may fit; `collect`: the tags of all rows that fit"},
		need("in", mapOf(expression()), "the inputs: names with a field, a macro or another expression for a string, a number or a condition. At most 16"),
		need("out", either(listOf(oneOf(Outs...)), mapOf(text())), "what the rows give, some of `queue`, `owner`, `pool`, `priority`, `tags`; a map of them with their types is possible too"),
		need("rows", listOf(listOf(Type{Kind: Anything})), "lists of cells: one for each input, then one for each output. At most 1024"),
	)
}

// Outs are what a decision table may give.
var Outs = []string{"queue", "owner", "pool", "priority", "tags"}

// Outputs describes the policies of outputs.
func Outputs() Type {
	return object(
		key("queue", oneOf("first", "error"), "`first` (default) or `error`"),
		key("owner", oneOf("first", "error"), "`first` (default) or `error`"),
		key("priority", oneOf("first", "max", "error"), "`max` (default), `first` or `error`"),
		key("severity", oneOf("first", "max", "error"), "`max` (default), `first` or `error`"),
		key("tags", oneOf("first", "union"), "`union` (default) or `first`"),
	)
}

// Group describes a group of rules.
func Group() Type {
	return object(
		need("name", text(), "letters, digits, hyphens, dots, underscores"),
		key("description", text(), "for people"),
		Key{Name: "match", Type: oneOf("all", "first"), Default: "all", Doc: "`all` (default): every rule that matches fires; `first`: only the first"},
		need("rules", listOf(Type{Kind: Switch, Key: "alert", Types: []Type{Rule(), Condition()}}), "the rules"),
	)
}

func common(more ...Key) []Key {
	return append([]Key{
		need("id", text(), "letters, digits, hyphens, dots, underscores. It stands in decisions and in the keys of effects, so keep it when you change the rule"),
		key("description", text(), "for people"),
		need("when", expression(), "the [condition](#conditions)"),
		key("each", texts(), "[decides once](#once-for-each) for each theme of the item, or for the value of a field"),
		key("severity", severity(), "`info`, `warning` or `critical`; stands on what the rule does"),
		{Name: "mode", Type: oneOf(string(rules.On), string(rules.Shadow), string(rules.Off)), Default: string(rules.On),
			Doc: "`on` (default); `shadow`: evaluated and recorded, nothing is carried out; `off`: checked, never evaluated"},
	}, more...)
}

// Rule describes a rule about items.
func Rule() Type {
	return object(common(
		need("do", listOf(Action()), "a list of [actions](#actions)"),
		Key{Name: "on_error", Type: oneOf("skip", "match"), Default: "skip", Doc: "what to do when the condition is [unknown](#what-is-missing): `skip` (default) or `match`"},
		key("priority", whole(), "rules of a group with a higher one come first; 0 when it is left out"),
		key("throttle", Throttle(), "[how often](#not-too-often) the rule acts"),
		key("suppresses", texts(), "rules behind this one that do not act when it fires"),
	)...)
}

// Throttle describes how often a rule acts.
func Throttle() Type {
	return object(
		key("key", texts(), "the fields for whose values firings are counted apart, such as `customer.id`; all together when it is left out"),
		need("every", duration(), "the time within which it acts `max` times"),
		Key{Name: "max", Type: whole(), Default: "1", Doc: "how often it acts within that time; 1 when it is left out"},
		key("over", oneOf("count"), "what becomes of more: `count`, it is noted in the decision"),
	)
}

// Condition describes a rule that holds over time.
func Condition() Type {
	return object(common(
		need("alert", object(telling()...), "makes the rule one that [holds over time](#alerts), and says how it is told"),
		key("for", duration(), "how long the condition must hold until the alert fires"),
		key("keep_firing", duration(), "how long it goes on firing after the condition ceased to hold"),
		Key{Name: "stale", Type: duration(), Default: "24h", Doc: "how long the condition may be unknown until that counts as not holding; 24h when it is left out"},
		key("inhibits", texts(), "alerts that are not told while this one fires, of the same `each` when they have it"),
		key("mute", object(
			key("outside", text(), "the calendar outside of which nothing is told"),
			key("during", text(), "the calendar during which nothing is told"),
		), "when the alert is not told: `{outside: CALENDAR}` or `{during: CALENDAR}`; it is told afterwards if it still fires"),
	)...)
}

// telling describes how an alert is told.
func telling() []Key {
	return []Key{
		key("severity", severity(), "that of the rule when it is left out"),
		key("summary", text(), "a text with fields or expressions in braces"),
		key("group_by", texts(), "fields by whose values alerts of the rule are told together"),
		key("wait", duration(), "how long the first notification waits for more alerts"),
		key("interval", duration(), "how long until a change of the group is told"),
		key("repeat", duration(), "how long until an alert that still fires is told again"),
		key("notify", text(), "the destination; nobody is told when it is left out"),
	}
}

// Escalation describes one step of the ladder of a case.
func Escalation() Type {
	return needing([]string{"priority", "queue", "owner", "notify"},
		need("after", duration(), "how long after the case was opened, or reopened, in the time of the case's calendar in which it was not held"),
		key("value", number(), "only for customers with an account value, `customer.arr`, of so much or more"),
		key("contacts", whole(), "only when the customer has come so often, the first time included"),
		key("priority", priority(), "raise the priority to this one"),
		key("queue", text(), "move the case to a queue that the program declares"),
		key("owner", text(), "give the case to this owner"),
		key("notify", text(), "tell a destination that the program declares"),
		key("message", text(), "a text with fields or expressions in braces"),
	)
}

// Action describes one action of a rule.
func Action() Type {
	assign := object(
		key("queue", text(), "a queue that the program declares"),
		key("owner", text(), "who is to look at the item"),
		key("pool", text(), "a [pool](#pools), which chooses the owner"),
		key("priority", priority(), "`low`, `normal`, `high` or `urgent`"),
		key("table", text(), "a [decision table](#decision-tables); what stands beside it counts where the table gives nothing"),
	)
	alert := object(append(telling(),
		key("key", texts(), "fields by whose values alerts of the rule are told apart"),
		Key{Name: "keep_firing", Type: duration(), Default: "24h", Doc: "how long it lasts behind the last item that raised it; 24h when it is left out"},
	)...)
	for i := range alert.Keys {
		alert.Keys[i].Required = alert.Keys[i].Name == "summary"
	}
	out := object(
		key("assign", assign, "who is to look at the item"),
		key("route", assign, "another word for `assign`"),
		key("case", object(
			key("queue", text(), "a queue that the program declares"),
			key("owner", text(), "who is to look at the item"),
			key("priority", priority(), "`low`, `normal`, `high` or `urgent`"),
			key("sla", duration(), "the time for the first response, such as `30m`, `48h`, `7d`"),
			key("resolve", duration(), "the time to resolve it"),
			key("calendar", text(), "the [calendar](#calendars) whose time both and `escalate` count; otherwise all time counts"),
			Key{Name: "warn", Type: text(), Default: "75%", Doc: "the share of `sla`, and of `resolve`, after which the case warns; 75% when it is left out"},
			key("escalate", listOf(Escalation()), "the [ladder](#cases) that the case goes up, at most 16 steps"),
		), "open a [case](#cases). It takes queue, owner and priority from the [outputs](#outputs)"),
		key("alert", alert, "something people should look at, raised by this item. Alerts of one rule with the same values of the `key` fields are one alert"),
		key("tag", either(text(), listOf(text()), object(need("table", text(), "a decision table with `tags`"))), "words to find the item by: one, a list, or `{table: NAME}`"),
		key("notify", needing([]string{"destination", "channel"},
			key("destination", text(), "a destination that the program declares"),
			key("channel", text(), "another word for `destination`"),
			key("message", text(), "a text with fields or expressions in braces"),
			key("digest", either(duration(), object(
				need("every", duration(), "how often it is sent"),
				key("at", text(), "at what time of the day, such as `\"08:00\"`"),
			)), "messages of so long are sent together: `1h`, or `{every: 1d, at: \"08:00\"}`"),
		), "send a message"),
		key("relabel", object(
			key("add", listOf(text()), "themes that the item gets"),
			key("remove", listOf(text()), "themes that it loses, with all that lies below them"),
			key("sentiment", number(), "from -1 to 1"),
			key("reason", text(), "for people"),
		), "change the item's labels. What a person has corrected stands"),
	)
	out.Single = true
	return out
}
