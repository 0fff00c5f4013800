package schema

import (
	"slices"
	"strings"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// Tests describes the files of tests that package rulestest runs.
func Tests() File {
	return File{Title: "Closedloop tests of rules", Root: object(
		need("version", Type{Kind: Anything}, "always 1"),
		key("description", text(), "for people"),
		key("rules", texts(), "the rule files that the tests are about; otherwise all"),
		key("event", Event(), "what all events have"),
		need("tests", listOf(needing([]string{"expect", "steps"},
			need("name", text(), "what is tested, in words"),
			key("description", text(), "for people"),
			key("at", text(), "the instant, such as 2026-03-02T10:00:00+01:00"),
			key("event", Event(), "what is laid over the event of the file, key by key; null takes a value away"),
			key("windows", statements(), "what windows say, instead of what they have counted"),
			key("tick", Type{Kind: Truth}, "true looks at the alerts that hold over time"),
			key("expect", Expectation(), "what is expected; what is not named is not looked at"),
			key("steps", listOf(object(
				key("at", text(), "the instant, or +2h: so long after the step before"),
				key("event", Event(), "what is laid over the event of the test; a step without one decides nothing"),
				key("windows", statements(), "what windows say from now on"),
				key("tick", Type{Kind: Truth}, "true looks at the alerts that hold over time"),
				key("expect", Expectation(), "what is expected; what is not named is not looked at"),
			)), "several instants, one after the other"),
		)), "the tests"),
		key("cover", object(
			key("rules", percent(), "the share of rules that must fire at least once"),
			key("conditions", percent(), "the share of comparisons that must be shown to decide both ways"),
		), "how much of the rules the tests must cover"),
	)}
}

func percent() Type { return either(text(), number()) }

func orNull(t Type) Type { return either(t, Type{Kind: Null}) }

// Event describes an event of a test: the fields of rules, but for those that follow from others.
func Event() Type {
	t := Type{Kind: Object, Name: "event"}
	customer := Type{Kind: Object}
	for _, f := range feedback.Fields() {
		if name, ok := strings.CutPrefix(f.Name, "customer."); ok {
			customer.Keys = append(customer.Keys, key(name, orNull(valueOf(f.Kind)), f.Doc))
		} else if f.Name != "nps_class" && f.Name != "word_count" {
			t.Keys = append(t.Keys, key(f.Name, orNull(valueOf(f.Kind)), f.Doc))
		}
	}
	attributes := orNull(mapOf(Type{Kind: Anything}))
	customer.Keys = append(customer.Keys, key("attributes", attributes, "the customer's own fields, as the program declares them"))
	t.Keys = append(t.Keys,
		key("scale_min", orNull(number()), "the lowest score"), key("scale_max", orNull(number()), "the highest score"),
		key("corrected", orNull(object(
			key("add", texts(), "themes that a person has added"),
			key("remove", texts(), "themes that a person has taken away"),
			key("sentiment", number(), "the sentiment that a person has set"),
		)), "what a person has corrected of the labels"),
		key("customer", orNull(customer), "who gave it"), key("attributes", attributes, "the item's own fields, as the program declares them"),
	)
	slices.SortStableFunc(t.Keys, func(a, b Key) int { return compare(a.Name, b.Name) })
	return t
}

func valueOf(k feedback.Kind) Type {
	switch k {
	case feedback.Number:
		return number()
	case feedback.Bool:
		return Type{Kind: Truth}
	case feedback.Themes:
		return texts()
	case feedback.ThemeList:
		return listOf(object(
			need("name", text(), "the path of the theme"),
			key("confidence", number(), "how sure the categorizer is, 0 to 1"),
			key("sentiment", orNull(number()), "what is felt about it, -1 to 1"),
		))
	}
	return text()
}

func statements() Type {
	statement := object(
		key("key", texts(), "the values of the fields that the window is kept by"),
		need("n", whole(), "number of observations"),
		key("value", number(), "the metric; unknown when it is left out"),
		key("lo", number(), "lower bound of its interval, together with hi"),
		key("hi", number(), "upper bound of its interval"),
	)
	return mapOf(either(statement, listOf(statement)))
}

// Expectation describes what a test expects.
func Expectation() Type {
	group := mapOf(mapOf(Type{Kind: Anything}))
	status := oneOf("inactive", "pending", "firing", "resolved")
	count := either(whole(), texts())
	return Type{Kind: Object, Name: "expectation", Open: true, Keys: []Key{
		key("groups", mapOf(group), "by group: exactly the rules that fire in it. A group may stand at this level too"),
		key("suppressed", either(texts(), mapOf(text())), "exactly the rules that match and do not act, or what keeps them from it"),
		key("unknown", texts(), "exactly the rules that do not match because something is unknown"),
		key("alerts", mapOf(either(status, mapOf(status))), "by rule: where its alerts stand, or by key"),
		key("notices", listOf(object(
			key("rule", text(), "whose alerts or messages"),
			key("destination", text(), "where it is sent"),
			key("firing", count, "the keys that fire, or how many"),
			key("resolved", count, "the keys that are over, or how many"),
			key("passed", count, "the keys that fired and were over before they were told, or how many"),
			key("repeat", Type{Kind: Truth}, "whether it was told before"),
			key("messages", whole(), "of a digest: how many"),
		)), "the notifications since the step before, in their order"),
		key("themes", texts(), "exactly the themes after the rules have changed them"),
		key("sentiment", orNull(number()), "the sentiment after that"),
		key("outputs", object(
			key("queue", orNull(text()), "the queue"),
			key("owner", orNull(text()), "the owner"),
			key("priority", orNull(text()), "the priority"),
			key("severity", orNull(text()), "the severity"),
			key("tags", orNull(texts()), "the tags"),
		), "what the rules put out together"),
	}}
}
