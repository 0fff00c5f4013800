package wasmhost

import (
	"fmt"
	"strings"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// fragments make up items of about 300 bytes of text each.
var fragments = []string{
	"I have been a customer for six years and this is the first time I felt I had to write to you about it.",
	"The app crashed twice while I was paying and the checkout crash lost my cart.",
	"Support on the phone was very kind but I was waiting on hold for forty minutes.",
	"The price went up again and there is a hidden fee that nobody told me about when I signed up.",
	"Delivery was two days late and the box was damaged, the courier just left it in the rain.",
	"We will see how it goes next month, nothing more to add from my side for now.",
	"I asked for a refund and got no response for a week, I am disappointed to say the least.",
}

func batchOf(n int) []feedback.Item {
	items := make([]feedback.Item, n)
	for i := range items {
		var parts []string
		for k := range 3 {
			parts = append(parts, fragments[(i*5+k*3+i/7)%len(fragments)])
		}
		items[i] = feedback.Item{
			ID: feedback.NewItemID(1_770_000_000_000, "bench", fmt.Sprint(i)), Source: "bench", ExternalID: fmt.Sprint("R-", i),
			ReceivedAt: 1_770_000_000_000, Survey: feedback.NPS, Score: new(float64(i % 11)), Channel: "email", Touchpoint: "checkout/payment",
			Language: "en", Text: strings.Join(parts, " "), Customer: feedback.Customer{ID: fmt.Sprint("C-", i), Segment: "smb", ARR: new(1200.0)},
		}
	}
	return items
}
