package grants

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

const maxRedirects = 5

// errAddress is a connection to an address that is not allowed.
var errAddress = errors.New("address not allowed")

// withheld lists the request headers that only the host sets, in lower case.
var withheld = map[string]bool{
	"host": true, "content-length": true, "transfer-encoding": true, "connection": true, "keep-alive": true,
	"proxy-authorization": true, "proxy-connection": true, "te": true, "trailer": true, "upgrade": true, "expect": true,
}

func (s *Set) newClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            s.dial,
			ForceAttemptHTTP2:      true,
			MaxIdleConnsPerHost:    4,
			IdleConnTimeout:        30 * time.Second,
			TLSHandshakeTimeout:    10 * time.Second,
			MaxResponseHeaderBytes: 256 << 10,
		},
		CheckRedirect: s.redirect,
	}
}

// dial connects to an allowed address. The check comes after the name was resolved and before the connection is made,
// so a name cannot lead elsewhere in between.
func (s *Set) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	d := net.Dialer{Timeout: 10 * time.Second, Control: func(_, resolved string, _ syscall.RawConn) error {
		addr, err := netip.ParseAddrPort(resolved)
		if err != nil {
			return err
		}
		if !s.hosts.allowsAddress(host, addr) {
			return fmt.Errorf("%w: %s", errAddress, addr.Addr())
		}
		return nil
	}}
	return d.DialContext(ctx, network, address)
}

// secretURL is the key under which the context of a request says that its URL is a secret.
type secretURL struct{}

// redirect follows a redirect of a GET or HEAD to an allowed host. A request with a secret stays at its origin, and one
// whose URL is a secret is not redirected, since a Referer would tell it. Any other redirect is the answer.
func (s *Set) redirect(req *http.Request, via []*http.Request) error {
	first := via[0]
	secret := first.Header.Get("Authorization") != "" || first.Header.Get("Webhook-Signature") != ""
	switch {
	case first.Method != http.MethodGet && first.Method != http.MethodHead,
		len(via) > maxRedirects,
		first.Context().Value(secretURL{}) != nil,
		checkURL(req.URL) != nil,
		!s.hosts.allows(req.URL),
		secret && (req.URL.Scheme != first.URL.Scheme || req.URL.Host != first.URL.Host):
		return http.ErrUseLastResponse
	}
	return nil
}

// request makes a request at the time now.
func (s *Set) request(ctx context.Context, now feedback.Time, q sdk.HTTPRequest) (sdk.HTTPResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, s.limits.Deadline)
	defer cancel()
	req, err := s.build(ctx, now, q)
	if err != nil {
		return sdk.HTTPResponse{}, err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return sdk.HTTPResponse{}, s.failed(req, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, s.limits.Response+1))
	if err != nil {
		return sdk.HTTPResponse{}, s.failed(req, err)
	}
	if int64(len(body)) > s.limits.Response {
		if resp.StatusCode < 400 {
			return sdk.HTTPResponse{}, refuse("response_too_large", "the answer of %s has more than %d bytes", req.URL.Host, s.limits.Response)
		}
		body = body[:s.limits.Response] // the status and Retry-After tell more than the page that comes with them
	}
	headers := make(map[string]string, len(resp.Header))
	for name, values := range resp.Header {
		headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	if q.Auth.Scheme == authURL { // many a server repeats where it was asked, as in a redirect or the page of an error
		v := veilOf(req.URL)
		body = []byte(v.Replace(string(body)))
		for name, value := range headers {
			headers[name] = v.Replace(value)
		}
	}
	return sdk.HTTPResponse{Status: resp.StatusCode, Headers: headers, Body: body}, nil
}

// build checks what the plugin asks for and adds what it must not see.
func (s *Set) build(ctx context.Context, now feedback.Time, q sdk.HTTPRequest) (*http.Request, error) {
	u, err := s.target(&q)
	if err != nil {
		return nil, err
	}
	if q.Auth.Scheme == authURL {
		ctx = context.WithValue(ctx, secretURL{}, true)
	}
	if !s.hosts.allows(u) {
		return nil, refuse("host_not_allowed", "the program does not grant %q to this plugin: add it to the list http of its grants", u.Host)
	}
	method := q.Method
	if method == "" {
		method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(q.Body))
	if err != nil {
		return nil, refuse("bad_request", "%v", err)
	}
	req.Header.Set("User-Agent", "closedloop")
	for name, value := range q.Headers {
		if withheld[strings.ToLower(name)] {
			return nil, refuse("bad_request", "the header %q is the host's to set", name)
		}
		if !validHeader(name, value) {
			return nil, refuse("bad_request", "the header %q is malformed", name)
		}
		req.Header.Set(name, value)
	}
	if err := s.authorize(req, q.Auth); err != nil {
		return nil, err
	}
	return req, s.sign(req, q, now)
}

// authURL is the scheme of a request whose URL is a secret.
const authURL = "url"

// target returns where a request goes: its URL, or the secret that is one.
func (s *Set) target(q *sdk.HTTPRequest) (*url.URL, error) {
	if q.Auth.Scheme != authURL {
		u, err := url.Parse(q.URL)
		if err == nil {
			err = checkURL(u)
		}
		if err != nil {
			return nil, refuse("bad_request", "the URL of the request: %v", err)
		}
		return u, nil
	}
	if q.URL != "" {
		return nil, refuse("bad_request", "found a URL beside the secret that is one")
	}
	secret, err := s.secret(q.Auth.Secret)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(secret)
	if err != nil || checkURL(u) != nil { // what url.Parse says of it would show it
		return nil, refuse("bad_secret", "the secret %q is no URL such as https://hooks.example.com/T0", q.Auth.Secret)
	}
	return u, nil
}

func validHeader(name, value string) bool {
	for _, c := range []byte(name) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	for _, c := range []byte(value) {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return name != ""
}

func checkURL(u *url.URL) error {
	switch {
	case usualPorts[u.Scheme] == "":
		return fmt.Errorf("found the scheme %q, expected http or https", u.Scheme)
	case u.Host == "" || u.Hostname() == "":
		return errors.New("found no host")
	case u.User != nil:
		return errors.New("found a user, expected auth in its place")
	}
	return nil
}

// secret returns a secret without the line end that a file has after it.
func (s *Set) secret(name string) (string, error) {
	if s.spec.Secrets == nil {
		return "", refuse("unknown_secret", "there is no secret %q", name)
	}
	b, err := s.spec.Secrets(name)
	if err != nil {
		return "", refuse("unknown_secret", "the secret %q: %v", name, err)
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

func (s *Set) authorize(req *http.Request, a sdk.HTTPAuth) error {
	if a == (sdk.HTTPAuth{}) || a.Scheme == authURL {
		return nil
	}
	secret, err := s.secret(a.Secret)
	if err != nil {
		return err
	}
	switch a.Scheme {
	case "bearer":
		req.Header.Set("Authorization", "Bearer "+secret)
	case "basic":
		if !strings.Contains(secret, ":") {
			return refuse("bad_secret", "the secret %q is not of the form user:password", a.Secret)
		}
		req.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(secret)))
	default:
		return refuse("bad_request", "found the auth scheme %q, expected bearer, basic or url", a.Scheme)
	}
	return nil
}

// sign signs the body in the way of standardwebhooks.com.
func (s *Set) sign(req *http.Request, q sdk.HTTPRequest, now feedback.Time) error {
	if q.Sign == (sdk.HTTPSign{}) {
		return nil
	}
	if q.Sign.Scheme != "standard-webhooks" {
		return refuse("bad_request", "found the sign scheme %q, expected standard-webhooks", q.Sign.Scheme)
	}
	if q.Sign.ID == "" {
		return refuse("bad_request", "found no id to sign")
	}
	secret, err := s.secret(q.Sign.Secret)
	if err != nil {
		return err
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil || len(key) == 0 {
		return refuse("bad_secret", "the secret %q is not whsec_ and base64", q.Sign.Secret)
	}
	at := q.Sign.Timestamp
	if at.IsZero() {
		at = now
	}
	seconds := strconv.FormatInt(at.Std().Unix(), 10)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(q.Sign.ID + "." + seconds + "."))
	mac.Write(q.Body)
	req.Header.Set("Webhook-Id", q.Sign.ID)
	req.Header.Set("Webhook-Timestamp", seconds)
	req.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return nil
}

// failed turns what went wrong on the way into a failure.
func (s *Set) failed(req *http.Request, err error) error {
	u := req.URL
	if e := (*url.Error)(nil); errors.As(err, &e) {
		err = e.Err
	}
	switch {
	case errors.Is(err, errAddress):
		return refuse("address_not_allowed", "%s leads to an address that is not public (%v): add the address to the list http of the plugin's grants", u.Host, err)
	case errors.Is(err, context.DeadlineExceeded):
		return retry("timeout", "%s did not answer in time", u.Host)
	case errors.Is(err, context.Canceled):
		return retry("canceled", "the request to %s was given up", u.Host)
	}
	said := err.Error()
	if req.Context().Value(secretURL{}) != nil { // it may quote the server
		said = veilOf(u).Replace(said)
	}
	return retry("unreachable", "%s: %s", u.Host, said)
}
