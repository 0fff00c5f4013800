package smtp

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"
	"go.uber.org/goleak"
	"go.yaml.in/yaml/v3"
	"golang.org/x/tools/txtar"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/sdktest"
)

var update = flag.Bool("update", false, "write what the golden files expect")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const key = "msg_4f0c55d2a1b3c4d5e6f708192a3b4c5d"

// message is the message of a golden file.
func message(t *testing.T, name string) sdk.Message {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/" + name + ".txtar")
	if err != nil {
		t.Fatal(err)
	}
	return sdk.Message{Key: key, Attempt: 1, Kind: "notify", Body: archive.Files[1].Data}
}

// parts reads a mail and returns its header and its parts, decoded, by type.
func parts(t *testing.T, text string) (mail.Header, map[string]string) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for l := range strings.SplitSeq(text, "\r\n") {
		if len(l) > 998 || strings.ContainsAny(l, "\r\n") || strings.ContainsFunc(l, func(r rune) bool { return r > 0x7e }) {
			t.Errorf("the line %q of a mail is no line of 998 ASCII characters at most", l)
		}
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("got the type %q, %v", kind, err)
	}
	out := map[string]string{}
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		p, err := r.NextRawPart()
		if err == io.EOF {
			return m.Header, out
		}
		if err != nil {
			t.Fatal(err)
		}
		kind, _, err := mime.ParseMediaType(p.Header.Get("Content-Type"))
		if err != nil || p.Header.Get("Content-Transfer-Encoding") != "quoted-printable" {
			t.Fatalf("got the part %v, %v", p.Header, err)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(p))
		if err != nil {
			t.Fatal(err)
		}
		out[kind] = strings.ReplaceAll(string(body), "\r\n", "\n")
	}
}

// TestGolden composes the mail of each message in testdata.
func TestGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 5 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		archive, err := txtar.ParseFile(name)
		if err != nil || len(archive.Files) != 3 {
			t.Fatalf("%s: %d files, %v", name, len(archive.Files), err)
		}
		s := serve(t, &server{}, false, false)
		var settings map[string]any
		if err := json.Unmarshal(archive.Files[0].Data, &settings); err != nil {
			t.Fatal(err)
		}
		if settings["to"] == nil {
			settings["to"] = nil // to_field says who gets it
		}
		delivered := s.mailer(settings).Deliver(t.Context(), sdk.Message{Key: key, Attempt: 1, Body: archive.Files[1].Data})
		if delivered != nil || len(s.taken()) != 1 {
			t.Errorf("%s: %v, and %d mails", name, delivered, len(s.taken()))
			continue
		}
		text := s.taken()[0].text
		_, shown := parts(t, text)
		header, _, _ := strings.Cut(strings.ReplaceAll(text, "\r\n", "\n"), "\n\n")
		got := []byte(header + "\n\n" + shown["text/plain"] + "\n" + shown["text/html"])
		if want := &archive.Files[2]; !bytes.Equal(want.Data, got) {
			if !*update {
				t.Errorf("%s: got\n%s", name, got)
				continue
			}
			want.Data = got
			if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestConformance(t *testing.T) {
	s := serve(t, &server{}, false, false)
	seen := func() []string {
		var keys []string
		for _, m := range s.taken() {
			h, _ := parts(t, m.text)
			k, _, _ := strings.Cut(strings.Trim(h.Get("Message-ID"), "<>"), "@")
			keys = append(keys, k)
		}
		return keys
	}
	fresh := sdktest.Open[sdk.Deliverer](Plugin, &sdktest.Host{Logf: t.Logf}, s.settings(nil))
	for _, name := range []string{"notify", "alert", "digest"} {
		sdktest.Deliverer(t, fresh, message(t, name), seen)
	}
	if mails := s.taken(); len(mails) != 6 || mails[0].text != mails[1].text || mails[2].text != mails[3].text {
		t.Errorf("%d mails, of which a second attempt is not like the first", len(mails))
	}
	openWith := func(settings string) error {
		_, err := sdktest.Open[sdk.Deliverer](Plugin, &sdktest.Host{}, settings)()
		return err
	}
	sdktest.Settings(t, openWith, readManifest(t).Settings, s.settings(nil))
}

// TestThread looks at what makes mails belong together.
func TestThread(t *testing.T) {
	s := serve(t, &server{}, false, false)
	d := s.mailer(nil)
	for i, body := range []string{
		`{"case": "k_1", "text": "one"}`, `{"case": "k_1", "item": {"id": "f_2"}}`, `{"case": "k_2", "text": "two"}`, `{"text": "alone"}`,
	} {
		if err := d.Deliver(t.Context(), sdk.Message{Key: "msg_" + string(rune('a'+i)), Body: []byte(body)}); err != nil {
			t.Fatal(err)
		}
	}
	var refs, ids []string
	for _, m := range s.taken() {
		h, _ := parts(t, m.text)
		refs, ids = append(refs, h.Get("References")), append(ids, h.Get("Message-Id"))
		if h.Get("Auto-Submitted") != "auto-generated" || h.Get("In-Reply-To") != h.Get("References") {
			t.Errorf("got the header %v", h)
		}
	}
	slices.Sort(ids)
	if refs[0] == "" || refs[0] != refs[1] || refs[0] == refs[2] || refs[3] != "" || len(slices.Compact(ids)) != 4 {
		t.Errorf("got the references %q and the ids %q", refs, ids)
	}
}

func TestAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		server *server
		fatal  bool
		want   string
	}{
		"refused":      {&server{rcpt: func(string) error { return answer(550, "no such\r\n user") }}, true, "127.0.0.1 refused the recipient care@example.com: 550 "},
		"greylisted":   {&server{rcpt: func(string) error { return answer(451, "come back later") }}, false, "did not take the recipient care@example.com: 451 come back later"},
		"spam":         {&server{data: func(*smtp.Conn, int) error { return answer(554, "looks like spam") }}, true, "refused the mail: 554 looks like spam"},
		"full":         {&server{data: func(*smtp.Conn, int) error { return answer(452, "disk full") }}, false, "did not take the mail: 452 disk full"},
		"cut":          {&server{data: cut}, false, "127.0.0.1: mail: "},
		"login needed": {&server{ways: []string{"PLAIN"}}, true, "refused the sender: 502"},
	} {
		s := serve(t, c.server, false, false)
		f := sdk.FailureOf(s.mailer(nil).Deliver(t.Context(), message(t, "notify")))
		if f == nil || f.Fatal != c.fatal || !strings.Contains(f.Message, c.want) || strings.ContainsAny(f.Message, "\r\n") {
			t.Errorf("%s: got %+v, want fatal %v: %s", name, f, c.fatal, c.want)
		}
		if len(s.taken()) > 0 {
			t.Errorf("%s: the server took a mail", name)
		}
	}
}

// TestAgain is a mail that is not taken at first: by an answer, and by a connection that ends in the middle of it.
func TestAgain(t *testing.T) {
	s := serve(t, &server{data: func(c *smtp.Conn, attempt int) error {
		switch attempt {
		case 1:
			return answer(451, "try again")
		case 2:
			return cut(c, attempt)
		}
		return nil
	}}, false, false)
	d, m := s.mailer(nil), message(t, "notify")
	for ; m.Attempt <= 2; m.Attempt++ {
		if f := sdk.FailureOf(d.Deliver(t.Context(), m)); f == nil || f.Fatal {
			t.Errorf("attempt %d: got %+v, want one to be tried again", m.Attempt, f)
		}
	}
	if err := d.Deliver(t.Context(), m); err != nil || len(s.taken()) != 1 {
		t.Errorf("got %v and %d mails, want one", err, len(s.taken()))
	}
}

// TestSomeRefused sends to those whom the server takes, unless it may take the others later.
func TestSomeRefused(t *testing.T) {
	code := 550
	s := serve(t, &server{rcpt: func(to string) error {
		if to == "gone@example.com" {
			return answer(code, "unknown")
		}
		return nil
	}}, false, false)
	var log []string
	host := &sdktest.Host{Logf: func(_ string, args ...any) { log = append(log, args[1].(string)) }}
	d, err := sdktest.Open[sdk.Deliverer](Plugin, host, s.settings(map[string]any{"to": []string{"a@example.com", "gone@example.com", "b@example.com"}}))()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Deliver(t.Context(), message(t, "notify")); err != nil {
		t.Fatal(err)
	}
	if got := s.taken()[0].to; !slices.Equal(got, []string{"a@example.com", "b@example.com"}) || len(log) != 1 || !strings.Contains(log[0], "gone@example.com: 550 unknown") {
		t.Errorf("it went to %q, and the log says %q", got, log)
	}
	code = 450
	if f := sdk.FailureOf(d.Deliver(t.Context(), message(t, "notify"))); f == nil || f.Fatal || len(s.taken()) != 1 {
		t.Errorf("got %+v and %d mails, want none to be sent until all can be", f, len(s.taken()))
	}
}

// TestSecure goes through encryption and logins.
func TestSecure(t *testing.T) {
	type more = map[string]any
	login := more{"username": "feedback", "password": secret}
	with := func(all ...more) more {
		out := more{}
		for _, m := range all {
			maps.Copy(out, m)
		}
		return out
	}
	for name, c := range map[string]struct {
		ways              []string
		secured, implicit bool
		more              more
		strange           bool // the certificate is not known
		fatal             bool
		want              string // "" for a mail that is taken
	}{
		"starttls":            {secured: true, more: more{"tls": "starttls"}},
		"starttls and login":  {secured: true, ways: []string{"LOGIN", "PLAIN"}, more: with(login, more{"tls": "starttls"})},
		"implicit and login":  {secured: true, implicit: true, ways: []string{"PLAIN"}, more: with(login, more{"tls": "implicit"})},
		"none and login":      {ways: []string{"LOGIN"}, more: login},
		"wrong password":      {ways: []string{"PLAIN"}, more: with(login, more{"password": "guess"}), fatal: true, want: "refused the login: 535"},
		"odd logins":          {ways: []string{"GSSAPI"}, more: login, fatal: true, want: `offers the logins ["GSSAPI"], expected PLAIN or LOGIN`},
		"no starttls":         {more: more{"tls": "starttls"}, fatal: true, want: "offers no STARTTLS"},
		"unknown certificate": {secured: true, strange: true, more: more{"tls": "starttls"}, want: "certificate"},
		"unknown, implicit":   {secured: true, implicit: true, strange: true, more: more{"tls": "implicit"}, want: "certificate"},
	} {
		s := serve(t, &server{ways: c.ways}, c.secured, c.implicit)
		if s.ca != "" && !c.strange {
			c.more["ca"] = s.ca
		}
		f := sdk.FailureOf(s.mailer(c.more).Deliver(t.Context(), message(t, "notify")))
		mails := s.taken()
		if c.want != "" {
			if f == nil || f.Fatal != c.fatal || !strings.Contains(f.Message, c.want) || strings.Contains(f.Message, "s3cret") || len(mails) > 0 {
				t.Errorf("%s: got %+v and %d mails, want fatal %v: %s", name, f, len(mails), c.fatal, c.want)
			}
			continue
		}
		if f != nil || len(mails) != 1 || mails[0].tls != c.secured || (mails[0].user == "feedback") != (len(c.ways) > 0) {
			t.Errorf("%s: got %+v and %+v", name, f, mails)
		}
	}
}

func TestNoServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, port: portOf(l)}
	heard, called := make(chan struct{}), make(chan struct{}, 9)
	go func() { // a server that takes the connection and says nothing until it is gone
		defer close(heard)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			called <- struct{}{}
			_, _ = bufio.NewReader(c).ReadByte()
			_ = c.Close()
		}
	}()
	f := sdk.FailureOf(s.mailer(map[string]any{"timeout": "50ms"}).Deliver(t.Context(), message(t, "notify")))
	if f == nil || f.Fatal || !strings.Contains(f.Message, "127.0.0.1: greeting: ") {
		t.Errorf("a server that says nothing: got %+v, want one to be tried again", f)
	}
	<-called
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-called
		cancel()
	}()
	if f := sdk.FailureOf(s.mailer(nil).Deliver(ctx, message(t, "notify"))); f == nil || f.Fatal {
		t.Errorf("a call that is given up: got %+v, want one to be tried again", f)
	}
	_ = l.Close()
	<-heard
	if f := sdk.FailureOf(s.mailer(nil).Deliver(t.Context(), message(t, "notify"))); f == nil || f.Fatal {
		t.Errorf("nobody listens: got %+v, want one to be tried again", f)
	}
}

// TestInjection sends texts that try to be headers, recipients or the end of the mail.
func TestInjection(t *testing.T) {
	s := serve(t, &server{}, false, false)
	d := s.mailer(map[string]any{"subject": "[{queue}] {title}: {rule}"})
	evil := `x\r\nBcc: evil@example.com\r\n\r\n.\r\nMAIL FROM:<evil@example.com>\n.\n<script>alert(1)</script>=?utf-8?q?=0D=0ABcc:_evil?=`
	body := `{"rule": "` + evil + `", "queue": "` + evil + `", "text": "` + evil + `", "case": "` + evil + `", "item": {"id": "f_1", "text": "` + evil +
		`", "url": "javascript:alert(1)", "customer": {"name": "` + evil + `", "email": "a@b\r\nBcc: c@d"}}}`
	if err := d.Deliver(t.Context(), sdk.Message{Key: "a\r\nBcc: evil@example.com", Body: []byte(body)}); err != nil {
		t.Fatal(err)
	}
	mails := s.taken()
	if len(mails) != 1 || !slices.Equal(mails[0].to, []string{"care@example.com"}) || mails[0].from != "feedback@example.com" {
		t.Fatalf("got %+v", mails)
	}
	h, shown := parts(t, mails[0].text)
	for name := range h {
		if !slices.Contains([]string{"Auto-Submitted", "Content-Type", "Date", "From", "In-Reply-To", "Message-Id", "Mime-Version", "References", "Subject", "To",
			"X-Auto-Response-Suppress"}, name) {
			t.Errorf("got the header %s: %q", name, h[name])
		}
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(h.Get("Subject"))
	if err != nil || !strings.HasPrefix(subject, "[x Bcc: evil@example.com . MAIL FROM") || strings.ContainsAny(subject, "\r\n") {
		t.Errorf("got the subject %q, %v", subject, err)
	}
	if !strings.Contains(shown["text/plain"], "\n> .\n") || strings.Contains(shown["text/html"], "<script") || strings.Contains(shown["text/html"], "javascript:") {
		t.Errorf("got %s\n%s", shown["text/plain"], shown["text/html"])
	}
}

func TestRecipients(t *testing.T) {
	s := serve(t, &server{}, false, false)
	addresses := map[string]any{"anna": "Anna <anna@example.com>", "care": "team@example.com"}
	letter := map[string]any{"to_field": "customer.email", "to": nil, "subject": "Your feedback"}
	for name, c := range map[string]struct {
		more     map[string]any
		body     string
		to, want string // either
	}{
		"owner":              {map[string]any{"to_field": "owner", "addresses": addresses}, `{"owner": "anna"}`, "anna@example.com", ""},
		"owner is address":   {map[string]any{"to_field": "owner"}, `{"owner": "ben@example.com"}`, "ben@example.com", ""},
		"owner is not known": {map[string]any{"to_field": "owner", "addresses": addresses}, `{"owner": "ben"}`, "care@example.com", ""},
		"queue":              {map[string]any{"to_field": "queue", "addresses": addresses, "to": nil}, `{"queue": "care"}`, "team@example.com", ""},
		"no queue":           {map[string]any{"to_field": "queue", "addresses": addresses, "to": nil}, `{}`, "", "nobody to send to: the message has no queue"},
		"other queue":        {map[string]any{"to_field": "queue", "to": nil}, `{"queue": "x\r\ny"}`, "", `nobody to send to: no address is known for the queue "x y"`},
		"customer":           {letter, `{"text": "Thanks", "item": {"customer": {"email": "zoe@example.com"}}}`, "zoe@example.com", ""},
		"not wanted":         {letter, `{"text": "Thanks", "item": {"contactable": false, "customer": {"email": "zoe@example.com"}}}`, "", "the customer does not want to be contacted"},
		"nothing to say":     {letter, `{"item": {"text": "x", "customer": {"email": "zoe@example.com"}}}`, "", "the rule says nothing to the customer"},
		"two customers":      {letter, `{"text": "Thanks", "item": {"customer": {"email": "zoe@example.com, evil@example.com"}}}`, "", "no address is known"},
		"no JSON":            {nil, `{`, "", "the message: "},
	} {
		before := len(s.taken())
		f := sdk.FailureOf(s.mailer(c.more).Deliver(t.Context(), sdk.Message{Key: key, Body: []byte(c.body)}))
		mails := s.taken()[before:]
		if c.to != "" && (f != nil || len(mails) != 1 || !slices.Equal(mails[0].to, []string{c.to})) {
			t.Errorf("%s: got %+v, %+v, want a mail to %s", name, f, mails, c.to)
		}
		if c.want != "" && (f == nil || !f.Fatal || !strings.Contains(f.Message, c.want) || len(mails) > 0) {
			t.Errorf("%s: got %+v, want it given up: %s", name, f, c.want)
		}
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	s := &server{t: t, port: 25}
	for want, more := range map[string]map[string]any{
		"host: found nothing":                                    {"host": ""},
		`tls: found "ssl"`:                                       {"tls": "ssl"},
		"tls: found none for the server mail":                    {"host": "mail.example.com"},
		"password: found a username or":                          {"username": "feedback"},
		"ca: found no certificate":                               {"ca": "x"},
		`timeout: found "soon"`:                                  {"timeout": "soon"},
		`timezone: found "Mars"`:                                 {"timezone": "Mars"},
		`from: found "a@b\r\nBcc: c@d"`:                          {"from": "a@b\r\nBcc: c@d"},
		`from: found "me"`:                                       {"from": "me"},
		`to[1]: found "x"`:                                       {"to": []string{"a@example.com", "x"}},
		"to: found nobody":                                       {"to": nil},
		"to: found addresses beside":                             {"to_field": "customer.email", "subject": "Thanks"},
		`subject: found "{title}", expected what a customer`:     {"to_field": "customer.email", "to": nil},
		`addresses.anna: found "anna"`:                           {"to_field": "owner", "addresses": map[string]string{"anna": "anna"}},
		`subject: found {titel}, expected one of [case customer`: {"subject": "{titel}"},
		"subject: found several lines":                           {"subject": "a\nb"},
		"settings: host: found a number of another type":         {"host": 7},
	} {
		_, err := Plugin.New(context.Background(), nil, []byte(s.settings(more)))
		if f := sdk.FailureOf(err); f == nil || !f.Fatal || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v: got %v, want %s", more, err, want)
		}
	}
	if _, err := Plugin.New(context.Background(), nil, []byte(`{"password": "s3cret`)); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v", err)
	}
	for _, more := range []map[string]any{
		{"host": "mail.example.com", "insecure": true}, {"host": "localhost"}, {"host": "::1"}, {"host": "mail.example.com", "tls": "implicit", "port": nil},
	} {
		if _, err := Plugin.New(context.Background(), nil, []byte(s.settings(more))); err != nil {
			t.Errorf("%v: %v", more, err)
		}
	}
}

func readManifest(t *testing.T) sdk.Manifest {
	t.Helper()
	data, err := os.ReadFile("plugin.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var raw any
	if err := yaml.Unmarshal(data, &raw); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	var m sdk.Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestManifest(t *testing.T) {
	t.Parallel()
	m := readManifest(t)
	if errs := m.Check(); len(errs) > 0 {
		t.Fatal(errs)
	}
	if got := m.Settings.Credentials(); !slices.Equal(got, []string{"password", "username"}) {
		t.Errorf("got the credentials %q", got)
	}
}
