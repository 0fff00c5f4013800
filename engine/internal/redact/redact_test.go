package redact

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// Each case is a text in which what is to be replaced stands between « and ».
var texts = []struct{ name, text string }{
	{"nothing", "The box was impossible to open, and nobody called me back in 3 days."},
	{"empty", ""},

	{"address", "write to «anna.schmidt+shop@mail.example.co.uk». Thanks"},
	{"address in brackets", "Anna <«anna@example.com»>, («bob_1@example.org»)"},
	{"address at the end of a sentence", "It is «anna@example.com»."},
	{"mailto", "mailto:«anna@example.com»?subject=Hi"},
	{"address in a URL", "https://example.com/r?to=«anna%40example.com»&x=1"},
	{"address with an umlaut", "an «jürgen@müller-söhne.de», bitte"},
	{"Cyrillic address", "почта «анна@почта.рф» рабочая"},
	{"address in Chinese", "请联系«li.wei@example.cn»谢谢"},
	{"full-width sign", "メール«taro＠example.co.jp»まで"},
	{"apostrophe", "«o'brien@example.ie» wrote"},
	{"quotes", "'«anna@example.com»'"},
	{"mention", "@VirginAmerica you lost my bag @united"},
	{"host without a top level", "root@localhost and me@home"},
	{"price per piece", "3 @ 4.50 each, or 3@4.50"},
	{"two signs", "a@«b@example.com»"},
	{"version", "lib@1.2.3 and pkg@2.0.0-rc1"},

	{"Germany", "ruf an: «030 1234567», «0171/1234567», «+49 (0)30 123456-78», «0049 171 1234567» oder «(030) 12 34 56 78»"},
	{"Austria and Switzerland", "«+43 1 234 5678» und «079 123 45 67», «+41 79 123 45 67»"},
	{"Britain", "«020 7946 0958», «07700 900123», «+44 20 7946 0958», «+44 (0)7700 900123»"},
	{"France", "«01 23 45 67 89», «06.12.34.56.78», «+33 6 12 34 56 78», «0612345678»"},
	{"Spain", "mi número «612 34 56 78» o «+34 612 345 678», «912 345 678»"},
	{"Italy", "«+39 06 1234 5678», «347 1234567», «06 12345678»"},
	{"Netherlands and Belgium", "«06-12345678», «020-1234567», «+31 6 12345678», «0470 12 34 56»"},
	{"Poland and Czechia", "«512 345 678», «+48 22 123 45 67», «+420 601 123 456»"},
	{"Norway, Denmark and Sweden", "«+47 412 34 567», «+45 12 34 56 78», «070-123 45 67», «412 34 567»"},
	{"Russia", "«+7 (912) 345-67-89», «8 (912) 345-67-89», «8 912 345 67 89», «+79123456789»"},
	{"Ukraine and Turkey", "«+380 44 123 45 67», «0532 123 45 67», «+90 532 123 45 67»"},
	{"United States", "«(212) 555-0123», «212-555-0123», «212.555.0123», «212 555 0123», «1-800-555-0199», «+1 (415) 555-2671», «+14155552671»"},
	{"extension", "«212-555-0123 x12», «(212) 555-0123 ext. 4567» and more"},
	{"Brazil and Mexico", "«(11) 91234-5678», «+55 11 91234-5678», «55 1234 5678»"},
	{"India", "«98765 43210», «+91 98765 43210», «098765 43210»"},
	{"China", "«138 1234 5678», 电话«13812345678», «+86 138 1234 5678», «010-12345678»"},
	{"Japan and Korea", "«090-1234-5678», «03-1234-5678», «+81 90-1234-5678», «010-1234-5678», «+82 10-1234-5678»"},
	{"Singapore and Hong Kong", "«+65 9123 4567», «9123 4567», «+852 2123 4567»"},
	{"Australia and New Zealand", "«0412 345 678», «(02) 9876 5432», «+61 412 345 678», «021 123 4567»"},
	{"South Africa, Nigeria and Kenya", "«082 123 4567», «+234 803 123 4567», «0803 123 4567», «+254 712 345678»"},
	{"Arabic digits", "رقمي «٠١٠١٢٣٤٥٦٧٨» شكرا"},
	{"Gulf", "«+971 50 123 4567», «+966 50 123 4567»"},
	{"no-break spaces and dashes", "«+49\u00a030\u00a01234567», «212\u2011555\u20110123»"},
	{"full-width digits", "電話は«０９０－１２３４－５６７８»です"},
	{"what the words say", "Tel. «5551234», call me at «2125550123», my mobile: «7700900123»"},
	{"what the words say in German", "Handynummer «1711234567», Telefon: «4711 0815»"},
	{"numbers with a bracket between", "«200 000 0000»)«200 000 0000», «212 555 0123»(«212 555 0124»"},
	{"a bracket that stays", "(«212-555-0123») and («+49 30 1234567»)"},

	{"order numbers", "order 2125550123, order no. 0123456789, Bestellung 4711-0815-42, ref: 0612345678, #2125550123"},
	{"bare digits", "the code was 2125550123 and 5551234"},
	{"words of letters and digits", "ABC-212-555-0123, SKU1234567890, INV-0171-1234567, 1Z999AA10123456784"},
	{"dates", "2026-11-22, 22.11.2026, 11/22/2026, 01.02.2026 12:30, 2026-11-22 10-15-00, 05/06/2024 09"},
	{"years", "2019-2020, 2019 2020, 1999/2000"},
	{"prices", "1.234.567,89 EUR, $1,234,567.89, 912 345 678,50 zł, 0.123456789"},
	{"thousands", "1 234 567 people, 612.345.678"},
	{"versions and addresses", "1.2.3.4567, 192.168.100.200, 10.0.19045.3803"},
	{"times of a program", "1700000000000, 20261122103000, 570306133677760513"},
	{"accounts of a bank", "DE89 3704 0044 0532 0130 00, GB29 NWBK 6016 1331 9268 19, FR14 2004 1010 0505 0001 3M02 606"},
	{"books and articles", "ISBN 978-3-16-148410-0, EAN 4006381333931"},
	{"scores", "10 10 9 8 7 10 9 10, 20 30 40 50"},
	{"a share", "0123456789%"},
	{"coordinates", "52.520008, 13.404954, on the phone [51.04345575, -114.06071363]"},
	{"zones of time", "At 1:16 PM -0400 8/22/02"},

	{"cards", "«4111 1111 1111 1111», «5500-0000-0000-0004», «378282246310005», «3782 822463 10005», «6011111111111117»"},
	{"more cards", "«3530111333300000», «30569309025904», «2223003122003222», «6200 0000 0000 0005», «2200 7000 0000 0009»"},
	{"card with its end", "card «4111111111111111» exp 12/26 cvv 123"},
	{"cards as people type them", "card:«4111111111111111», Karte:«4111 1111 1111 1111», «4111.1111.1111.1111», «4111  1111  1111  1111», PAN=«4111111111111111»"},
	{"an amount like a card", "378.282.246.310.005"},
	{"a word and a colon", "Nr:«0171 1234567», Mobile:«+44 7700 900123», order:0171 1234567, 10:0171 1234567"},
	{"wrong check digit", "4111 1111 1111 1112"},
	{"no issuer", "1234 5678 9012 3452, 9999999999999995"},
	{"not a card of its own", "4111-1111-1111-1111-5, x4111111111111111"},
}

func TestText(t *testing.T) {
	t.Parallel()
	for _, tt := range texts {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			in := strings.NewReplacer("«", "", "»", "").Replace(tt.text)
			got, found := All.Text(in)
			plain, marked := stencil(tt.text, got)
			if plain != marked {
				t.Errorf("got  %s\nwant %s", got, tt.text)
			}
			if want := strings.Count(tt.text, "«"); found.Total() != want {
				t.Errorf("found %+v, want %d", found, want)
			}
			if again, n := All.Text(got); again != got || n.Total() != 0 {
				t.Errorf("redacting again gives %s", again)
			}
		})
	}
}

// stencil returns both texts with one sign for each replacement.
func stencil(marked, got string) (string, string) {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(marked, "«")
		b.WriteString(before)
		if !ok {
			break
		}
		b.WriteByte('*')
		_, marked, _ = strings.Cut(rest, "»")
	}
	return b.String(), strings.NewReplacer(emailMark, "*", phoneMark, "*", cardMark, "*").Replace(got)
}

func TestKindsAreReplacedAlone(t *testing.T) {
	t.Parallel()
	const in = "anna@example.com, +44 20 7946 0958, 4111 1111 1111 1111, 6011 1111 1111 1117"
	for k, want := range map[Kinds]string{
		0:     in,
		Email: "[email], +44 20 7946 0958, 4111 1111 1111 1111, 6011 1111 1111 1117",
		Phone: "anna@example.com, [phone], 4111 1111 1111 1111, 6011 1111 1111 1117",
		Card:  "anna@example.com, +44 20 7946 0958, [card], [card]",
		All:   "[email], [phone], [card], [card]",
	} {
		if got, _ := k.Text(in); got != want {
			t.Errorf("kinds %03b: got %s, want %s", k, got, want)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	var all Kinds
	for _, name := range Names() {
		k, err := Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		all |= k
	}
	if all != All {
		t.Errorf("the names give %03b, want %03b", all, All)
	}
	if _, err := Parse("iban"); err == nil {
		t.Error("a kind that is none is taken")
	}
}

func TestNothingFoundAllocatesNothing(t *testing.T) {
	text := strings.Repeat("Order 2125550123 came on 22.11.2026 at 10:30, für 1.234.567,89 EUR; @shop was rude. ", 20)
	if n := testing.AllocsPerRun(100, func() {
		if out, _ := All.Text(text); len(out) != len(text) {
			t.Fatal(out)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// Texts that make a careless search look at each byte many times.
func hostile(n int) []string {
	var out []string
	for _, part := range []string{"a", "@", "a@", "a@b.", "1", "1 ", "12-", "(", "+", "(+", "0171 ", "%40", "＠", "٠", "\xff", "call ", "212-555-", "a.b-", " ", "é@é."} {
		out = append(out, strings.Repeat(part, n/len(part)))
	}
	return out
}

// A search whose work grows with the square of the text would not come to an end here.
func TestHostileTextsStayAsTheyAre(t *testing.T) {
	t.Parallel()
	for _, s := range hostile(1 << 20) {
		got, _ := All.Text(s)
		if again, _ := All.Text(got); again != got {
			t.Errorf("%.20q: redacting again changes it", s)
		}
	}
}

func FuzzText(f *testing.F) {
	for _, tt := range texts {
		f.Add(strings.NewReplacer("«", "", "»", "").Replace(tt.text))
	}
	for _, s := range hostile(64) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		for _, k := range []Kinds{Email, Phone, Card, All} {
			out, found := k.Text(in)
			if utf8.ValidString(in) && !utf8.ValidString(out) {
				t.Fatalf("%q gives %q, which is no UTF-8", in, out)
			}
			if again, n := k.Text(out); again != out || n.Total() != 0 {
				t.Fatalf("%q gives %q, and that %q", in, out, again)
			}
			if (found.Total() == 0) != (in == out) {
				t.Fatalf("%q gives %q with %+v", in, out, found)
			}
		}
	})
}
