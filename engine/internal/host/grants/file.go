package grants

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// maxFiles is how many files a granted folder may hold.
const maxFiles = 10_000

// Files lists the granted file, or every regular file of the granted folder in the order of their names. Symbolic
// links that stay within the folder count as what they lead to; directories are not entered through them.
func (s *Set) Files() ([]sdk.FileInfo, error) {
	granted := s.spec.Grants.File
	switch {
	case granted == "":
		return nil, fileNotGranted()
	case !s.folder:
		info, err := s.Stat(filepath.Base(granted))
		if err != nil {
			return nil, err
		}
		return []sdk.FileInfo{info}, nil
	}
	root, err := os.OpenRoot(granted)
	if err != nil {
		return nil, unreadable(filepath.Base(granted), err)
	}
	defer root.Close()
	var files []sdk.FileInfo
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return nil
		}
		info, err := root.Stat(filepath.FromSlash(name))
		if err != nil || !info.Mode().IsRegular() {
			return nil // a link that leads out or nowhere, or no file
		}
		if len(files) == maxFiles {
			return refuse("too_many_files", "the granted folder holds more than %d files", maxFiles)
		}
		files = append(files, describe(name, info))
		return nil
	})
	if f := (*sdk.Failure)(nil); err != nil && !errors.As(err, &f) {
		err = unreadable(filepath.Base(granted), err)
	}
	if err != nil {
		return nil, err
	}
	return files, nil
}

// Stat returns one granted file. A file that is gone gives a failure of the code "no_file".
func (s *Set) Stat(name string) (sdk.FileInfo, error) {
	f, err := s.open(name)
	if err != nil {
		return sdk.FileInfo{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return sdk.FileInfo{}, unreadable(name, err)
	}
	return describe(name, info), nil
}

// ReadFile reads from a granted file as io.ReaderAt does.
func (s *Set) ReadFile(name string, p []byte, offset int64) (int, error) {
	if offset < 0 {
		return 0, refuse("bad_argument", "found the offset %d, expected at least 0", offset)
	}
	f, err := s.open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n, err := f.ReadAt(p, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return n, unreadable(name, err)
	}
	return n, err
}

// open opens a granted regular file.
func (s *Set) open(name string) (*os.File, error) {
	granted := s.spec.Grants.File
	if granted == "" {
		return nil, fileNotGranted()
	}
	stat, open := func() (fs.FileInfo, error) { return os.Stat(granted) }, func() (*os.File, error) { return os.Open(granted) }
	if s.folder {
		if !fs.ValidPath(name) || path.Clean(name) == "." {
			return nil, refuse("no_file", "there is no file %q in the granted folder", name)
		}
		root, err := os.OpenRoot(granted)
		if err != nil {
			return nil, unreadable(filepath.Base(granted), err)
		}
		defer root.Close()
		stat = func() (fs.FileInfo, error) { return root.Stat(filepath.FromSlash(name)) }
		open = func() (*os.File, error) { return root.Open(filepath.FromSlash(name)) }
	} else if name != filepath.Base(granted) {
		return nil, refuse("no_file", "the program grants the file %q, not %q", filepath.Base(granted), name)
	}
	// A FIFO would hold up open until somebody writes to it.
	if info, err := stat(); err == nil && !info.Mode().IsRegular() {
		return nil, refuse("no_file", "%q is no file", name)
	}
	f, err := open()
	if err != nil {
		return nil, unreadable(name, err)
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, refuse("no_file", "%q is no file", name)
	}
	return f, nil
}

func describe(name string, info fs.FileInfo) sdk.FileInfo {
	return sdk.FileInfo{Name: name, Size: info.Size(), Modified: feedback.TimeOf(info.ModTime()), Identity: identity(info)}
}

func fileNotGranted() error { return notGranted("file", "the file or folder that it may read") }

// unreadable says that a file could not be read, without its place outside the grant.
func unreadable(name string, err error) error {
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		err = e.Err
	}
	code := "unreadable"
	if errors.Is(err, fs.ErrNotExist) {
		code = "no_file"
	}
	return retry(code, "%s", fmt.Sprintf("%s: %v", name, err))
}
