package store

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A tree is a directory of Badger's within the state directory. There is one, except while Compact writes its
// successor; the file "current" names the one that counts. Without the file that is the first one.
const (
	firstTree   = "badger"
	currentFile = "current"
)

// currentTree returns the name of the tree that counts.
func currentTree(dir string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir, currentFile))
	if errors.Is(err, fs.ErrNotExist) {
		return firstTree, firstOrNone(dir)
	}
	if err != nil {
		return "", fmt.Errorf("store: %w", err)
	}
	name, whole := strings.CutSuffix(string(b), "\n")
	if _, err := treeNumber(name); err != nil || !whole {
		return "", errorf(ErrCorrupt, corruptHint, "%s holds %.40q, expected the name of a directory", filepath.Join(dir, currentFile), b)
	}
	if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
		return "", errorf(ErrCorrupt, corruptHint, "the current tree: %v", err)
	}
	return name, nil
}

// firstOrNone returns an error when there are trees in a directory, and the first is not one of them: it was removed because
// the file that is missing named another one, which holds everything.
func firstOrNone(dir string) error {
	trees, err := treesIn(dir)
	if err != nil || len(trees) == 0 || slices.Contains(trees, firstTree) {
		return err
	}
	slices.SortFunc(trees, func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) })
	path := filepath.Join(dir, currentFile)
	return errorf(ErrCorrupt, "when nothing else was removed, write the name of the tree that counts into it, with a line feed",
		"%s is missing; the trees are %s", path, strings.Join(trees, " and "))
}

// treesIn returns the names of the trees in a directory.
func treesIn(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	for _, e := range entries {
		if _, err := treeNumber(e.Name()); err == nil {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// treeNumber returns the number in the name of a tree, 0 of the first.
func treeNumber(name string) (uint64, error) {
	if name == firstTree {
		return 0, nil
	}
	digits, ok := strings.CutPrefix(name, firstTree+"-")
	n, err := strconv.ParseUint(digits, 10, 63)
	if !ok || err != nil || n == 0 || digits != strconv.FormatUint(n, 10) {
		return 0, fmt.Errorf("%q is not the name of a tree", name)
	}
	return n, nil
}

// nextTree returns the name of the tree after one.
func nextTree(name string) (string, error) {
	n, err := treeNumber(name)
	return firstTree + "-" + strconv.FormatUint(n+1, 10), err
}

// setCurrent makes a tree the one that counts, at once and durably. Its files are durable.
func setCurrent(dir, name string) error {
	path := filepath.Join(dir, currentFile)
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(name + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return syncDir(dir)
}

// removeLeftovers removes the trees that do not count: those of a Compact that was cut off, before or after its end.
func removeLeftovers(dir, current string) error {
	trees, err := treesIn(dir)
	if err != nil {
		return err
	}
	for _, name := range trees {
		if name == current {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("store: %w", err)
		}
	}
	return nil
}

// Sizes are the bytes that the files of a tree take on the disk.
type Sizes struct {
	Tables int64 `json:"tables"` // sorted tables
	Logs   int64 `json:"logs"`   // of what is not in tables yet
	Other  int64 `json:"other"`
}

// Total returns the bytes of all files.
func (s Sizes) Total() int64 { return s.Tables + s.Logs + s.Other }

func sizesOf(tree string) (s Sizes, err error) {
	entries, err := os.ReadDir(tree)
	if err != nil {
		return s, fmt.Errorf("store: %w", err)
	}
	for _, e := range entries {
		fi, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // compacted away meanwhile
		}
		if err != nil {
			return s, fmt.Errorf("store: %w", err)
		}
		switch filepath.Ext(e.Name()) {
		case ".sst":
			s.Tables += allocated(fi)
		case ".mem", ".vlog":
			s.Logs += allocated(fi)
		default:
			s.Other += allocated(fi)
		}
	}
	return s, nil
}

// syncTree makes the files of a tree and its name durable.
func syncTree(tree string) error {
	entries, err := os.ReadDir(tree)
	if err != nil {
		return err
	}
	for _, e := range entries {
		f, err := os.OpenFile(filepath.Join(tree, e.Name()), os.O_RDWR, 0)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return errors.Join(syncDir(tree), syncDir(filepath.Dir(tree)))
}

// Exists reports whether a directory holds a store.
func Exists(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, currentFile))
	trees, _ := treesIn(dir) // a directory that cannot be read holds none
	return err == nil || len(trees) > 0
}
