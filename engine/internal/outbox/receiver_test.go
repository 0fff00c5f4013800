package outbox

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// behaviour is what a receiver does with a request whose body it has read.
type behaviour func(w http.ResponseWriter, r *http.Request)

// answer answers with a status, and headers given as name and value.
func answer(status int, headers ...string) behaviour {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
	}
}

// page is answer with a body that is larger than a plugin is given.
func page(status int, headers ...string) behaviour {
	return func(w http.ResponseWriter, r *http.Request) {
		answer(status, headers...)(w, r)
		_, _ = w.Write(make([]byte, 5<<20)) // the other side does not read to the end
	}
}

// stall answers nothing until the other side gives up.
func stall(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// wire writes bytes in place of an answer and closes the connection.
func wire(text string) behaviour {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, out, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = out.WriteString(text)
		_ = out.Flush()
		_ = conn.Close()
	}
}

var (
	ok = answer(http.StatusNoContent)
	// lost takes the message and cuts the connection before it answers.
	lost = wire("")
	// cut breaks off in the middle of an answer.
	cut = wire("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbreaks of")
	// half breaks off in the headers.
	half = wire("HTTP/1.1 503 Serv")
	// twice answers twice, and then with what is no answer at all.
	twice = wire("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\nnogarbage \x00\xff\r\n\r\n")
)

// receiver is a server on loopback that does as it is told and remembers what it was given.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	script func(key string, attempt int) behaviour
	bodies map[string]map[string]bool // by key, all that came
	tries  map[string]int
	order  []string // keys, as they came
	seen   chan string
}

func receive(t testing.TB, script func(key string, attempt int) behaviour) *receiver {
	t.Helper()
	r := &receiver{script: script, bodies: map[string]map[string]bool{}, tries: map[string]int{}, seen: make(chan string, 1<<16)}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) host() string { return strings.TrimPrefix(r.URL, "http://") }

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	key := req.Header.Get("Webhook-Id")
	r.mu.Lock()
	r.tries[key]++
	r.order = append(r.order, key)
	if r.bodies[key] == nil {
		r.bodies[key] = map[string]bool{}
	}
	r.bodies[key][string(body)] = true
	do := r.script(key, r.tries[key])
	r.mu.Unlock()
	r.seen <- key
	do(w, req)
}

// keys returns the keys in the order in which they came.
func (r *receiver) keys() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.order, " ")
}

// consistent holds that no key came with two bodies.
func (r *receiver) consistent(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, bodies := range r.bodies {
		if len(bodies) != 1 {
			t.Errorf("%s came with %d bodies", key, len(bodies))
		}
	}
}

// at returns a date of HTTP.
func at(t time.Time) string { return t.UTC().Format(http.TimeFormat) }

// bodyOf is a body that says which message it is.
func bodyOf(key string) string { return fmt.Sprintf(`{"about":%q}`, key) }
