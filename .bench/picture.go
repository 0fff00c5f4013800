package main

import (
	"bytes"
	"fmt"
	"html"
	"math"
)

// picture draws the times for an item at every batch as bars, on a scale that grows tenfold.
func (r *report) picture() []byte {
	const left, right, line, bar = 230, 70, 8, 12
	const width = 860
	height := 58 + len(r.peers)*(len(batches)*bar+line)
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
	b.WriteString(`<text x="8" y="18" font-weight="bold">Nanoseconds for an item; each line is ten times the one before</text>` + "\n")
	colors := []string{"#7fb3d5", "#2e86c1", "#1b4f72"}
	for i, size := range batches {
		x := width - 300 + 100*i
		fmt.Fprintf(&b, `<rect x="%d" y="9" width="10" height="10" fill="%s"/><text x="%d" y="18">batch %d</text>`+"\n", x, colors[i], x+15, size)
	}
	for v := low; v <= high; v *= 10 {
		x := left + scale*math.Log10(v/low)
		fmt.Fprintf(&b, `<path d="M%.1f 30V%d" stroke="#dddddd"/><text x="%.1f" y="%d" font-size="10" text-anchor="middle">%.0f</text>`+"\n",
			x, height-20, x, height-6, v)
	}
	y := 36
	for _, p := range r.peers {
		fmt.Fprintf(&b, `<text x="8" y="%d">%s</text>`+"\n", y+bar*len(batches)/2+4, html.EscapeString(p.name))
		for i, f := range p.figures {
			w := scale * math.Log10(f.least/low)
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", left, y, w, bar-2, colors[i])
			fmt.Fprintf(&b, `<text x="%.1f" y="%d" font-size="10">%.0f</text>`+"\n", left+w+4, y+bar-3, f.least)
			y += bar
		}
		y += line
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}
