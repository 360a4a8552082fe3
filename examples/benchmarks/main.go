//go:build unix

// Benchmarks compares cloudtell's decoder with other Go libraries on the
// records of a generated account:
//
//	go run . decode     # JSON in memory
//	go run . gzip       # files as AWS stores them
//
// Every case runs in a process of its own, on one core, in turns with the
// others. Rates are bytes of JSON over CPU time, garbage collection included.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A table is cases that do the same work.
type table struct {
	title string
	input func(days int) [][]byte
	cases func() []benchCase
}

var tables = map[string]table{
	"lines": {"JSON lines", func(days int) [][]byte { return input(days, 0) }, func() []benchCase { return decodeCases(true) }},
	"files": {"files of 1,500 records", func(days int) [][]byte { return input(days, 1500) }, func() []benchCase { return decodeCases(false) }},
	"gzip":  {"gzip files of 1,500 records", func(days int) [][]byte { return compressed(input(days, 1500)) }, gzipCases},
	"small": {"gzip files of 40 records", func(days int) [][]byte { return compressed(input(days, 40)) }, gzipCases},
}

// commands says which tables a command prints.
var commands = map[string][]string{"decode": {"lines", "files"}, "gzip": {"gzip", "small"}}

func main() {
	rounds := flag.Int("rounds", 9, "measure each case so often")
	days := flag.Int("days", 3, "days of the account's log")
	only := flag.String("case", "", "only the cases with this in their name")
	child := flag.String("child", "", "for internal use: the case to run")
	flag.Parse()
	var err error
	switch names := commands[flag.Arg(0)]; {
	case *child != "":
		err = runChild(*child, flag.Args())
	case names == nil || flag.NArg() != 1:
		err = errors.New("usage: benchmarks [-rounds n] [-days n] decode|gzip")
	default:
		for _, name := range names {
			if err = measure(name, *days, *rounds, *only); err != nil {
				break
			}
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
}

// A result is what one process measured.
type result struct {
	Records, Passes int
	CPU             time.Duration // user and system, all passes
	Mallocs         uint64
}

// measure prints a table.
func measure(name string, days, rounds int, only string) error {
	t := tables[name]
	dir, err := os.MkdirTemp("", "benchmarks")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var paths []string
	for i, file := range t.input(days) {
		path := filepath.Join(dir, fmt.Sprintf("%04d", i))
		if err := os.WriteFile(path, file, 0o600); err != nil {
			return err
		}
		paths = append(paths, path)
	}
	records, size := 0, 0
	for r := range plainRecords(days) {
		records, size = records+1, size+len(r)
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	cases := slices.DeleteFunc(t.cases(), func(c benchCase) bool { return !strings.Contains(c.name, only) })
	results := make(map[string][]result)
	for range rounds {
		for _, c := range cases {
			cmd := exec.Command(exe, append([]string{"-child", name + "/" + c.name}, paths...)...)
			cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			var r result
			if err := json.Unmarshal(out, &r); err != nil {
				return err
			}
			if r.Records != records && !strings.HasSuffix(c.name, "alone") {
				return fmt.Errorf("%s: %d records, want %d", c.name, r.Records, records)
			}
			results[c.name] = append(results[c.name], r)
		}
	}
	fmt.Printf("\n%s: %d records, %d bytes each; %s, %d rounds\n\n", t.title, records, size/records, runtime.Version(), rounds)
	fmt.Printf("| %-32s | %6s | %8s | %12s | %6s |\n|---|--:|--:|--:|--:|\n", "case", "MB/s", "ns/event", "allocs/event", "times")
	var first float64
	for i, c := range cases {
		var ns, mallocs []float64
		for _, r := range results[c.name] {
			n := float64(records * r.Passes)
			ns, mallocs = append(ns, float64(r.CPU)/n), append(mallocs, float64(r.Mallocs)/n)
		}
		event := median(ns)
		if i == 0 {
			first = event
		}
		fmt.Printf("| %-32s | %6.0f | %8.0f | %12.2f | %6.2f |\n", c.name, float64(size)/float64(records)/event*1e3, event, median(mallocs), first/event)
	}
	return nil
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// runChild measures one case and prints the result.
func runChild(name string, paths []string) error {
	tableName, caseName, _ := strings.Cut(name, "/")
	cases := tables[tableName].cases()
	i := slices.IndexFunc(cases, func(c benchCase) bool { return c.name == caseName })
	if i < 0 {
		return fmt.Errorf("no case %q", name)
	}
	var files [][]byte
	for _, path := range paths {
		file, err := mapped(path)
		if err != nil {
			return err
		}
		files = append(files, file)
	}
	var r result
	var err error
	if r.Records, err = cases[i].run(files); err != nil { // warm up
		return err
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for start := cpu(); r.CPU < 400*time.Millisecond; r.CPU = cpu() - start {
		if _, err := cases[i].run(files); err != nil {
			return err
		}
		r.Passes++
	}
	runtime.ReadMemStats(&after)
	r.Mallocs = after.Mallocs - before.Mallocs
	return json.NewEncoder(os.Stdout).Encode(r)
}

// mapped returns a file's content outside the Go heap, where it does not make
// garbage collections rarer.
func mapped(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return syscall.Mmap(int(f.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_PRIVATE)
}

// cpu returns the CPU time that the process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
