package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestRun(t *testing.T) {
	dir := t.TempDir()
	if err := run([]string{"-small", "-days", "2", "-start", "2026-03-01", "-accesslog", "-out", dir}); err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"truth.json", "AWSLogs/111122223333/CloudTrail/*/2026/03/01/*.json.gz"} {
		if files, err := filepath.Glob(filepath.Join(dir, pattern)); err != nil || len(files) == 0 {
			t.Errorf("no %s (%v)", pattern, err)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		nil,
		{"-out", t.TempDir(), "-start", "yesterday"},
		{"-out", t.TempDir(), "surplus"},
		{"-small", "-days", "1", "-out", file},
	} {
		if run(args) == nil {
			t.Errorf("run(%q) succeeded", args)
		}
	}
}
