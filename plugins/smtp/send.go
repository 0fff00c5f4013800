package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/textproto"
	"strconv"
	"strings"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"github.com/closedloop/closedloop/plugins/internal/story"
	"github.com/closedloop/closedloop/sdk"
)

// maxSaid is how many bytes of an answer are told.
const maxSaid = 200

// send hands a mail over, and returns why some of the recipients do not get it. Nobody gets it when it fails, but for a
// connection that ends before the last answer.
func (m *mailer) send(ctx context.Context, msg *gomail.Msg, to []*mail.Address) (refused []error, err error) {
	conn, err := m.dial(ctx)
	if err != nil {
		return nil, sdk.Retry(0, "%s: %w", m.settings.Host, err)
	}
	defer conn.Close() // what is to be known is known by then
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	c, err := m.greet(conn)
	if err != nil {
		return nil, m.judge(ctx, "greeting", err)
	}
	if err := m.login(c); err != nil {
		return nil, m.judge(ctx, "login", err)
	}
	c.SkipSMTPUTF8(ascii(m.from, to))
	if err := c.Mail("<" + m.from.Address + ">"); err != nil {
		return nil, m.judge(ctx, "sender", err)
	}
	for _, a := range to {
		if err := c.Rcpt("<" + a.Address + ">"); err != nil {
			err = m.judge(ctx, "recipient "+a.Address, err)
			if f := sdk.FailureOf(err); !f.Fatal {
				return nil, err
			}
			refused = append(refused, err)
		}
	}
	if len(refused) == len(to) {
		return nil, sdk.Fatal("%w", errors.Join(refused...))
	}
	w, err := c.Data()
	if err != nil {
		return nil, m.judge(ctx, "mail", err)
	}
	if _, err := msg.WriteTo(w); err != nil {
		return nil, m.judge(ctx, "mail", err)
	}
	if err := w.Close(); err != nil {
		return nil, m.judge(ctx, "mail", err)
	}
	_ = c.Quit() // the server has the mail
	return refused, nil
}

func ascii(from *mail.Address, to []*mail.Address) bool {
	for _, a := range append([]*mail.Address{from}, to...) {
		if strings.ContainsFunc(a.Address, func(r rune) bool { return r > 0x7e }) {
			return false
		}
	}
	return true
}

func (m *mailer) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(m.settings.Host, strconv.Itoa(m.settings.Port)))
	if err != nil {
		return nil, err
	}
	if remote, err := netip.ParseAddrPort(conn.RemoteAddr().String()); m.settings.TLS == noTLS && !m.settings.Insecure &&
		(err != nil || !remote.Addr().Unmap().IsLoopback()) {
		_ = conn.Close()
		return nil, errors.New("it is not on this machine, and the connection is not encrypted")
	}
	if m.settings.TLS == implicitTLS {
		secured := tls.Client(conn, m.security())
		if err := secured.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, err
		}
		conn = secured
	}
	if deadline, ok := ctx.Deadline(); ok {
		err = conn.SetDeadline(deadline)
	}
	return conn, err
}

func (m *mailer) security() *tls.Config {
	return &tls.Config{ServerName: m.settings.Host, RootCAs: m.roots, MinVersion: tls.VersionTLS12}
}

// greet begins the session, encrypted as the settings say.
func (m *mailer) greet(conn net.Conn) (*smtp.Client, error) {
	c, err := smtp.NewClient(conn, m.settings.Host)
	if err != nil {
		return nil, err
	}
	if err := c.Hello(self(conn.LocalAddr())); err != nil {
		return nil, err
	}
	if m.settings.TLS != startTLS {
		return c, nil
	}
	if offered, _ := c.Extension("STARTTLS"); !offered {
		return nil, sdk.Fatal("the server offers no STARTTLS; the setting tls says how else to connect")
	}
	return c, c.StartTLS(m.security())
}

// self is this machine's address as a client of a mail server says it that has no name.
func self(local net.Addr) string {
	addr, err := netip.ParseAddrPort(local.String())
	if err != nil {
		return "localhost"
	}
	ip := addr.Addr().Unmap().WithZone("")
	if ip.Is4() {
		return "[" + ip.String() + "]"
	}
	return "[IPv6:" + ip.String() + "]"
}

// login authenticates when there is a user, by PLAIN or LOGIN.
func (m *mailer) login(c *smtp.Client) error {
	s := &m.settings
	if s.Username == "" {
		return nil
	}
	_, offered := c.Extension("AUTH")
	ways := strings.Fields(strings.ToUpper(offered))
	open := s.TLS == noTLS
	for _, way := range ways {
		switch way {
		case "PLAIN":
			return c.Auth(smtp.PlainAuth("", s.Username, s.Password, s.Host, open))
		case "LOGIN":
			return c.Auth(smtp.LoginAuth(s.Username, s.Password, s.Host, open))
		}
	}
	return sdk.Fatal("the server offers the logins %q, expected PLAIN or LOGIN", ways)
}

// judge says what a failure means for the message.
func (m *mailer) judge(ctx context.Context, what string, err error) error {
	if e := (*textproto.Error)(nil); errors.As(err, &e) {
		said := story.Clip(strings.Join(strings.Fields(strings.ToValidUTF8(e.Msg, "")), " "), maxSaid, story.Bytes)
		if e.Code >= 500 && e.Code <= 599 {
			return sdk.Fatal("%s refused the %s: %d %s", m.settings.Host, what, e.Code, said)
		}
		return sdk.Retry(0, "%s did not take the %s: %d %s", m.settings.Host, what, e.Code, said)
	}
	if f := (*sdk.Failure)(nil); errors.As(err, &f) {
		return err
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("it took too long: %w", ctx.Err())
	}
	return sdk.Retry(0, "%s: %s: %w", m.settings.Host, what, err)
}

// local reports whether a host is this machine by its name.
func local(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback() || strings.EqualFold(host, "localhost")
}
