package program

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/closedloop/closedloop/engine/internal/host/grants"
	"github.com/closedloop/closedloop/engine/internal/host/wasmfile"
	"github.com/closedloop/closedloop/rules/source"
	"github.com/closedloop/closedloop/sdk"
)

// ManifestName is the file that holds a plugin's manifest beside its source or its executable.
const ManifestName = "plugin.yaml"

// parseManifest reads the text of plugin.yaml. What is wrong with it stands in the node's problems, or in those that
// are returned when it is no YAML.
func parseManifest(file string, data []byte) (*sdk.Manifest, *source.Node, source.Problems) {
	root, problems := source.Parse(file, data)
	if root == nil {
		return nil, nil, problems
	}
	m := &sdk.Manifest{}
	if !root.IsMap() {
		root.Object("name", "version", "description", "contract", "abilities", "capabilities", "settings")
		return m, root, nil
	}
	// First the contract: what is unknown to an older engine may be right in a newer one.
	m.Contract = root.Need("contract").String()
	if newer := contractProblem(m.Contract); newer != "" {
		root.Get("contract").Problem("contract", "%s", newer)
		return m, root, nil
	}
	root.Object("name", "version", "description", "contract", "abilities", "capabilities", "settings")
	m.Name = root.Need("name").String()
	m.Version = root.Need("version").String()
	m.Description = root.Get("description").String()
	for _, a := range root.Need("abilities").Strings() {
		m.Abilities = append(m.Abilities, sdk.Ability(a))
	}
	for _, c := range root.Get("capabilities").Strings() {
		m.Capabilities = append(m.Capabilities, sdk.Capability(c))
	}
	m.Settings = readSpec(root.Get("settings"))
	if len(root.Problems()) == 0 {
		for _, e := range m.Check() {
			root.At(e.Path).ProblemHint("manifest", e.Hint, "%s", e.Message)
		}
	}
	return m, root, nil
}

// contractProblem says what is wrong with a contract version that this engine does not know.
func contractProblem(contract string) string {
	for _, e := range (&sdk.Manifest{Contract: contract}).Check() {
		if e.Path == "contract" && contract != "" {
			return e.Message
		}
	}
	return ""
}

func readSpec(n *source.Node) sdk.Spec {
	var spec sdk.Spec
	for _, e := range entries(n) {
		if spec == nil {
			spec = sdk.Spec{}
		}
		spec[e.Name] = readSetting(e.Value)
	}
	return spec
}

func readSetting(n *source.Node) sdk.Setting {
	if !n.Object("type", "description", "required", "default", "enum", "pattern", "min", "max", "items", "fields") {
		return sdk.Setting{}
	}
	s := sdk.Setting{
		Type:        sdk.SettingType(n.Need("type").String()),
		Description: n.Get("description").String(),
		Required:    n.Get("required").Bool(),
		Default:     n.Get("default").Any(),
		Enum:        n.Get("enum").Strings(),
		Pattern:     n.Get("pattern").String(),
		Min:         bound(n.Get("min")),
		Max:         bound(n.Get("max")),
		Fields:      readSpec(n.Get("fields")),
	}
	if items := n.Get("items"); items != nil {
		s.Items = new(readSetting(items))
	}
	return s
}

func bound(n *source.Node) *float64 {
	if n == nil {
		return nil
	}
	return new(n.Number())
}

// errNoManifest says that a module holds no manifest.
var errNoManifest = errors.New("the module holds no manifest")

// wasmManifest reads the manifest that is stamped into a module and checks that the module offers what it declares.
// It returns everything that is wrong: errors of wasmfile, errNoManifest, or others.
func wasmManifest(wasm []byte) (*sdk.Manifest, []error) {
	module, err := wasmfile.Parse(wasm)
	if err != nil {
		return nil, []error{err}
	}
	data, ok := module.Custom(sdk.ManifestSection)
	if !ok {
		return nil, []error{errNoManifest}
	}
	m := &sdk.Manifest{}
	if err := json.Unmarshal(data, m); err != nil {
		return nil, []error{fmt.Errorf("the manifest in the module is not the JSON of a manifest: %w", err)}
	}
	if wrong := contractProblem(m.Contract); wrong != "" {
		return nil, []error{fmt.Errorf("the manifest in the module: contract: %s", wrong)}
	}
	var wrong []error
	for _, e := range m.Check() {
		wrong = append(wrong, fmt.Errorf("the manifest in the module: %w", e))
	}
	for _, im := range module.Imports {
		if err := grants.CheckAsked(m, im.Name); im.Module == "closedloop" && err != nil {
			wrong = append(wrong, err)
		}
	}
	return m, append(wrong, checkExports(module, m)...)
}

// checkExports returns what a module lacks of what the contract and its manifest say that it exports.
func checkExports(module *wasmfile.Module, m *sdk.Manifest) []error {
	var wrong []error
	if _, ok := module.Export("memory", wasmfile.Memory); !ok {
		wrong = append(wrong, errors.New("the module does not export its memory under the name memory"))
	}
	for _, name := range []string{"cl_abi", "cl_alloc", "cl_configure"} {
		if _, ok := module.Export(name, wasmfile.Func); !ok {
			wrong = append(wrong, fmt.Errorf("the module does not export the function %s, expected a plugin of this contract", name))
		}
	}
	for _, a := range m.Abilities {
		if _, ok := module.Export("cl_"+string(a), wasmfile.Func); !ok && slices.Contains(sdk.Abilities, a) {
			wrong = append(wrong, fmt.Errorf("the manifest declares the ability %s, but the module does not export cl_%s", a, a))
		}
	}
	return wrong
}

// isMissing reports whether the error says that there is no such file, also because a folder on the way is a file.
func isMissing(path string, err error) bool {
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	info, e := os.Stat(filepath.Dir(path))
	return err != nil && e == nil && !info.IsDir()
}
