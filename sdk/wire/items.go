package wire

import (
	"math"
	"unsafe"

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
	itemStrings   = 88 // strings, in the order of stringFields
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

// stringFields lists the strings of an item in the order of its record: where they are in the struct. Items are what
// travels most, and twenty-eight accessors would cost more than the copying.
var stringFields = [...]uintptr{
	unsafe.Offsetof(feedback.Item{}.ID),
	unsafe.Offsetof(feedback.Item{}.Source),
	unsafe.Offsetof(feedback.Item{}.ExternalID),
	unsafe.Offsetof(feedback.Item{}.Synthetic),
	unsafe.Offsetof(feedback.Item{}.Batch),
	unsafe.Offsetof(feedback.Item{}.Position),
	unsafe.Offsetof(feedback.Item{}.Survey),
	unsafe.Offsetof(feedback.Item{}.SurveyID),
	unsafe.Offsetof(feedback.Item{}.Channel),
	unsafe.Offsetof(feedback.Item{}.Touchpoint),
	unsafe.Offsetof(feedback.Item{}.Stage),
	unsafe.Offsetof(feedback.Item{}.Product),
	unsafe.Offsetof(feedback.Item{}.Location),
	unsafe.Offsetof(feedback.Item{}.Language),
	unsafe.Offsetof(feedback.Item{}.Title),
	unsafe.Offsetof(feedback.Item{}.Text),
	unsafe.Offsetof(feedback.Item{}.URL),
	customer + unsafe.Offsetof(feedback.Customer{}.ID),
	customer + unsafe.Offsetof(feedback.Customer{}.KeyKind),
	customer + unsafe.Offsetof(feedback.Customer{}.Name),
	customer + unsafe.Offsetof(feedback.Customer{}.Email),
	customer + unsafe.Offsetof(feedback.Customer{}.Account),
	customer + unsafe.Offsetof(feedback.Customer{}.Segment),
	customer + unsafe.Offsetof(feedback.Customer{}.Tier),
	customer + unsafe.Offsetof(feedback.Customer{}.Region),
	customer + unsafe.Offsetof(feedback.Customer{}.Country),
	customer + unsafe.Offsetof(feedback.Customer{}.Language),
	customer + unsafe.Offsetof(feedback.Customer{}.Owner),
}

const (
	customer    = unsafe.Offsetof(feedback.Item{}.Customer)
	stringCount = len(stringFields)
)

// stringAt returns the string of an item at one of stringFields.
func stringAt(it *feedback.Item, field uintptr) *string {
	return (*string)(unsafe.Add(unsafe.Pointer(it), field))
}

// ItemsSize returns the size in bytes of the frame that carries the items. It is above MaxFrame for what no frame can
// carry.
func ItemsSize(items []feedback.Item) int {
	if len(items) > MaxRecords {
		return math.MaxInt
	}
	n := itemsHead + len(items)*itemSize
	var attrs attrWriter
	for i := range items {
		it := &items[i]
		for _, f := range stringFields {
			n += len(*stringAt(it, f))
		}
		n += attrs.size(it.Attributes) + attrs.size(it.Customer.Attributes)
		if n > MaxFrame {
			return math.MaxInt
		}
	}
	return n
}

// PutItems writes a frame that carries items into b and returns its size, or 0 when b is smaller than
// ItemsSize(items). It is the call to categorize at the time now.
func PutItems(b []byte, now feedback.Time, items []feedback.Item) int {
	heap := itemsHead + len(items)*itemSize
	if heap > len(b) || len(items) > MaxRecords {
		return 0
	}
	putHeader(b, KindItems, itemsHead, len(items), itemSize)
	le.PutUint64(b[atNow:], uint64(now))
	w := itemWriter{b: b[:min(len(b), MaxFrame)], heap: heap}
	for i := range items {
		w.item(itemsHead+i*itemSize, &items[i])
	}
	if w.short {
		return 0
	}
	le.PutUint32(b[atTotal:], uint32(w.heap))
	return w.heap
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
	n := ItemsSize(items)
	if w.full || n > MaxFrame {
		w.full = true
		return
	}
	heap := len(w.buf) - w.start
	w.buf = grow(w.buf, n-itemsHead-len(items)*itemSize)
	iw := itemWriter{b: w.buf[w.start:], heap: heap}
	for i := range items {
		iw.item(head+i*itemSize, &items[i])
	}
}

// itemWriter writes items into a frame: records where it is told, the rest from heap on.
type itemWriter struct {
	b     []byte
	heap  int
	short bool // something did not fit
	attrs attrWriter
}

func (w *itemWriter) item(rec int, it *feedback.Item) {
	r := (*[itemSize]byte)(w.b[rec:])
	le.PutUint64(r[itemFlags:], flagsOf(it))
	le.PutUint64(r[itemVersion:], uint64(it.Version))
	le.PutUint64(r[itemOccurred:], uint64(it.OccurredAt))
	le.PutUint64(r[itemReceived:], uint64(it.ReceivedAt))
	le.PutUint64(r[itemScore:], bitsOf(it.Score))
	le.PutUint64(r[itemScaleMin:], bitsOf(it.ScaleMin))
	le.PutUint64(r[itemScaleMax:], bitsOf(it.ScaleMax))
	le.PutUint64(r[itemARR:], bitsOf(it.Customer.ARR))
	le.PutUint64(r[itemTenure:], bitsOf(it.Customer.TenureDays))
	for i, f := range stringFields {
		ref := uint64(0)
		if s := *stringAt(it, f); s != "" {
			ref = w.str(s)
		}
		le.PutUint64(r[itemStrings+8*i:], ref)
	}
	le.PutUint64(r[itemAttrs:], w.attributes(it.Attributes))
	le.PutUint64(r[itemCustAttrs:], w.attributes(it.Customer.Attributes))
}

// str writes a string and returns its reference.
func (w *itemWriter) str(s string) uint64 {
	at := w.heap
	n := copy(w.b[at:], s)
	w.heap += n
	if n < len(s) {
		w.short = true
	}
	return uint64(at) | uint64(n)<<32
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

// attributes writes attributes and returns the reference of their list.
func (w *itemWriter) attributes(a feedback.Attributes) uint64 {
	pairs := w.attrs.sorted(a)
	at, n := w.heap, len(pairs)*attrSize
	if n == 0 {
		return 0
	}
	if n > len(w.b)-at || len(pairs) > MaxRecords {
		w.short = true
		return 0
	}
	w.heap += n
	for i := range pairs {
		e := w.b[at+i*attrSize:][:attrSize]
		v := pairs[i].value
		le.PutUint64(e[attrName:], w.str(pairs[i].name))
		le.PutUint64(e[attrKind:], uint64(v.Kind()))
		if s, ok := v.Str(); ok {
			le.PutUint64(e[attrValue:], w.str(s))
		} else {
			le.PutUint64(e[attrValue:], attrBits(v))
		}
	}
	return listRef(at, len(pairs), attrSize)
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
