package redact

// isCard reports whether the first j groups are the number of a payment card: an issuer's, of the length that the issuer
// gives, with a right check digit.
func (r *row) isCard(j int) bool {
	n := r.sum(j)
	if r.plus || n < 13 || n > mostDigits {
		return false
	}
	for _, g := range r.groups[1:j] {
		one := g.gap == space || g.gap == dash || g.gap == dot && r.groups[0].n == 4 // threes with dots are an amount
		if g.gaps > 2 || !one {
			return false
		}
	}
	d := r.digits[:n]
	return issued(d, j > 1) && luhn(d) && !(n == 13 && ean(d))
}

// issued reports whether an issuer gives numbers that begin so and are so long. Digits that are not grouped could be of
// anything; of them only the usual lengths count.
func issued(d []byte, grouped bool) bool {
	four := int(d[0])*1000 + int(d[1])*100 + int(d[2])*10 + int(d[3])
	n := len(d)
	in := func(lo, hi int) bool { return four >= lo && four <= hi }
	switch {
	case in(4000, 4999): // Visa
		return n == 13 || n == 16 || n == 19
	case in(5100, 5599), in(2221, 2720): // Mastercard
		return n == 16
	case in(3400, 3499), in(3700, 3799): // American Express
		return n == 15
	case in(3000, 3059), in(3095, 3095), in(3600, 3699), in(3800, 3999): // Diners Club
		return n == 14 || n == 16
	case in(3528, 3589): // JCB
		return n == 16
	case in(6011, 6011), in(6440, 6599): // Discover, RuPay
		return n == 16
	case in(6200, 6299): // UnionPay
		return n == 16 || n == 19 || grouped && n > 16
	case in(2200, 2204), in(9792, 9792), in(6070, 6089), in(8100, 8199): // Mir, Troy, RuPay
		return n == 16
	case in(5000, 5099), in(5600, 5899), in(6300, 6399), in(6700, 6799): // Maestro
		return n == 16 || grouped
	}
	return false
}

// luhn reports whether the last digit is right (ISO/IEC 7812-1, annex B).
func luhn(d []byte) bool {
	sum := 0
	for i := range d {
		v := int(d[len(d)-1-i])
		if i%2 == 1 {
			if v *= 2; v > 9 {
				v -= 9
			}
		}
		sum += v
	}
	return sum%10 == 0
}

// ean reports whether thirteen digits are the number of an article (GS1 General Specifications, section 7.9).
func ean(d []byte) bool {
	sum := 0
	for i, v := range d {
		sum += int(v) * (1 + 2*(i%2))
	}
	return sum%10 == 0
}
