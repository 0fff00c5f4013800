package outbox

import "time"

// bucket is a token bucket: it holds a second's worth of tokens, but at least one. The zero value of its rate lets
// everything pass.
type bucket struct {
	rate   Rate
	tokens float64
	at     time.Time // when tokens was right
}

func newBucket(r Rate, now time.Time) bucket {
	b := bucket{rate: r, at: now}
	b.tokens = b.size()
	return b
}

func (b *bucket) perSecond() float64 { return float64(b.rate.N) / b.rate.Per.Seconds() }

func (b *bucket) size() float64 {
	if b.rate.N <= 0 {
		return 0
	}
	return max(1, b.perSecond())
}

// wait returns how long it is until there is a token; 0 means that there is one.
func (b *bucket) wait(now time.Time) time.Duration {
	if b.rate.N <= 0 {
		return 0
	}
	b.tokens = min(b.size(), b.tokens+now.Sub(b.at).Seconds()*b.perSecond())
	b.at = now
	if b.tokens >= 1 {
		return 0
	}
	return max(time.Duration((1-b.tokens)/b.perSecond()*float64(time.Second)), time.Microsecond)
}

// take takes the token that wait has found.
func (b *bucket) take() { b.tokens-- }
