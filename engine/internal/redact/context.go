package redact

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// context is what the words before a number say that it is.
type context uint8

const (
	unsaid context = iota
	telephone
	otherNumber
)

// contextBytes is how far before a number a word may stand that says what the number is.
const contextBytes = 32

// contextOf returns what the nearest word that says something says of a number that follows the text. Other numbers and
// markers end the search.
func contextOf(before string) context {
	if cut := len(before) - contextBytes; cut > 0 {
		before = before[cut:]
	}
	if i := strings.LastIndexAny(before, "]0123456789\n"); i >= 0 {
		before = before[i+1:]
	}
	if c := unspacedWord(before); c != unsaid {
		return c
	}
	for end := len(before); end > 0; {
		r, size := utf8.DecodeLastRuneInString(before[:end])
		if !unicode.IsLetter(r) {
			end -= size
			continue
		}
		start := end - size
		for start > 0 {
			r, size := utf8.DecodeLastRuneInString(before[:start])
			if !unicode.IsLetter(r) {
				break
			}
			start -= size
		}
		if c := meaning(before[start:end]); c != unsaid {
			return c
		}
		end = start
	}
	return unsaid
}

// unspacedWord is contextOf for languages that are written without spaces.
func unspacedWord(before string) context {
	before = strings.TrimRight(before, " :：号號码碼")
	for _, w := range [...]string{"电话", "電話", "手机", "手機", "전화", "携帯", "โทร"} {
		if strings.HasSuffix(before, w) {
			return telephone
		}
	}
	for _, w := range [...]string{"订单", "訂單", "注文", "주문"} {
		if strings.HasSuffix(before, w) {
			return otherNumber
		}
	}
	return unsaid
}

// meaning returns what a word says of a number behind it.
func meaning(word string) context {
	var lower [24]byte
	if len(word) > len(lower) {
		return unsaid
	}
	b := lower[:0]
	for _, r := range word {
		if r = unicode.ToLower(r); len(b)+utf8.RuneLen(r) > len(lower) {
			return unsaid
		}
		b = utf8.AppendRune(b, r)
	}
	switch string(b) {
	case "phone", "phones", "telephone", "tel", "mobile", "mob", "cell", "cellphone", "whatsapp", "fax", "sms", "call", "calling", "dial",
		"ring", "text", "callback", "telefon", "telefonnummer", "handy", "handynummer", "mobil", "rufnummer", "festnetz", "anrufen",
		"rückruf", "téléphone", "telephonique", "téléphonique", "portable", "appeler", "rappeler", "appelez", "teléfono", "telefono",
		"telefone", "móvil", "movil", "celular", "llamar", "llamen", "ligar", "cellulare", "chiamare", "telefoon", "bellen",
		"telefonnumer", "telefoni", "gsm", "тел", "телефон", "телефону", "мобильный", "звоните", "هاتف", "جوال", "फोन":
		return telephone
	case "order", "orders", "ref", "reference", "invoice", "ticket", "tracking", "track", "booking", "reservation", "confirmation", "case",
		"account", "acct", "customer", "member", "membership", "policy", "claim", "receipt", "serial", "model", "sku", "item", "product",
		"article", "id", "imei", "isbn", "ean", "upc", "vin", "iban", "bic", "flight", "pnr", "transaction", "txn", "parcel", "shipment",
		"bestellung", "bestellnummer", "auftrag", "auftragsnummer", "rechnung", "rechnungsnummer", "kundennummer", "sendung",
		"sendungsnummer", "vorgang", "commande", "facture", "dossier", "client", "pedido", "factura", "siniestro", "fatura", "ordine",
		"fattura", "bestelling", "factuur", "zamówienie", "заказ", "заказа", "طلب", "version", "build":
		return otherNumber
	}
	return unsaid
}
