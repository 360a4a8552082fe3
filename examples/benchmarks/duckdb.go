//go:build unix

package main

import (
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// The program that asks DuckDB, and the exact packages it needs.
var (
	//go:embed duckdb/questions.mjs
	duckQuestions []byte
	//go:embed duckdb/package.json
	duckPackages []byte
)

// The ways in which DuckDB reads the files: once, into a table that it then asks
// three times, or anew for each question, as three queries on files do.
const (
	duckOnce = "DuckDB, files read once"
	duckEach = "DuckDB, read for each question"
)

// duckTable compares all rules with DuckDB, which answers three questions only,
// over the same files, both in a process of their own for each round. The
// targets are about DuckDB reading for each question.
func duckTable(name, form string, in input, limit float64) *table {
	const sixth = 0.167
	goals := []target{{rate, duckEach, limit, "times as fast as reading for each"}, {peak, duckEach, sixth, "times its memory"}}
	cases := []benchCase{
		duckCase(duckOnce, in, "once"),
		duckCase(duckEach, in, "each"),
		eachAnew(detectFiles("cloudtell, all rules", 1)),
		eachAnew(detectEach("cloudtell, all rules, Reuse", nil)).with(goals...),
	}
	if in.gzip {
		cases = append(cases, eachAnew(libdeflateCase("cloudtell, all rules, Reuse, libdeflate", detectEach)).with(goals...))
	}
	return &table{
		name: name, title: "DuckDB's three questions and cloudtell's rules, " + form, commands: []string{"duckdb"}, input: in, columns: duckColumns,
		cases: cases,
	}
}

// eachAnew runs each round of a case in a process of its own.
func eachAnew(c benchCase) benchCase {
	c.fresh = true
	return c
}

func duckCase(name string, in input, mode string) benchCase {
	return benchCase{name: name, timesStart: true, command: func(dir string) (*exec.Cmd, error) { return duckCommand(in, dir, mode) }}
}

// duckCommand returns the command that asks DuckDB about the files of an input.
func duckCommand(in input, dir, mode string) (*exec.Cmd, error) {
	home, err := installDuck()
	if err != nil {
		return nil, &errUnavailable{err.Error()}
	}
	form, files := "lines", "*.json"
	if in.perFile > 0 {
		form, files = "records", "*.json.gz"
	}
	cmd := exec.Command("node", "questions.mjs", form, filepath.Join(dir, files), mode)
	cmd.Dir = home
	return cmd, nil
}

// duckHome is the directory below the user's cache that DuckDB is installed in.
// Other contents have another name.
func duckHome() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(slices.Concat(duckQuestions, duckPackages))
	return filepath.Join(cache, "cloudtell-benchmarks", fmt.Sprintf("duckdb-%x", sum[:8])), nil
}

// installDuck installs DuckDB for Node, unless it is there already, and returns
// its directory.
func installDuck() (string, error) {
	home, err := duckHome()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(home); err == nil {
		return home, nil
	}
	if _, err := exec.LookPath("node"); err != nil {
		return "", errors.New("no node")
	}
	if err := os.MkdirAll(filepath.Dir(home), 0o755); err != nil {
		return "", err
	}
	fresh, err := os.MkdirTemp(filepath.Dir(home), "new")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(fresh)
	for name, data := range map[string][]byte{"questions.mjs": duckQuestions, "package.json": duckPackages} {
		if err := os.WriteFile(filepath.Join(fresh, name), data, 0o644); err != nil {
			return "", err
		}
	}
	npm := exec.Command("npm", "install", "--no-package-lock", "--no-audit", "--no-fund")
	npm.Dir = fresh
	if out, err := npm.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm install: %w: %s", err, out)
	}
	return home, os.Rename(fresh, home) // complete
}
