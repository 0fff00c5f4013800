package host_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"
	mailserver "github.com/emersion/go-smtp"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/host/hosttest"
	"github.com/closedloop/closedloop/engine/internal/host/wasmhost"
	"github.com/closedloop/closedloop/plugins/smtp"
	"github.com/closedloop/closedloop/sdk"
)

// mailbox is a mail server's session that takes every mail of whoever logs in.
type mailbox struct {
	user string
	took chan<- string
}

func (m *mailbox) AuthMechanisms() []string { return []string{sasl.Plain} }

func (m *mailbox) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "feedback" || password != "p4ss\"word" {
			return mailserver.ErrAuthFailed
		}
		m.user = user
		return nil
	}), nil
}

func (m *mailbox) Mail(string, *mailserver.MailOptions) error {
	if m.user == "" {
		return mailserver.ErrAuthRequired
	}
	return nil
}

func (m *mailbox) Rcpt(string, *mailserver.RcptOptions) error { return nil }

func (m *mailbox) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	m.took <- string(text)
	return err
}

func (m *mailbox) Reset()        {}
func (m *mailbox) Logout() error { return nil }

// TestSMTPAsAProcess sends a mail from a process, as trust: process runs it, and from the code itself. Both are told the
// password that a setting names; a sandboxed module is not.
func TestSMTPAsAProcess(t *testing.T) {
	const dir = "plugins/smtp/cmd"
	took := make(chan string, 9)
	server := mailserver.NewServer(mailserver.BackendFunc(func(*mailserver.Conn) (mailserver.Session, error) {
		return &mailbox{took: took}, nil
	}))
	server.AllowInsecureAuth = true
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	known := map[string]string{"user": "feedback\n", "word": "p4ss\"word\n"}
	spec := host.Spec{
		ID: "mail", Manifest: hosttest.Manifest(t, dir),
		Settings: []byte(`{"host": "127.0.0.1", "port": ` + strconv.Itoa(l.Addr().(*net.TCPAddr).Port) + `, "tls": "none", "username": "user",
			"password": "word", "from": "feedback@example.com", "to": ["care@example.com"], "subject": "{title}", "timezone": "UTC", "timeout": "10s"}`),
		Secrets: func(name string) ([]byte, error) {
			if s, ok := known[name]; ok {
				return []byte(s), nil
			}
			return nil, errors.New("not declared")
		},
	}
	message := sdk.Message{Key: "msg_1", Attempt: 1, Body: []byte(`{"at": "2026-03-01T10:00:01.000Z", "text": "Hello"}`)}
	var first string
	for name, p := range load(t, dir, smtp.Plugin, spec, "native", "process") {
		if err := p.Deliver(t.Context(), message); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		mail := <-took
		if first == "" {
			first = mail
		}
		if mail != first || !strings.Contains(mail, "Message-ID: <msg_1@example.com>") {
			t.Errorf("%s: got %s", name, mail)
		}
	}
	delete(known, "word")
	for _, way := range []string{"native", "process"} {
		_, err := loadBy(t, way, dir, smtp.Plugin, spec)
		if err == nil || !strings.Contains(err.Error(), `the secret "word": not declared`) {
			t.Errorf("%s without the secret: got %v", way, err)
		}
	}
}

// TestNoCredentialInASandbox refuses a module that asks to be told a secret, before any of its code runs.
func TestNoCredentialInASandbox(t *testing.T) {
	t.Parallel()
	m := hosttest.TinyManifest()
	m.Settings = sdk.Spec{"word": {Type: sdk.TypeCredential}}
	rt, err := wasmhost.New("")
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	t.Cleanup(func() { _ = rt.Close(ctx) })
	_, err = rt.Load(ctx, hosttest.WithManifest(t, hosttest.Harmless(t), m), host.Spec{ID: "tiny", Settings: []byte(`{"word": "w"}`),
		Secrets: func(string) ([]byte, error) { return nil, errors.New("asked for the secret") }})
	var e *host.Error
	if !errors.As(err, &e) || e.Code != host.CodeGrant || !strings.Contains(err.Error(), "by its setting word") || !strings.Contains(e.Hint, "trust: process") {
		t.Errorf("got %v", err)
	}
}
