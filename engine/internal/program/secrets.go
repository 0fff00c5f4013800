package program

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/closedloop/closedloop/rules/source"
	"github.com/closedloop/closedloop/sdk/suggest"
)

// ErrNoSecret says that the program declares no secret of that name, or that it is not set on this machine.
var ErrNoSecret = errors.New("no such secret")

// secretReader reads a secret from its place. It is a function so that no rendering of a Program shows what it holds.
type secretReader func() ([]byte, error)

// Secret reads the secret from its place: the environment variable or the file, else the declared default. Errors name
// the place and never show a value.
func (p *Program) Secret(name string) ([]byte, error) {
	read, ok := p.secrets[name]
	if !ok {
		return nil, fmt.Errorf("secret %s: %w in the program", name, ErrNoSecret)
	}
	value, err := read()
	if err != nil {
		return nil, fmt.Errorf("secret %s: %w", name, err)
	}
	return value, nil
}

func fromEnv(variable string) secretReader {
	return func() ([]byte, error) {
		if v := os.Getenv(variable); v != "" {
			return []byte(v), nil
		}
		return nil, fmt.Errorf("%w: the environment variable %s is not set", ErrNoSecret, variable)
	}
}

// maxSecret is the largest file of a secret in bytes.
const maxSecret = 64 << 10

// fromFile reads a file without the line ends that editors put at its end.
func fromFile(path, name string) secretReader {
	return func() ([]byte, error) {
		value, err := readFile(path, maxSecret)
		switch {
		case err != nil && isMissing(path, err):
			return nil, fmt.Errorf("%w: there is no file %s", ErrNoSecret, name)
		case err != nil:
			return nil, fmt.Errorf("the file %s: %s", name, reason(err))
		}
		if value = bytes.TrimRight(value, "\r\n"); len(value) == 0 {
			return nil, fmt.Errorf("%w: the file %s is empty", ErrNoSecret, name)
		}
		return value, nil
	}
}

// orElse reads a default where the secret is not set.
func (read secretReader) orElse(value string) secretReader {
	return func() ([]byte, error) {
		if v, err := read(); !errors.Is(err, ErrNoSecret) {
			return v, err
		}
		return []byte(value), nil
	}
}

var variablePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// readSecrets reads where the secrets are. No message shows a value of this section: what stands where a name was
// expected may be a secret.
func (l *loader) readSecrets() {
	l.p.secrets = map[string]secretReader{}
	section := l.root.Get("secrets")
	if section != nil && !section.IsMap() && !section.IsNull() {
		section.Problem("wrong_type", "found something that is not shown here, expected a map of names")
		return
	}
	for _, e := range entries(section) {
		checkID(e.Key, e.Name)
		l.declared = append(l.declared, e.Name)
		if read := l.readSecret(e.Value); read != nil {
			l.p.secrets[e.Name] = read
			if _, err := read(); err != nil {
				l.warn(e.Key, "secret_unset", "what needs the secret fails until it is set", "secret %s is not readable on this machine: %v", e.Name, err)
			}
		}
	}
}

const secretForm = "expected where it is, as in {env: NAME_OF_VARIABLE} or {file: secrets/name.txt}"

func (l *loader) readSecret(n *source.Node) secretReader {
	known := []string{"env", "file", "default"}
	if !n.IsMap() {
		n.Problem("secret", "found something that is not shown here, "+secretForm)
		return nil
	}
	for _, e := range n.Entries() {
		if !slices.Contains(known, e.Name) {
			e.Key.ProblemHint("unknown_key", suggest.DidYouMean(e.Name, known), "unknown key, expected one of %s", strings.Join(known, ", "))
		}
	}
	variable, okEnv := hiddenText(n.Get("env"))
	name, okFile := hiddenText(n.Get("file"))
	value, okDefault := hiddenText(n.Get("default"))
	var read secretReader
	switch {
	case !okEnv || !okFile || !okDefault:
		return nil
	case variable != "" && name != "":
		n.Problem("secret", "found both env and file, expected one of them")
		return nil
	case name != "":
		read = fromFile(l.path(name), name)
	case variable == "":
		n.Problem("secret", "found neither env nor file, "+secretForm)
		return nil
	case !variablePattern.MatchString(variable):
		n.Get("env").ProblemHint("secret", "a secret itself does not stand in the program", "found something that is not shown here, expected the name of an environment variable")
		return nil
	default:
		read = fromEnv(variable)
	}
	if value != "" {
		read = read.orElse(value)
	}
	return read
}

// hiddenText returns a string of the section of secrets, and notes any other value without showing it.
func hiddenText(n *source.Node) (text string, ok bool) {
	if n == nil {
		return "", true
	}
	text, ok = n.Any().(string)
	if !ok || text == "" {
		n.ProblemHint("wrong_type", "put it into quotes", "found something that is not shown here, expected a string")
		return "", false
	}
	return text, true
}

// A line ends where YAML says so.
var lineEnd = regexp.MustCompile(`\r\n|[\n\r\x{85}\x{2028}\x{2029}]`)

// hideSecrets marks the lines of a section of secrets, so that no problem shows them. It goes by the text alone, since
// the file may be no YAML: a section reaches to the next line that is indented no deeper, and a map in braces, which
// may hold one anywhere, to the end of the file.
func (l *loader) hideSecrets(data []byte) {
	inside, depth := false, 0
	for i, text := range lineEnd.Split(string(data), -1) {
		trimmed := strings.TrimLeft(text, " \t")
		indent := len(text) - len(trimmed)
		if trimmed != "" && trimmed[0] != '#' && !(inside && indent > depth) {
			name, _, found := strings.Cut(trimmed, ":")
			inside, depth = found && strings.Trim(name, `"' `) == "secrets", indent
			if trimmed[0] == '{' {
				inside, depth = true, -1
			}
		}
		if inside {
			l.hide(FileName, i+1)
		}
	}
}

func (l *loader) hide(file string, number int) { l.hidden = append(l.hidden, line{file, number}) }
