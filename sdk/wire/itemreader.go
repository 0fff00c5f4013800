package wire

import (
	"github.com/closedloop/closedloop/sdk/feedback"
)

// ItemReader reads frames of items into memory that it uses again. The zero value is ready for use; it is for one
// goroutine at a time.
type ItemReader struct {
	items []feedback.Item
	pool  itemPool
	r     reader
}

// Read returns the items of a call to categorize. They, and their strings, which alias b, are valid until the next
// Read and as long as b does not change.
func (ir *ItemReader) Read(b []byte) ([]feedback.Item, error) {
	r := &ir.r
	if _, err := r.expect(b, KindItems, itemsHead); err != nil {
		return nil, err
	}
	if cap(ir.items) < r.count {
		ir.items = make([]feedback.Item, r.count)
	}
	ir.items = ir.items[:r.count]
	ir.pool.reset()
	for i := range ir.items {
		r.item(i, &ir.items[i], &ir.pool)
	}
	if err := r.done(); err != nil {
		return nil, err
	}
	return ir.items, nil
}

// ownItems returns the records of a frame as items that share one copy of it.
func (r *reader) ownItems() []feedback.Item {
	if r.count == 0 {
		return nil
	}
	items := make([]feedback.Item, r.count)
	var pool itemPool
	pool.reset()
	for i := range items {
		r.item(i, &items[i], &pool)
	}
	return items
}

// itemPool is what items need besides their structs: numbers that are pointed to, and maps.
type itemPool struct {
	nums   []float64
	truths []bool
	maps   []feedback.Attributes
	inUse  int // maps of this frame
}

func (p *itemPool) reset() { p.nums, p.truths, p.inUse = p.nums[:0], p.truths[:0], 0 }

// num returns where f is kept.
func (p *itemPool) num(f float64) *float64 {
	p.nums = append(room(p.nums, 1), f)
	return &p.nums[len(p.nums)-1]
}

// truth returns where v is kept.
func (p *itemPool) truth(v bool) *bool {
	p.truths = append(room(p.truths, 1), v)
	return &p.truths[len(p.truths)-1]
}

func (p *itemPool) attributes(n int) feedback.Attributes {
	if p.inUse == len(p.maps) {
		p.maps = append(p.maps, make(feedback.Attributes, n))
	}
	m := p.maps[p.inUse]
	p.inUse++
	clear(m)
	return m
}

// item reads record i into it, all of whose fields are set.
func (r *reader) item(i int, it *feedback.Item, pool *itemPool) {
	at, b := r.record(i, itemSize)
	rec := (*[itemSize]byte)(b)
	*it = feedback.Item{}
	it.Version = int64(le.Uint64(rec[itemVersion:]))
	it.OccurredAt = r.time(at+itemOccurred, int64(le.Uint64(rec[itemOccurred:])))
	it.ReceivedAt = r.time(at+itemReceived, int64(le.Uint64(rec[itemReceived:])))
	if flags := le.Uint64(rec[itemFlags:]); flags != 0 {
		r.optional(at, rec, flags, it, pool)
	}
	r.strings(rec, it)
	if ref := le.Uint64(rec[itemAttrs:]); ref != 0 {
		it.Attributes = r.attributes(ref, pool)
	}
	if ref := le.Uint64(rec[itemCustAttrs:]); ref != 0 {
		it.Customer.Attributes = r.attributes(ref, pool)
	}
}

// strings reads the strings of an item. Most are empty, so it looks at four references at once.
func (r *reader) strings(rec *[itemSize]byte, it *feedback.Item) {
	n := uint64(0)
	for i := 0; i < stringCount; i += 4 {
		refs := (*[4 * 8]byte)(rec[itemStrings+8*i:])
		first, second, third, fourth := le.Uint64(refs[0:]), le.Uint64(refs[8:]), le.Uint64(refs[16:]), le.Uint64(refs[24:])
		if (first|second|third|fourth)>>32 == 0 {
			continue
		}
		fields := (*[4]uintptr)(stringFields[i:])
		if first>>32 != 0 {
			*stringAt(it, fields[0]) = r.text(first)
		}
		if second>>32 != 0 {
			*stringAt(it, fields[1]) = r.text(second)
		}
		if third>>32 != 0 {
			*stringAt(it, fields[2]) = r.text(third)
		}
		if fourth>>32 != 0 {
			*stringAt(it, fields[3]) = r.text(fourth)
		}
		n += first>>32 + second>>32 + third>>32 + fourth>>32
	}
	r.spend(n)
}

// optional reads what counts only when its flag is set.
func (r *reader) optional(at int, rec *[itemSize]byte, flags uint64, it *feedback.Item, pool *itemPool) {
	if flags&hasScore != 0 {
		it.Score = pool.num(r.num(at+itemScore, le.Uint64(rec[itemScore:])))
	}
	if flags&hasScaleMin != 0 {
		it.ScaleMin = pool.num(r.num(at+itemScaleMin, le.Uint64(rec[itemScaleMin:])))
	}
	if flags&hasScaleMax != 0 {
		it.ScaleMax = pool.num(r.num(at+itemScaleMax, le.Uint64(rec[itemScaleMax:])))
	}
	if flags&hasARR != 0 {
		it.Customer.ARR = pool.num(r.num(at+itemARR, le.Uint64(rec[itemARR:])))
	}
	if flags&hasTenure != 0 {
		it.Customer.TenureDays = pool.num(r.num(at+itemTenure, le.Uint64(rec[itemTenure:])))
	}
	it.OccurredAssumed = flags&isOccurredAssumed != 0
	if flags&hasContactable != 0 {
		it.Contactable = pool.truth(flags&isContactable != 0)
	}
}

// attributes reads a list of attributes. Those of a kind that is not known are left out; of two with one name the
// last counts.
func (r *reader) attributes(ref uint64, pool *itemPool) feedback.Attributes {
	l := r.list(ref)
	if l.count == 0 {
		return nil
	}
	m := pool.attributes(l.count)
	for i := range l.count {
		at, e := r.element(l, i, attrSize)
		name, v := r.str(le.Uint64(e[attrName:])), le.Uint64(e[attrValue:])
		switch le.Uint32(e[attrKind:]) {
		case uint32(feedback.String):
			m[name] = feedback.StringValue(r.str(v))
		case uint32(feedback.Number):
			m[name] = feedback.NumberValue(r.num(at+attrValue, v))
		case uint32(feedback.Bool):
			m[name] = feedback.BoolValue(v != 0)
		case uint32(feedback.Instant):
			m[name] = feedback.TimeValue(r.time(at+attrValue, int64(v)))
		}
	}
	if len(m) == 0 {
		return nil
	}
	return m
}
