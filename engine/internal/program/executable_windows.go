package program

import (
	"io/fs"
	"path/filepath"
	"strings"
)

func isExecutable(info fs.FileInfo) bool { return strings.EqualFold(filepath.Ext(info.Name()), ".exe") }
