package wire

import (
	"math"
	"slices"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// The head of an items frame.
const itemsHead = 32 // atNow

// An item's record.
const (
	itemFlags     = 0  // u64, see below
	itemVersion   = 8  // i64
	itemOccurred  = 16 // i64
	itemReceived  = 24 // i64
	itemScore     = 32 // f64
	itemScaleMin  = 40 // f64
	itemScaleMax  = 48 // f64
	itemARR       = 56 // f64
	itemTenure    = 64 // f64
	itemAttrs     = 72 // list of attributes
	itemCustAttrs = 80 // list of attributes of the customer
	itemStrings   = 88 // strings, in the order of stringsOf
	itemSize      = itemStrings + 8*stringCount
)

// The bits of itemFlags. An optional number counts only when its bit is set.
const (
	hasScore = 1 << iota
	hasScaleMin
	hasScaleMax
	hasARR
	hasTenure
	hasContactable
	isContactable
	isOccurredAssumed
)

// An attribute.
const (
	attrName  = 0  // string
	attrKind  = 8  // u32: 1 string, 2 number, 3 truth value, 4 instant
	attrValue = 16 // string reference, f64, 0 or 1, or i64
	attrSize  = 24
)

const stringCount = 28

// stringsOf lists the strings of an item in the order of its record.
func stringsOf(it *feedback.Item) [stringCount]*string {
	c := &it.Customer
	return [stringCount]*string{
		(*string)(&it.ID), &it.Source, &it.ExternalID, (*string)(&it.Synthetic), &it.Batch, &it.Position,
		(*string)(&it.Survey), &it.SurveyID, &it.Channel, &it.Touchpoint, &it.Stage, &it.Product, &it.Location,
		&it.Language, &it.Title, &it.Text, &it.URL,
		&c.ID, (*string)(&c.KeyKind), &c.Name, &c.Email, &c.Account, &c.Segment, &c.Tier, &c.Region, &c.Country,
		&c.Language, &c.Owner,
	}
}

// ItemsSize returns the size in bytes of the frame that carries the items. It is above MaxFrame for what no frame can
// carry.
func ItemsSize(items []feedback.Item) int {
	if len(items) > MaxRecords {
		return math.MaxInt
	}
	n := itemsHead + len(items)*itemSize
	for i := range items {
		n += heapSize(&items[i])
		if n > MaxFrame {
			return math.MaxInt
		}
	}
	return n
}

// heapSize returns the bytes that an item takes besides its record.
func heapSize(it *feedback.Item) int {
	n := 0
	for _, s := range stringsOf(it) {
		n += len(*s)
	}
	if len(it.Attributes) > 0 {
		n += attrsSize(it.Attributes)
	}
	if len(it.Customer.Attributes) > 0 {
		n += attrsSize(it.Customer.Attributes)
	}
	return n
}

func attrsSize(a feedback.Attributes) int {
	if len(a) > MaxRecords {
		return MaxFrame + 1
	}
	n := 0
	for name, v := range a {
		if v.Kind() != feedback.Absent {
			s, _ := v.Str()
			n += attrSize + len(name) + len(s)
		}
	}
	return n
}

// PutItems writes a frame that carries items into b, which holds at least ItemsSize(items) bytes, and returns its
// size. It is the call to categorize at the time now.
func PutItems(b []byte, now feedback.Time, items []feedback.Item) int {
	putHeader(b, KindItems, itemsHead, len(items), itemSize)
	le.PutUint64(b[atNow:], uint64(now))
	heap := itemsHead + len(items)*itemSize
	for i := range items {
		heap = putItem(b, itemsHead+i*itemSize, heap, &items[i])
	}
	le.PutUint32(b[atTotal:], uint32(heap))
	return heap
}

// AppendItems appends the frame that PutItems writes. What no frame can carry becomes a failure frame.
func AppendItems(dst []byte, now feedback.Time, items []feedback.Item) []byte {
	n := ItemsSize(items)
	if n > MaxFrame {
		return AppendFailure(dst, tooLarge())
	}
	at := len(dst)
	dst = grow(dst, n)
	PutItems(dst[at:], now, items)
	return dst
}

// items writes items as the records of a frame that was begun with zeros for them.
func (w *writer) items(head int, items []feedback.Item) {
	if w.full {
		return
	}
	n := ItemsSize(items)
	if n > MaxFrame {
		w.full = true
		return
	}
	heap := len(w.buf) - w.start
	w.buf = grow(w.buf, n-itemsHead-len(items)*itemSize)
	for i := range items {
		heap = putItem(w.buf[w.start:], head+i*itemSize, heap, &items[i])
	}
}

// putItem writes an item's record at rec and the rest from heap on; it returns where the rest ends.
func putItem(b []byte, rec, heap int, it *feedback.Item) int {
	r := (*[itemSize]byte)(b[rec:])
	le.PutUint64(r[itemFlags:], flagsOf(it))
	le.PutUint64(r[itemVersion:], uint64(it.Version))
	le.PutUint64(r[itemOccurred:], uint64(it.OccurredAt))
	le.PutUint64(r[itemReceived:], uint64(it.ReceivedAt))
	le.PutUint64(r[itemScore:], bitsOf(it.Score))
	le.PutUint64(r[itemScaleMin:], bitsOf(it.ScaleMin))
	le.PutUint64(r[itemScaleMax:], bitsOf(it.ScaleMax))
	le.PutUint64(r[itemARR:], bitsOf(it.Customer.ARR))
	le.PutUint64(r[itemTenure:], bitsOf(it.Customer.TenureDays))
	for i, s := range stringsOf(it) {
		ref := uint64(0)
		if *s != "" {
			ref = uint64(heap) | uint64(len(*s))<<32
			heap += copy(b[heap:], *s)
		}
		le.PutUint64(b[rec+itemStrings+8*i:], ref)
	}
	heap = putAttrs(b, rec+itemAttrs, heap, it.Attributes)
	return putAttrs(b, rec+itemCustAttrs, heap, it.Customer.Attributes)
}

func flagsOf(it *feedback.Item) uint64 {
	var f uint64
	for i, p := range [...]*float64{it.Score, it.ScaleMin, it.ScaleMax, it.Customer.ARR, it.Customer.TenureDays} {
		if p != nil {
			f |= hasScore << i
		}
	}
	if it.Contactable != nil {
		f |= hasContactable
		if *it.Contactable {
			f |= isContactable
		}
	}
	if it.OccurredAssumed {
		f |= isOccurredAssumed
	}
	return f
}

func bitsOf(p *float64) uint64 {
	if p == nil {
		return 0
	}
	return math.Float64bits(*p)
}

// putAttrs writes attributes in the order of their names and their reference at ref. Absent values are left out.
func putAttrs(b []byte, ref, heap int, a feedback.Attributes) int {
	le.PutUint64(b[ref:], 0)
	if len(a) == 0 {
		return heap
	}
	var few [16]string
	names := few[:0]
	if len(a) > len(few) {
		names = make([]string, 0, len(a))
	}
	for name, v := range a {
		if v.Kind() != feedback.Absent {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return heap
	}
	slices.Sort(names)
	le.PutUint64(b[ref:], listRef(heap, len(names), attrSize))
	at := heap
	heap += len(names) * attrSize
	put := func(at int, s string) {
		le.PutUint64(b[at:], uint64(heap)|uint64(len(s))<<32)
		heap += copy(b[heap:], s)
	}
	for _, name := range names {
		v := a[name]
		put(at+attrName, name)
		le.PutUint64(b[at+attrKind:], uint64(v.Kind()))
		if s, ok := v.Str(); ok {
			put(at+attrValue, s)
		} else {
			le.PutUint64(b[at+attrValue:], attrBits(v))
		}
		at += attrSize
	}
	return heap
}

// attrBits returns the eight bytes of a value that is no string.
func attrBits(v feedback.Value) uint64 {
	if f, ok := v.Num(); ok {
		return math.Float64bits(f)
	}
	if t, ok := v.Time(); ok {
		return uint64(t)
	}
	if truth, _ := v.Truth(); truth {
		return 1
	}
	return 0
}
