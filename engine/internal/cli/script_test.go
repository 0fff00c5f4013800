package cli

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata")

// asMain makes the test binary the command itself.
const asMain = "CLOSEDLOOP_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" {
		os.Exit(Main(os.Args[1:], Stdio()))
	}
	flag.Parse()
	if os.Getenv(cacheVariable) != "" { // one that is filled
		goleak.VerifyTestMain(m)
		return
	}
	cache, err := os.MkdirTemp("", "closedloop-cli")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Setenv(cacheVariable, cache)
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(cache)
		os.Exit(code)
	}))
}

// TestScripts runs the scripts of testdata: an archive whose comment is the script, and whose files lie in the folder
// that it works in, $WORK. A command per line:
//
//	closedloop ARGS ...   runs the command line, which must exit with 0; with ! before it, with anything else
//	exit N                the exit code of the last command line
//	stdout RE, stderr RE  what it wrote matches; with ! before it, does not
//	cmp stdout FILE       it wrote what the file holds; -update rewrites the file
//	same FILE NAME        the file holds what the archive's file NAME does; -update rewrites the latter
//	set NAME RE           gives $NAME the first group of what its standard output matches
//	start ARGS ...        runs a command line in the background until it listens
//	stop                  interrupts it; exit, stdout and stderr are about it then
//	engine ARGS ...       start run ARGS, when the script is run beside a running engine, else nothing
//	guest FILE KIND       writes one of guests(), for the contract $CONTRACT
//	module FILE KIND      the same, without a manifest
//	bytes FILE HEX        writes bytes
//	big FILE              appends a line of 100 MB and one row
//	copy FILE FILE, remove FILE, append FILE TEXT, folder NAME
//	clock DURATION        sets the clock so much after noon, where it stands
//	env NAME VALUE        gives $NAME a value
//	exec DIR COMMAND ...  runs a program in a folder; it must exit with 0
//	answer TEXT           is what the next command line reads; only once
//	terminal COLUMNS      shows progress and cuts what is too wide; 0 is no terminal
//
// Scripts with the command engine are run twice, without and with it. A line that begins with [free] or [running] is
// for one of them. With -update, run the tests with -parallel 1.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(data, []byte("\nengine ")) {
			t.Run(name, func(t *testing.T) { newScript(t, file).run() })
			continue
		}
		t.Run(name+"/free", func(t *testing.T) { newScript(t, file).run() })
		t.Run(name+"/running", func(t *testing.T) {
			s := newScript(t, file)
			s.beside = true
			s.run()
		})
	}
}

// script is one run of a script.
type script struct {
	t       *testing.T
	file    string
	archive *txtar.Archive
	vars    map[string]string
	beside  bool // the command engine starts one
	width   int
	later   time.Duration // than noon
	input   string        // of the next command line

	out, err string
	code     int
	running  *background
}

// background is a command line that runs beside the script.
type background struct {
	out, err *watched
	signals  chan os.Signal
	done     chan int
}

func newScript(t *testing.T, file string) *script {
	t.Parallel()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	repo, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	s := &script{t: t, file: file, archive: archive, vars: map[string]string{
		"WORK": t.TempDir(), "REPO": repo, "CONTRACT": "1.0",
	}}
	if data := txtar.Format(archive); bytes.Contains(data, []byte("$REPO/plugins/")) || bytes.Contains(data, []byte("$REPO/examples/")) {
		warm(t)
	}
	for _, f := range archive.Files {
		s.write(f.Name, []byte(s.expand(string(f.Data))))
	}
	return s
}

var warmed sync.Once

// warm has the bundled plugins built and compiled once for all tests that use them, which would otherwise do the same
// work side by side.
func warm(t *testing.T) {
	t.Helper()
	retail, err := filepath.Abs("../../../examples/retail")
	if err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(t.TempDir(), "state")
	warmed.Do(func() {
		if _, errs, code := call("run", "--once", "--state", state, retail); code != exitOK {
			t.Errorf("the example: exit %d\n%s", code, errs)
		}
	})
}

func (s *script) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(s.vars["WORK"], filepath.FromSlash(name))
}

func (s *script) write(name string, data []byte) {
	s.t.Helper()
	path := s.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *script) expand(text string) string {
	return os.Expand(text, func(name string) string {
		if v, ok := s.vars[name]; ok {
			return v
		}
		return "$" + name
	})
}

func (s *script) run() {
	s.t.Helper()
	defer s.end()
	for i, line := range strings.Split(string(s.archive.Comment), "\n") {
		if s.t.Failed() {
			return
		}
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if line = s.only(line); line == "" {
			continue
		}
		where := fmt.Sprintf("%s:%d: %s", s.file, i+1, line)
		not := strings.HasPrefix(line, "! ")
		args := s.words(strings.TrimPrefix(line, "! "))
		if err := s.do(args[0], args[1:], not); err != nil {
			s.t.Errorf("%s\n%v\nexit %d\nstdout:\n%s\nstderr:\n%s", where, err, s.code, s.out, s.err)
		}
	}
}

// only returns a line without its condition, or nothing when that does not hold.
func (s *script) only(line string) string {
	free, isFree := strings.CutPrefix(line, "[free] ")
	running, isRunning := strings.CutPrefix(line, "[running] ")
	switch {
	case isFree && !s.beside:
		return free
	case isRunning && s.beside:
		return running
	case isFree || isRunning:
		return ""
	}
	return line
}

// end stops what still runs.
func (s *script) end() {
	if s.running != nil {
		_ = s.do("stop", nil, false)
	}
}

// words divides a line at blanks; '...' holds together.
func (s *script) words(line string) []string {
	var out []string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		if rest, ok := strings.CutPrefix(line, "'"); ok {
			word, after, _ := strings.Cut(rest, "'")
			out, line = append(out, s.expand(word)), after
			continue
		}
		word, after, _ := strings.Cut(line, " ")
		out, line = append(out, s.expand(word)), after
	}
	return out
}

func (s *script) do(name string, args []string, not bool) error {
	switch name {
	case "closedloop":
		return s.closedloop(args, not)
	case "exit":
		if args[0] != strconv.Itoa(s.code) {
			return fmt.Errorf("expected exit %s", args[0])
		}
	case "stdout":
		return match(s.out, args[0], not)
	case "stderr":
		return match(s.err, args[0], not)
	case "cmp":
		return s.compare(args[1])
	case "same":
		return s.same(args[0], args[1])
	case "set":
		m := regexp.MustCompile("(?m)" + args[1]).FindStringSubmatch(s.out)
		if m == nil {
			return errors.New("nothing matches")
		}
		s.vars[args[0]] = m[1]
	case "start":
		return s.start(args)
	case "stop":
		return s.stop()
	case "engine":
		if s.beside {
			return s.start(append([]string{"run"}, args...))
		}
	case "answer":
		s.input = strings.Join(args, " ") + "\n"
	case "terminal":
		return set(&s.width, strconv.Atoi, args[0])
	case "clock":
		return set(&s.later, time.ParseDuration, args[0])
	default:
		return s.doFiles(name, args)
	}
	return nil
}

func set[T any](p *T, parse func(string) (T, error), text string) (err error) {
	*p, err = parse(text)
	return err
}

func (s *script) doFiles(name string, args []string) error {
	switch name {
	case "guest":
		s.write(args[0], guests()[args[1]].stamped(s.t, s.vars["CONTRACT"]))
	case "module":
		s.write(args[0], guests()[args[1]].module())
	case "bytes":
		data, err := hex.DecodeString(args[1])
		if err != nil {
			return err
		}
		s.write(args[0], data)
	case "big":
		return appendBig(s.path(args[0]))
	case "folder":
		return os.MkdirAll(s.path(args[0]), 0o755)
	case "remove":
		return os.RemoveAll(s.path(args[0]))
	case "copy":
		data, err := os.ReadFile(s.path(args[0]))
		if err != nil {
			return err
		}
		s.write(args[1], data)
	case "append":
		data, err := os.ReadFile(s.path(args[0]))
		if err != nil {
			return err
		}
		s.write(args[0], append(data, strings.ReplaceAll(args[1], `\n`, "\n")...))
	case "exec":
		cmd := exec.CommandContext(s.t.Context(), args[1], args[2:]...)
		cmd.Dir = s.path(args[0])
		out, err := cmd.CombinedOutput()
		s.out, s.err = s.normal(string(out)), ""
		return err
	case "env":
		s.vars[args[0]] = args[1]
	default:
		return errors.New("unknown command of a script")
	}
	return nil
}

// appendBig appends a row of 100 MB and an ordinary one to a CSV file.
func appendBig(path string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	chunk := bytes.Repeat([]byte("much too long "), 1<<16)
	_, err = f.WriteString("R-8,2,")
	for written := 0; written < 100<<20 && err == nil; written += len(chunk) {
		_, err = f.Write(chunk)
	}
	if err == nil {
		_, err = f.WriteString("\nR-9,9,fine\n")
	}
	return errors.Join(err, f.Close())
}

// noon is when scripts begin.
var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// io connects a command line to the script.
func (s *script) io(out, err io.Writer, signals chan os.Signal) IO {
	now := noon.Add(s.later)
	return IO{
		In: strings.NewReader(s.input), Out: out, Err: err, TTY: s.width > 0, Width: s.width, Signals: signals,
		Now: func() time.Time { return now },
	}
}

func (s *script) closedloop(args []string, fails bool) error {
	var out, err bytes.Buffer
	s.code = Main(args, s.io(&out, &err, make(chan os.Signal)))
	s.input = ""
	s.out, s.err = s.normal(out.String()), s.normal(err.String())
	if fails == (s.code == exitOK) {
		return errors.New("unexpected exit code")
	}
	return nil
}

// start runs a command line in the background until it says that it listens.
func (s *script) start(args []string) error {
	b := &background{out: newWatched(""), err: newWatched("running program="), signals: make(chan os.Signal, 2), done: make(chan int, 1)}
	s.running = b
	std := s.io(b.out, b.err, b.signals)
	go func() { b.done <- Main(args, std) }()
	select {
	case <-b.err.seen:
		return nil
	case code := <-b.done:
		b.done <- code
		return errors.Join(errors.New("it ended at once"), s.stop())
	}
}

func (s *script) stop() error {
	b := s.running
	s.running = nil
	b.signals <- os.Interrupt
	s.code = <-b.done
	s.out, s.err = s.normal(b.out.String()), s.normal(b.err.String())
	return nil
}

var (
	digestPattern  = regexp.MustCompile(`\+[0-9a-f]{12}\b`)
	rulesetPattern = regexp.MustCompile(`\bruleset [0-9a-f]{12}\b|sha256:[0-9a-f]{64}`)
	cellPattern    = regexp.MustCompile(`(  )[0-9a-f]{12}(  )`) // a ruleset in a table
)

// normal takes out of output what differs from one run or machine to another.
func (s *script) normal(text string) string {
	text = strings.ReplaceAll(text, s.vars["WORK"], "WORK")
	text = strings.ReplaceAll(text, filepath.ToSlash(s.vars["WORK"]), "WORK")
	text = digestPattern.ReplaceAllString(text, "+DIGEST")
	text = cellPattern.ReplaceAllString(text, "${1}HASHHASHHASH${2}")
	return rulesetPattern.ReplaceAllString(text, "ruleset HASH")
}

func match(text, pattern string, not bool) error {
	re, err := regexp.Compile("(?m)" + pattern)
	if err != nil {
		return err
	}
	if re.MatchString(text) == not {
		return errors.New("unexpected output")
	}
	return nil
}

// same compares a file with one of the archive, or with what a command of the script made.
func (s *script) same(name, with string) error {
	got, err := os.ReadFile(s.path(name))
	if err != nil {
		return err
	}
	for _, f := range s.archive.Files {
		if f.Name == with {
			return s.expected(with, s.normal(string(got)))
		}
	}
	want, err := os.ReadFile(s.path(with))
	if err == nil && !bytes.Equal(got, want) {
		err = fmt.Errorf("found\n%s\nexpected\n%s", got, want)
	}
	return err
}

// compare compares what was written with a file of the archive, or makes it the same.
func (s *script) compare(name string) error { return s.expected(name, s.out) }

func (s *script) expected(name, got string) error {
	for i := range s.archive.Files {
		f := &s.archive.Files[i]
		if f.Name != name {
			continue
		}
		if string(f.Data) == got {
			return nil
		}
		if !*update {
			return fmt.Errorf("found\n%s\nexpected\n%s", got, f.Data)
		}
		f.Data = []byte(got)
		return os.WriteFile(s.file, txtar.Format(s.archive), 0o644)
	}
	return fmt.Errorf("the archive has no file %s", name)
}

// watched is a buffer that tells when a word was written to it.
type watched struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	word string
	seen chan struct{} // closed then
	once sync.Once
}

func newWatched(word string) *watched { return &watched{word: word, seen: make(chan struct{})} }

func (w *watched) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, err := w.buf.Write(b)
	if w.word != "" && bytes.Contains(w.buf.Bytes(), []byte(w.word)) {
		w.once.Do(func() { close(w.seen) })
	}
	return n, err
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}
