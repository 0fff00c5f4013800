package smtp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/sdktest"
)

// server is a mail server on loopback that keeps what it takes.
type server struct {
	t    *testing.T
	port int
	ca   string // its certificate in PEM, when it has one

	ways []string                              // of logging in; none lets everybody send
	rcpt func(to string) error                 // nil takes everybody
	data func(c *smtp.Conn, attempt int) error // called before a mail is taken; nil takes it

	mu       sync.Mutex
	attempts int
	mails    []received
}

type received struct {
	from, user, text string
	to               []string
	tls              bool
}

// serve starts a server. Secured gives it a certificate of its own; implicit expects TLS from the first byte.
func serve(t *testing.T, s *server, secured, implicit bool) *server {
	t.Helper()
	s.t = t
	srv := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &session{server: s, conn: c}, nil
	}))
	srv.Domain, srv.AllowInsecureAuth = "mail.example.com", true
	srv.ErrorLog = quiet{}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.port = l.Addr().(*net.TCPAddr).Port
	if secured {
		var config *tls.Config
		config, s.ca = certificate(t)
		if implicit {
			l = tls.NewListener(l, config)
		} else {
			srv.TLSConfig = config
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(l)
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		<-done
	})
	return s
}

// quiet drops what the server logs about connections that tests cut.
type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

// certificate makes a certificate for 127.0.0.1 that nothing has signed but itself.
func certificate(t *testing.T) (*tls.Config, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	return config, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// session is one connection to the server.
type session struct {
	server *server
	conn   *smtp.Conn
	mail   received
}

var _ smtp.AuthSession = (*session)(nil)

func (s *session) AuthMechanisms() []string { return s.server.ways }

// Auth lets feedback in with the password of the tests.
func (s *session) Auth(way string) (sasl.Server, error) {
	check := func(_, user, password string) error {
		if user != "feedback" || password != secret {
			return smtp.ErrAuthFailed
		}
		s.mail.user = user
		return nil
	}
	if way == "LOGIN" {
		return &loginServer{check: check}, nil
	}
	return sasl.NewPlainServer(check), nil
}

// loginServer asks for the user, then for the password.
type loginServer struct {
	check func(identity, user, password string) error
	user  *string
}

func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	switch {
	case response == nil:
		return []byte("Username:"), false, nil
	case l.user == nil:
		user := string(response)
		l.user = &user
		return []byte("Password:"), false, nil
	}
	return nil, true, l.check("", *l.user, string(response))
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if len(s.server.ways) > 0 && s.mail.user == "" {
		return smtp.ErrAuthRequired
	}
	s.mail.from = from
	_, s.mail.tls = s.conn.TLSConnectionState()
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if s.server.rcpt != nil {
		if err := s.server.rcpt(to); err != nil {
			return err
		}
	}
	s.mail.to = append(s.mail.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	v := s.server
	v.mu.Lock()
	defer v.mu.Unlock()
	v.attempts++
	if v.data != nil {
		if err := v.data(s.conn, v.attempts); err != nil {
			return err
		}
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.mail.text = string(text)
	v.mails = append(v.mails, s.mail)
	return nil
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

// taken returns what the server has taken so far.
func (s *server) taken() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mails)
}

const secret = "s3cret p4ss\"word"

// settings returns settings for the server, with others in their place: a nil one is left out.
func (s *server) settings(more map[string]any) string {
	all := map[string]any{
		"host": "127.0.0.1", "port": s.port, "tls": "none", "from": "Feedback <feedback@example.com>", "to": []string{"care@example.com"},
		"subject": "{title}", "timezone": "UTC", "timeout": "10s",
	}
	for name, value := range more {
		if all[name] = value; value == nil {
			delete(all, name)
		}
	}
	text, err := json.Marshal(all)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

func (s *server) mailer(more map[string]any) sdk.Deliverer {
	s.t.Helper()
	d, err := sdktest.Open[sdk.Deliverer](Plugin, &sdktest.Host{Logf: s.t.Logf}, s.settings(more))()
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

// answer is an answer of a mail server, such as 550 to refuse.
func answer(code int, message string) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.NoEnhancedCode, Message: message}
}

var errCut = errors.New("the connection is cut")

// cut ends a connection.
func cut(c *smtp.Conn, _ int) error {
	_ = c.Conn().Close()
	return errCut
}

func portOf(l net.Listener) int {
	_, port, _ := net.SplitHostPort(l.Addr().String())
	n, _ := strconv.Atoi(port)
	return n
}
