package sdk

import (
	"fmt"
	"regexp"
	"slices"
)

// The contract version of this package. A host accepts the same major and a minor that is not above its own.
const (
	ContractMajor = 1
	ContractMinor = 0
)

// ManifestSection is the custom section of a WASM module that holds the manifest as JSON.
const ManifestSection = "closedloop.manifest"

// Manifest is what a plugin says of itself, readable without running any of its code: plugin.yaml beside the source
// or binary, and as JSON in the custom section ManifestSection of a WASM module.
type Manifest struct {
	Name        string `json:"name"`
	Version     string `json:"version"` // semantic version, such as 1.2.0
	Description string `json:"description,omitempty"`
	Contract    string `json:"contract"` // contract version that the plugin was made for, such as "1.0"
	// Abilities are the calls that the plugin answers.
	Abilities []Ability `json:"abilities"`
	// Capabilities are what the plugin asks the program to grant.
	Capabilities []Capability `json:"capabilities,omitempty"`
	Settings     Spec         `json:"settings,omitempty"`
}

// Ability is a call that a plugin answers.
type Ability string

// The abilities.
const (
	AbilityCategorize Ability = "categorize"
	AbilityPoll       Ability = "poll"
	AbilityReceive    Ability = "receive"
	AbilityDeliver    Ability = "deliver"
)

// Capability is something that a plugin asks the host for.
type Capability string

// The capabilities.
const (
	CapabilityLog   Capability = "log"
	CapabilityFile  Capability = "file"
	CapabilityHTTP  Capability = "http"
	CapabilityClock Capability = "clock"
	CapabilityKV    Capability = "kv"
	// CapabilityRandom asks for random bytes that nobody can foresee, in place of the same ones in every instance.
	CapabilityRandom Capability = "random"
)

// Abilities lists every ability; Capabilities every capability.
var (
	Abilities    = []Ability{AbilityCategorize, AbilityPoll, AbilityReceive, AbilityDeliver}
	Capabilities = []Capability{CapabilityLog, CapabilityFile, CapabilityHTTP, CapabilityClock, CapabilityKV, CapabilityRandom}
)

// Can reports whether the plugin declares the ability.
func (m *Manifest) Can(a Ability) bool { return slices.Contains(m.Abilities, a) }

// Wants reports whether the plugin asks for the capability.
func (m *Manifest) Wants(c Capability) bool { return slices.Contains(m.Capabilities, c) }

// Compiled where they are used: a package variable would link package regexp into every guest.
const (
	namePattern    = `^[a-z][a-z0-9-]{0,62}$`
	versionPattern = `^[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]+)?$`
)

// Check returns everything that is wrong with the manifest, each with the path of the member.
func (m *Manifest) Check() []SettingError {
	var errs []SettingError
	bad := func(path, format string, args ...any) {
		errs = append(errs, SettingError{Path: path, Message: fmt.Sprintf(format, args...)})
	}
	if !regexp.MustCompile(namePattern).MatchString(m.Name) {
		bad("name", "found %q, expected lower-case letters, digits and hyphens, such as my-plugin", m.Name)
	}
	if !regexp.MustCompile(versionPattern).MatchString(m.Version) {
		bad("version", "found %q, expected a semantic version such as 1.2.0", m.Version)
	}
	var major, minor int
	if n, err := fmt.Sscanf(m.Contract, "%d.%d", &major, &minor); n != 2 || err != nil {
		bad("contract", "found %q, expected the contract version that the plugin was made for, such as %q", m.Contract, ContractVersion())
	} else if major != ContractMajor || minor > ContractMinor {
		bad("contract", "found %s, expected %d.0 to %s: this engine is older than the plugin, or the plugin must be rebuilt", m.Contract, ContractMajor, ContractVersion())
	}
	if len(m.Abilities) == 0 {
		bad("abilities", "found none, expected at least one of %v", Abilities)
	}
	for i, a := range m.Abilities {
		if !slices.Contains(Abilities, a) {
			bad(fmt.Sprintf("abilities[%d]", i), "found %q, expected one of %v", a, Abilities)
		}
	}
	for i, c := range m.Capabilities {
		if !slices.Contains(Capabilities, c) {
			bad(fmt.Sprintf("capabilities[%d]", i), "found %q, expected one of %v", c, Capabilities)
		}
	}
	return append(errs, m.Settings.check("settings")...)
}

// ContractVersion returns the version of this contract as it stands in manifests.
func ContractVersion() string { return fmt.Sprintf("%d.%d", ContractMajor, ContractMinor) }
