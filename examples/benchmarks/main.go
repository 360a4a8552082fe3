//go:build unix

// Benchmarks measures cloudtell, beside other libraries and beside itself at
// other sizes, on the records of a generated account:
//
//	go run ./examples/benchmarks all       # everything, in the order below
//	go run ./examples/benchmarks decode    # JSON in memory
//	go run ./examples/benchmarks gzip      # files as AWS stores them
//	go run ./examples/benchmarks detect    # all rules on decoded events
//	go run ./examples/benchmarks grow      # how cost grows
//	go run ./examples/benchmarks scan      # files to findings
//	go run ./examples/benchmarks memory    # records, profiles, and scans of any length
//	go run ./examples/benchmarks duckdb    # DuckDB on the same files
//
// Every case runs in a process of its own, on one core unless it says
// otherwise, in turns with the others of its table; run.go has the machinery.
// tables.go lists the tables.
package main

import (
	"bufio"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
)

// options are what the command line says.
type options struct {
	rounds     int
	days       int    // of the account's log
	principals int    // the most that are measured
	only       string // only the cases with this in their name
	child      string // the case to run, in a process of its own
	dir        string // of that case's input
}

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	var o options
	flags := flag.NewFlagSet("benchmarks", flag.ContinueOnError)
	flags.IntVar(&o.rounds, "rounds", 9, "measure each case so often")
	flags.IntVar(&o.days, "days", 3, "days of the account's log for decode and gzip; scans read six times as many")
	flags.IntVar(&o.principals, "principals", 1_000_000, "the most principals to measure; a million need some GB of memory")
	flags.StringVar(&o.only, "case", "", "only the cases with this in their name")
	flags.StringVar(&o.child, "child", "", "for internal use: the case to run")
	flags.StringVar(&o.dir, "dir", "", "for internal use: its input")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if o.rounds < 1 || o.days < 1 || o.principals < 1 {
		return errors.New("-rounds, -days and -principals are at least 1")
	}
	if o.child != "" {
		return runChild(&o, os.Stdin, out)
	}
	name := flags.Arg(0)
	chosen := slices.DeleteFunc(tables(&o), func(t *table) bool { return name != "all" && !slices.Contains(t.commands, name) })
	if len(chosen) == 0 || flags.NArg() != 1 {
		return errors.New("usage: benchmarks [-rounds n] [-days n] [-principals n] all|decode|gzip|detect|grow|scan|memory|duckdb")
	}
	fmt.Fprintln(out, environment())
	inputs, err := newInputs()
	if err != nil {
		return err
	}
	defer inputs.remove()
	var verdicts []verdict
	var errs []error
	for _, t := range chosen {
		more, err := t.measure(&o, inputs, out)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", t.title, err))
		}
		verdicts = append(verdicts, more...)
	}
	printVerdicts(out, verdicts)
	return errors.Join(errs...)
}

// environment says in one line what the numbers depend on.
func environment() string {
	return fmt.Sprintf("%s, %d cores; %s, %s/%s", cmp.Or(lineOf("/proc/cpuinfo", "model name"), "unknown processor"),
		runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// lineOf returns what stands behind a name and a colon in a file of such
// lines, as Linux has them; "" if nothing does.
func lineOf(path, name string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if label, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(label) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
