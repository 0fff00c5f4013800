package lang

// Function is one function of the language, as people are told of it.
type Function struct {
	Name  string `json:"name"`
	Usage string `json:"usage"`
	Doc   string `json:"doc"`
}

// FunctionList returns all functions in the order in which the reference has them. The caller owns the slice.
func FunctionList() []Function {
	return []Function{
		{"has", "has(field)", "whether the field is given; never unknown"},
		{"lower", "lower(text)", "the text in lower case"},
		{"upper", "upper(text)", "the text in upper case"},
		{"trim", "trim(text)", "the text without blanks at its ends"},
		{"len", "len(text)", "the number of characters of a text, or of themes: `len(themes)`"},
		{"abs", "abs(x)", "the amount of a number, without its sign"},
		{"ceil", "ceil(x)", "the next whole number above"},
		{"floor", "floor(x)", "the next whole number below"},
		{"round", "round(x)", "the nearest whole number; a half goes away from zero"},
		{"min", "min(x, y, ...)", "the least of 2 to 16 numbers"},
		{"max", "max(x, y, ...)", "the greatest of 2 to 16 numbers"},
		{"date", `date("2026-03-01")`, `a constant time: the beginning of a day in the program's timezone, or an instant such as date("2026-03-01T10:00:00+01:00")`},
		{"within", `within(path, "packaging")`, "whether a theme path is the other or lies below it"},
		{"any", "any(LIST, c)", "whether the condition holds for some element"},
		{"all", "all(LIST, c)", "whether it holds for every element"},
		{"none", "none(LIST, c)", "whether it holds for no element"},
		{"one", "one(LIST, c)", "whether it holds for exactly one element"},
		{"count", "count(LIST, c)", "the number of elements for which it holds"},
		{"spike", "spike(win.NOW, win.BEFORE)", "how likely as many hits as the first window has are by chance, if it were like the second: small is a spike"},
	}
}

// Functions returns the names of all functions.
func Functions() []string {
	var out []string
	for _, f := range FunctionList() {
		out = append(out, f.Name)
	}
	return out
}

// WindowFigures returns the names of the figures of a window, with what they are.
func WindowFigures() [][2]string {
	var out [][2]string
	for _, p := range windowParts {
		out = append(out, [2]string{p.name, p.doc})
	}
	return out
}
