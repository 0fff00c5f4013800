package suggest

import "testing"

func TestNearest(t *testing.T) {
	t.Parallel()
	fields := []string{"score", "survey", "customer.segment", "nps", "text"}
	for _, tt := range []struct{ name, want string }{
		{"scroe", "score"},
		{"Survey", "survey"},
		{"custmer.segmnt", "customer.segment"},
		{"npss", "nps"},
		{"wholly-different", ""},
		{"", ""},
	} {
		if got := Nearest(tt.name, fields); got != tt.want {
			t.Errorf("Nearest(%q) = %q, want %q", tt.name, got, tt.want)
		}
	}
	if got := DidYouMean("scroe", fields); got != `did you mean "score"?` {
		t.Errorf("DidYouMean = %s", got)
	}
}
