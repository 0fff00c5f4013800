// Package smtp sends messages as mails through a mail server.
//
// It needs sockets and a password, which a sandbox does not give: it is bundled with the command as native:smtp, and
// plugins/smtp/cmd builds it as a process for trust: process.
//
//	secrets: {mail-user: {env: MAIL_USER}, mail-password: {env: MAIL_PASSWORD}}
//	destinations:
//	  care:
//	    plugin: native:smtp
//	    settings:
//	      {host: smtp.example.com, username: mail-user, password: mail-password, from: feedback@example.com, to: [care@example.com]}
//
// A mail is the same at every attempt: its Message-ID is made of the message's key, so that servers and readers know it
// again, and its date is the message's. Mails about one case or one group of alerts refer to the same thread. They say
// that they are made by a machine, so that no automatic reply answers them.
//
// What the server answers decides what becomes of the message:
//
//   - It takes the mail: delivered. Addresses that it refuses for good while it takes others are told in the log.
//   - 4xx to anything, no connection, or one that ends too early: it is tried again. When the connection ends after the
//     mail was sent and before the answer, the server may have it, and then gets it twice.
//   - 5xx: it is given up.
package smtp

import (
	"context"
	"crypto/x509"
	_ "embed" // for plugin.yaml
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/mail"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // a machine may have no timezones of its own

	"github.com/closedloop/closedloop/plugins/internal/story"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/suggest"
)

//go:embed plugin.yaml
var manifest []byte

// Plugin is the destination.
var Plugin = sdk.Plugin{Manifest: manifest, New: open}

// settings are as the program gives them; plugin.yaml says what the members mean.
type settings struct {
	Host      string            `json:"host"`
	Port      int               `json:"port"`
	TLS       string            `json:"tls"`
	Insecure  bool              `json:"insecure"`
	CA        string            `json:"ca"`
	Username  string            `json:"username"`
	Password  string            `json:"password"`
	From      string            `json:"from"`
	To        []string          `json:"to"`
	ToField   string            `json:"to_field"`
	Addresses map[string]string `json:"addresses"`
	Subject   string            `json:"subject"`
	Timezone  string            `json:"timezone"`
	Timeout   string            `json:"timeout"`
}

// The values of the setting tls.
const (
	startTLS    = "starttls"
	implicitTLS = "implicit"
	noTLS       = "none"
)

var usualPorts = map[string]int{startTLS: 587, implicitTLS: 465, noTLS: 25}

// toCustomer is the value of to_field for mails to the customer.
const toCustomer = "customer.email"

// mailer sends through one server.
type mailer struct {
	host     sdk.Host
	settings settings
	roots    *x509.CertPool // nil for those of the machine
	from     *mail.Address
	to       []*mail.Address
	known    map[string]*mail.Address
	zone     *time.Location
	timeout  time.Duration
}

var _ sdk.Deliverer = (*mailer)(nil)

func open(_ context.Context, host sdk.Host, raw []byte) (any, error) {
	m := &mailer{host: host, known: map[string]*mail.Address{}}
	s := &m.settings
	if err := json.Unmarshal(raw, s); err != nil {
		return nil, sdk.Fatal("settings: %w", hide(err))
	}
	errs := m.checkServer()
	var err error
	if m.from, err = address(s.From); err != nil {
		errs = append(errs, wrong("from", "%w", err))
	}
	for i, to := range s.To {
		a, err := address(to)
		if err != nil {
			errs = append(errs, wrong(fmt.Sprintf("to[%d]", i), "%w", err))
		}
		m.to = append(m.to, a)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Addresses)) {
		if m.known[name], err = address(s.Addresses[name]); err != nil {
			errs = append(errs, wrong("addresses."+name, "%w", err))
		}
	}
	if len(s.To) == 0 && s.ToField == "" {
		errs = append(errs, wrong("to", "found nobody, expected who gets the mails, or to_field"))
	}
	if s.ToField == toCustomer && len(s.To) > 0 {
		errs = append(errs, wrong("to", "found addresses beside to_field: %s, expected none: a mail to a customer is for nobody else", toCustomer))
	}
	errs = append(errs, m.checkText()...)
	if len(errs) > 0 {
		return nil, sdk.Fatal("%w", errors.Join(errs...))
	}
	return m, nil
}

// hide keeps a password out of what is wrong with the JSON that holds it.
func hide(err error) error {
	if e := (*json.UnmarshalTypeError)(nil); errors.As(err, &e) {
		return fmt.Errorf("%s: found a %s of another type", e.Field, strings.Fields(e.Value + " value")[0])
	}
	return errors.New("found no JSON object")
}

func wrong(path, format string, args ...any) error {
	return sdk.SettingError{Path: path, Message: fmt.Errorf(format, args...).Error()}
}

// checkServer checks what is said of the server.
func (m *mailer) checkServer() (errs []error) {
	s := &m.settings
	if s.Host == "" {
		errs = append(errs, wrong("host", "found nothing, expected a mail server such as smtp.example.com"))
	}
	port, known := usualPorts[s.TLS]
	if !known {
		errs = append(errs, wrong("tls", "found %q, expected starttls, implicit or none", s.TLS))
	}
	if s.Port == 0 {
		s.Port = port
	}
	if s.TLS == noTLS && !s.Insecure && s.Host != "" && !local(s.Host) {
		errs = append(errs, wrong("tls", "found none for the server %s, expected starttls or implicit, since anybody on the way could read mails and password; insecure: true allows it", s.Host))
	}
	if (s.Username == "") != (s.Password == "") {
		errs = append(errs, wrong("password", "found a username or a password alone, expected both or none"))
	}
	if s.CA != "" {
		m.roots = x509.NewCertPool()
		if !m.roots.AppendCertsFromPEM([]byte(s.CA)) {
			errs = append(errs, wrong("ca", "found no certificate, expected some in PEM"))
		}
	}
	var err error
	if m.timeout, err = feedback.ParseDuration(s.Timeout); err != nil || m.timeout <= 0 {
		errs = append(errs, wrong("timeout", "found %q, expected a duration such as 10s", s.Timeout))
	}
	return errs
}

// checkText checks what is said of the text of mails.
func (m *mailer) checkText() (errs []error) {
	s := &m.settings
	var err error
	if m.zone, err = time.LoadLocation(s.Timezone); err != nil || s.Timezone == "Local" {
		errs = append(errs, wrong("timezone", "found %q, expected a name such as Europe/Berlin", s.Timezone))
	}
	names := story.Names()
	_ = fill(s.Subject, func(name string) string {
		if !slices.Contains(names, name) {
			errs = append(errs, sdk.SettingError{Path: "subject", Message: fmt.Sprintf("found {%s}, expected one of %v", name, names),
				Hint: suggest.DidYouMean(name, names)})
		}
		return ""
	})
	if strings.ContainsAny(s.Subject, "\r\n") {
		errs = append(errs, wrong("subject", "found several lines, expected one"))
	}
	if s.ToField == toCustomer && (s.Subject == "" || strings.Contains(s.Subject, "{title}")) {
		errs = append(errs, wrong("subject", "found %q, expected what a customer is to read: the title is for colleagues", s.Subject))
	}
	return errs
}

// fill replaces each {name} of a template.
func fill(template string, value func(name string) string) string {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(template, "{")
		out.WriteString(before)
		name, after, closed := strings.Cut(rest, "}")
		if !found {
			return out.String()
		}
		if !closed {
			return out.String() + "{" + rest
		}
		out.WriteString(value(name))
		template = after
	}
}

// address reads an address, with or without the name of whose it is.
func address(s string) (*mail.Address, error) {
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return nil, fmt.Errorf("found %q, expected an address on one line", s)
	}
	a, err := mail.ParseAddress(s)
	if err != nil {
		return nil, fmt.Errorf("found %q, expected an address such as care@example.com", s)
	}
	local, domain, _ := strings.Cut(a.Address, "@")
	if local == "" || domain == "" || len(a.Address) > 254 || strings.ContainsAny(a.Address, " <>\"\\\t") {
		return nil, fmt.Errorf("found %q, expected an address such as care@example.com", s)
	}
	return a, nil
}

// Deliver sends the message once.
func (m *mailer) Deliver(ctx context.Context, msg sdk.Message) error {
	if err := ctx.Err(); err != nil {
		return sdk.Retry(0, "%w", err)
	}
	s, err := story.Read(msg.Body, m.zone)
	if err != nil {
		return sdk.Fatal("%w", err)
	}
	to, err := m.recipients(s)
	if err != nil {
		return err
	}
	mail, err := m.compose(s, &msg, to)
	if err != nil {
		return sdk.Fatal("the mail: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, m.timeout)
	defer cancel()
	refused, err := m.send(ctx, mail, to)
	if err != nil {
		return err
	}
	for _, r := range refused {
		m.host.Log(sdk.Warn, fmt.Sprintf("%s went to the other recipients: %v", msg.Key, r))
	}
	if msg.Attempt > 1 {
		m.host.Log(sdk.Info, fmt.Sprintf("delivered %s at attempt %d", msg.Key, msg.Attempt))
	}
	return nil
}

// recipients returns who gets the mail.
func (m *mailer) recipients(s *story.Story) ([]*mail.Address, error) {
	field := m.settings.ToField
	if field == "" {
		return m.to, nil
	}
	value := s.Values[field]
	if a := m.known[value]; a != nil && field != toCustomer {
		return []*mail.Address{a}, nil
	}
	if field == toCustomer && s.NoContact {
		return nil, sdk.Fatal("the customer does not want to be contacted")
	}
	a, err := address(value)
	switch {
	case err == nil:
		return []*mail.Address{a}, nil
	case len(m.to) > 0:
		return m.to, nil
	case value == "":
		return nil, sdk.Fatal("nobody to send to: the message has no %s", field)
	}
	return nil, sdk.Fatal("nobody to send to: no address is known for the %s %q", field, value)
}
