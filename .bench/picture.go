package main

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"strings"
)

// picture draws the times for an item at every batch as bars, on a scale that grows tenfold.
func (r *report) picture() []byte {
	const left, right, line, bar = 250, 90, 18, 12
	const width = 860
	height := 40 + len(r.peers)*(len(batches)*bar+line)
	low, high := math.Inf(1), 0.0
	for _, p := range r.peers {
		for _, f := range p.figures {
			low, high = min(low, f.least), max(high, f.least)
		}
	}
	low = math.Pow(10, math.Floor(math.Log10(low)))
	scale := (width - left - right) / math.Log10(high/low)
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height, width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<text x="8" y="18" font-weight="bold">Nanoseconds for an item, at batch %s; each step of the scale is tenfold</text>`+"\n",
		strings.Join(strings.Fields(strings.Trim(fmt.Sprint(batches), "[]")), ", "))
	for v := low; v <= high; v *= 10 {
		x := left + scale*math.Log10(v/low)
		fmt.Fprintf(&b, `<path d="M%.1f 28V%d" stroke="#dddddd"/>`+"\n", x, height-8)
	}
	colors := []string{"#7fb3d5", "#2e86c1", "#1b4f72"}
	y := 34
	for _, p := range r.peers {
		fmt.Fprintf(&b, `<text x="8" y="%d">%s</text>`+"\n", y+bar*len(batches)/2+4, html.EscapeString(p.name))
		for i, f := range p.figures {
			w := scale * math.Log10(f.least/low)
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", left, y, w, bar-2, colors[i%len(colors)])
			fmt.Fprintf(&b, `<text x="%.1f" y="%d" font-size="10">%.0f</text>`+"\n", left+w+4, y+bar-3, f.least)
			y += bar
		}
		y += line
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}
