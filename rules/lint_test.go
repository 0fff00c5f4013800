package rules_test

import (
	"slices"
	"testing"

	"github.com/closedloop/closedloop/rules"
)

func TestLintFindsDuplicates(t *testing.T) {
	t.Parallel()
	set, err := rules.Compile([]rules.File{{Name: "a.yaml", Data: []byte(`version: 1
macros: {detractor: nps <= 6}
groups:
  - name: one
    rules:
      - {id: first, when: "nps <= 6 && contactable", do: [{assign: {queue: care}}]}
      - {id: second, description: again, when: "detractor && contactable", do: [{assign: {queue: care}}]}
      - {id: other-action, when: "nps <= 6 && contactable", do: [{tag: unhappy}]}
      - {id: other-condition, when: "nps <= 7 && contactable", do: [{assign: {queue: care}}]}
      - {id: quiet, mode: shadow, when: "nps <= 6 && contactable", do: [{assign: {queue: care}}]}
  - name: two
    rules:
      - {id: other-group, when: "nps <= 6 && contactable", do: [{assign: {queue: care}}]}
`)}}, rules.Env{})
	if err != nil {
		t.Fatal(err)
	}
	found := set.Lint()
	if len(found) != 1 || found[0].Code != "duplicate" || found[0].Rule != "second" || found[0].Other != "first" || !found[0].Blocks {
		t.Fatalf("found %+v, want that second is first again", found)
	}
	if p := found[0].Problem(); p.File != "a.yaml" || p.Line != 7 {
		t.Errorf("told at %s:%d", p.File, p.Line)
	}
}

func TestHashOfFilesIsThatOfTheSet(t *testing.T) {
	t.Parallel()
	files := []rules.File{{Name: "a.yaml", Data: []byte("version: 1\ngroups: []\n")}}
	set, err := rules.Compile(files, rules.Env{})
	if err != nil {
		t.Fatal(err)
	}
	if got := rules.HashOf(files, rules.Env{}); got != set.Hash() {
		t.Errorf("got %s, want %s", got, set.Hash())
	}
	other := slices.Clone(files)
	other[0].Data = []byte("not: [yaml")
	if rules.HashOf(other, rules.Env{}) == set.Hash() {
		t.Error("other files have the same hash")
	}
}
