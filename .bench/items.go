package main

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// batches are how many items a call has.
var batches = []int{1, 16, 256}

var sentences = []string{
	"I have been a customer for six years and this is the first time I felt I had to write to you about it.",
	"The app crashed twice while I was paying and the checkout error lost my cart.",
	"Your support team was very kind but I was waiting on hold for forty minutes.",
	"The price went up again and there is a hidden fee that nobody told me about when I signed up.",
	"The delivery was two days late and one of the boxes was damaged, the courier just left it in the rain.",
	"Honestly I love it, the new dark mode looks amazing and my colleagues recommend it to everyone.",
	"The account page is confusing and it is hard to find the place for the invoice.",
	"I tried another password but the verification code never came so I was locked out over the weekend.",
	"We will see how it goes next month, nothing more to add from my side.",
	"In the morning it is fine, in the afternoon nobody answers and we wait.",
}

// reviews returns items of about 300 bytes of text, the same at every call.
func reviews(n int) []feedback.Item {
	random := rand.New(rand.NewPCG(1, 2))
	items := make([]feedback.Item, n)
	for i := range items {
		var text strings.Builder
		for text.Len() < 250 {
			text.WriteString(sentences[random.IntN(len(sentences))] + " ")
		}
		items[i] = feedback.Item{
			ID: feedback.NewItemID(1_770_000_000_000, "bench", fmt.Sprint(i)), Source: "bench", ExternalID: fmt.Sprint("R-", i),
			ReceivedAt: 1_770_000_000_000, Survey: feedback.NPS, Score: new(float64(i % 11)), Channel: "email",
			Touchpoint: "checkout/payment", Language: "en", Text: strings.TrimSpace(text.String()),
			Customer: feedback.Customer{ID: fmt.Sprint("C-", i), Segment: "smb", ARR: new(1200.0)},
		}
	}
	return items
}

// odd returns items whose texts are unusual.
func odd() []feedback.Item {
	texts := []string{
		"", "x", "\x00 \xff ÄÖÜ 🙂 PRICE\u0301 DELIVERY", strings.Repeat("slow ", 20_000), "nothing of interest here",
		"love love love love love love hate", "box packaging late courier price invoice bug login cart refund",
		"prerecommended boxpackaging error-error-errror", strings.Repeat("a", 100_000),
	}
	items := make([]feedback.Item, len(texts))
	for i := range items {
		items[i] = feedback.Item{Source: "bench", Text: texts[i]}
	}
	return items
}
