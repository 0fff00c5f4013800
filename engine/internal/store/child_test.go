package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
)

// child returns the command that runs a part of runChild in a process of its own.
func child(part string, args ...string) *exec.Cmd {
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), "CLOSEDLOOP_CHILD="+part)
	return c
}

func runChild(part string, args []string) int {
	parts := map[string]func(dir string) error{
		"fill": fill, "two logs": twoLogs, "verify": verify, "churn": churn, "check churn": checkChurn,
		"serve calls":       serveCalls,
		"fill items":        fillItems,
		"churn and compact": churnAndCompact,
	}
	maps.Copy(parts, diskParts())
	maps.Copy(parts, dumpParts())
	run, ok := parts[part]
	if !ok {
		fmt.Println("no such part:", part)
		return 2
	}
	if err := run(args[0]); err != nil {
		fmt.Println("error:", err)
		return 1
	}
	return 0
}

// record is what fill writes under key(i).
func record(i int) []byte { return bytes.Repeat(fmt.Appendf(nil, "record %06d;", i), 60) }

const filled = 400

// fill writes records and leaves the directory as a crash does.
func fill(dir string) error {
	s, err := Open(dir, small())
	if err != nil {
		return err
	}
	for i := range filled {
		if err := s.Update(context.Background(), func(tx *Tx) error { tx.Set(key(i), record(i)); return nil }); err != nil {
			return err
		}
	}
	return nil
}

// twoLogs writes until Badger has two logs and stops as a crash does. The tables that would take the place of the
// older log cannot be written, because directories are in the way.
func twoLogs(dir string) error {
	s, err := Open(dir, small())
	if err != nil {
		return err
	}
	for i := range 100 {
		if err := os.Mkdir(filepath.Join(dir, "badger", fmt.Sprintf("%06d.sst", i)), 0o700); err != nil {
			return err
		}
	}
	for i := range 120 { // 6 MB
		if err := s.Update(context.Background(), func(tx *Tx) error { tx.Set(key(i), make([]byte, 50<<10)); return nil }); err != nil {
			return err
		}
	}
	return nil
}

// verify opens what fill left and says what it finds: wrong, missing and unreadable records.
func verify(dir string) error {
	s, err := Open(dir, small())
	if err != nil {
		return err
	}
	wrong, missing, unreadable := 0, 0, 0
	if err := s.View(func(sn *Snapshot) error {
		for i := range filled {
			v, err := sn.Get(key(i))
			switch {
			case errors.Is(err, ErrNotFound):
				missing++
			case err != nil:
				unreadable++
			case !bytes.Equal(v, record(i)):
				wrong++
			}
		}
		err := sn.Scan([]byte{KeyMeta}, nil, false, func(k, v []byte) (bool, error) {
			if i := int(ReadKey(k).Uint64()); !bytes.Equal(k, key(i)) || !bytes.Equal(v, record(i)) {
				wrong++
			}
			return true, nil
		})
		if err != nil {
			unreadable++
		}
		return nil
	}); err != nil {
		return err
	}
	fmt.Printf("wrong %d missing %d unreadable %d\n", wrong, missing, unreadable)
	return nil
}
