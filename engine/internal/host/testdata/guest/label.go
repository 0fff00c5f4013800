package guest

import (
	"strings"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// vocabulary has the phrases of each theme; a sign says that a phrase is kind or harsh.
var vocabulary = [...]struct {
	path    feedback.ThemePath
	phrases string
}{
	{"packaging/box", "-damaged,-crushed,box,packaging"},
	{"delivery/late", "-late,-never arrived,courier,delivery,+fast shipping"},
	{"price/fee", "-hidden fee,price,-too expensive,+good value,invoice"},
	{"staff/phone", "+kind,-rude,support,-waiting on hold"},
	{"app/crash", "-crash,-freez,-error,bug"},
	{"app/login", "password,-locked out,verification code,login"},
	{"checkout/payment", "paying,checkout,cart,coupon"},
	{"returns/refund", "refund,return label,-cancel"},
	{"website/search", "-confusing,-hard to find,+easy to use,+intuitive"},
	{"speed", "-slow,-forever,loading,+lightning"},
	{"praise", "+love,+amazing,+recommend,+great,+excellent"},
	{"features", "dark mode,export,integration"},
}

// The bounds of what is told of an item.
const maxThemes, maxSpans = 3, 4

const (
	classes = 32
	states  = 512
)

// words finds the phrases of the vocabulary in one pass over a text, as Aho and Corasick do. Its tables lie where the
// linker puts them: a pointer to them would be loaded, and their size compared, for every byte.
var words struct {
	class [256]uint8               // of a byte: 0 for what is no letter
	next  [states * classes]uint16 // by state and class: state*classes + class
	ends  [states]uint16           // the state, or its longest suffix, in which a phrase ends; 0 for none
	link  [states]uint16           // likewise, but without the state itself
	hit   [states]uint8            // the phrase that ends in the state
}

// phrase is one of the vocabulary.
type phrase struct {
	theme  uint8
	length uint8
	tone   int8
}

var phrases []phrase

func init() {
	words.class['-'] = 27
	for c := range byte(26) {
		words.class['a'+c], words.class['A'+c] = c+1, c+1
	}
	made := 1
	for theme, v := range vocabulary {
		for p := range strings.SplitSeq(v.phrases, ",") {
			tone := int8(strings.Count(p[:1], "+") - strings.Count(p[:1], "-"))
			p = strings.Trim(p, "+-")
			state := 0
			for k := range len(p) {
				to := &words.next[state*classes+int(words.class[p[k]])]
				if *to == 0 {
					*to = uint16(made)
					made++
				}
				state = int(*to)
			}
			words.hit[state], words.ends[state] = uint8(len(phrases)), uint16(state)
			phrases = append(phrases, phrase{uint8(theme), uint8(len(p)), tone})
		}
	}
	var fail [states]uint16
	for queue := []int{0}; len(queue) > 0; queue = queue[1:] {
		state := queue[0]
		for c := range classes {
			to, back := &words.next[state*classes+c], uint16(0)
			if state != 0 {
				back = words.next[int(fail[state])*classes+c]
			}
			if *to == 0 || *to == back {
				*to = back
				continue
			}
			fail[*to], words.link[*to] = back, words.ends[back]
			if words.ends[*to] == 0 {
				words.ends[*to] = words.ends[back]
			}
			queue = append(queue, int(*to))
		}
	}
}

// score is what was found of a theme.
type score struct {
	weight uint32 // bytes of phrases
	spans  uint32
	span   [maxSpans]feedback.Span
}

// label finds the three themes with the most bytes of phrases, and the tone.
func (g *guest) label(text string, out *sdk.Result) {
	g.themes, g.tone = [len(vocabulary)]score{}, 0
	state, found := uint(0), false
	for i := range len(text) {
		state = uint(words.next[state*classes+uint(words.class[text[i]])])
		if words.ends[state] != 0 {
			g.found(state, i+1)
			found = true
		}
	}
	if !found {
		return
	}
	themes := &g.themes
	for range maxThemes {
		best := 0
		for i := range themes {
			if themes[i].weight > themes[best].weight {
				best = i
			}
		}
		t := &themes[best]
		if t.weight == 0 {
			break
		}
		from := len(g.spans)
		g.spans = append(g.spans, t.span[:t.spans]...)
		out.AddTheme(vocabulary[best].path, float64(t.weight)/float64(t.weight+8), g.spans[from:len(g.spans):len(g.spans)]...)
		t.weight = 0
	}
	g.tones = append(g.tones, float64(g.tone)/float64(4+max(g.tone, -g.tone)))
	out.Labels.Sentiment = &g.tones[len(g.tones)-1]
}

// found counts the phrases that end in a state and before the offset end.
func (g *guest) found(state uint, end int) {
	for at := words.ends[state]; at != 0; at = words.link[at] {
		p := &phrases[words.hit[at]]
		t := &g.themes[p.theme]
		t.weight += uint32(p.length)
		if t.spans < maxSpans {
			t.span[t.spans] = feedback.Span{Start: uint32(end) - uint32(p.length), End: uint32(end)}
			t.spans++
		}
		g.tone += int(p.tone)
	}
}
