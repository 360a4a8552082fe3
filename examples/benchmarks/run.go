//go:build unix

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// A table is cases that do the same work, or the same work at several sizes.
type table struct {
	name     string
	title    string
	commands []string // that print it
	input    input    // the files that the cases read, but for those with their own
	cases    []benchCase
	columns  []column
}

// A benchCase is one line of a table. It has one of start, command, experiment
// and tag.
type benchCase struct {
	name  string
	input input // if not the table's
	// start prepares the case in a process of its own, whose rounds it then
	// runs.
	start func(dir string) (round func() (result, error), err error)
	// fresh starts a new process for each round, and measures all of it.
	fresh bool
	// command is a program that does the work instead, anew in each round. If
	// timesStart is set, it first prints the CPU time in microseconds that it has
	// used before its work, which does not count.
	command    func(dir string) (*exec.Cmd, error)
	timesStart bool
	experiment string // GOEXPERIMENT, if the case needs another build of this program
	tag        string // likewise, a build tag
	cores      int    // 0 means 1
	base       bool   // what the others are compared with, if it is not the first
	targets    []target
}

// A result is what one round measured.
type result struct {
	Events   int   // that were found; 0 if the case does not count them
	Passes   int   // over the input; 0 means one
	Bytes    int64 // of JSON in the events
	CPU      time.Duration
	Wall     time.Duration
	Mallocs  uint64
	Findings int
	Loads    int64 // profiles read from the store
	Sizes    sizes // of records, or the process
}

// sizes are numbers of bytes.
type sizes struct {
	PerPrincipal  int64 // of heap
	Resident      int64
	Peak          int64 // the most that was resident
	P50, P99      int64 // of records
	Mean, Largest int64
	Bound         int64 // declared
	Records       int64
}

// errUnavailable says that a case cannot run here; its line in the table says
// why.
type errUnavailable struct{ reason string }

func (e *errUnavailable) Error() string { return "not available: " + e.reason }

// A trial is a case being measured.
type trial struct {
	*benchCase
	dir     string // of its input
	size    inputSize
	worker  *worker // nil if each round has a process of its own
	missing error   // why it cannot run here
	results []result
}

// measure runs the cases of a table in turns, prints it, and returns what
// became of its targets.
func (t *table) measure(o *options, inputs *inputs, out io.Writer) ([]verdict, error) {
	var trials []*trial
	defer func() {
		for _, r := range trials {
			if r.worker != nil {
				r.worker.stop()
			}
		}
	}()
	for i := range t.cases {
		c := &t.cases[i]
		if !strings.Contains(c.name, o.only) {
			continue
		}
		r := &trial{benchCase: c}
		trials = append(trials, r)
		if err := r.prepare(o, t, inputs); err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	if len(trials) == 0 {
		return nil, nil
	}
	for range o.rounds {
		for _, r := range trials {
			if err := r.round(); err != nil {
				return nil, fmt.Errorf("%s: %w", r.name, err)
			}
		}
	}
	return t.print(out, o.rounds, trials), nil
}

// prepare writes the input of a trial, and starts its process.
func (r *trial) prepare(o *options, t *table, inputs *inputs) (err error) {
	if r.dir, r.size, err = inputs.get(cmp.Or(r.input, t.input)); err != nil {
		return err
	}
	exe, err := os.Executable()
	switch {
	case r.experiment != "":
		exe = filepath.Join(inputs.dir, "benchmarks-"+r.experiment)
		err = r.excuse(goBuild(exe, "benchmarks", "", "GOEXPERIMENT="+r.experiment))
	case r.tag != "":
		exe = filepath.Join(inputs.dir, "benchmarks-"+r.tag)
		err = r.excuse(goBuild(exe, "benchmarks", r.tag))
	}
	if err != nil || r.missing != nil {
		return err
	}
	args := []string{"-child", t.name + "/" + r.name, "-dir", r.dir, fmt.Sprint("-days=", o.days), fmt.Sprint("-principals=", o.principals)}
	child := func() *exec.Cmd {
		cmd := exec.Command(exe, args...)
		cmd.Env = append(os.Environ(), fmt.Sprint("GOMAXPROCS=", max(1, r.cores)))
		return cmd
	}
	switch {
	case r.fresh:
		r.command = func(string) (*exec.Cmd, error) { return child(), nil }
	case r.command == nil:
		r.worker, err = startWorker(child())
	}
	return r.excuse(err)
}

// round runs the case once more, if it can run here.
func (r *trial) round() error {
	if r.missing != nil {
		return nil
	}
	var one result
	var err error
	if r.worker != nil {
		one, err = r.worker.round()
	} else {
		one, err = r.once(r.dir)
	}
	if err != nil {
		return r.excuse(err)
	}
	if want := r.size.Records * max(1, one.Passes); want > 0 {
		if one.Events != 0 && one.Events != want {
			return fmt.Errorf("%d records, want %d", one.Events, want)
		}
		one.Events, one.Bytes = want, r.size.Bytes*int64(max(1, one.Passes))
	}
	r.results = append(r.results, one)
	return nil
}

// excuse notes an error that only says that the case cannot run here, and
// returns any other.
func (r *trial) excuse(err error) error {
	var unavailable *errUnavailable
	if errors.As(err, &unavailable) {
		r.missing = err
		return nil
	}
	return err
}

// once runs a program that does the work, from its start to its end.
func (c *benchCase) once(dir string) (result, error) {
	cmd, err := c.command(dir)
	if err != nil {
		return result{}, err
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return result{}, fmt.Errorf("%s: %w\n%s", cmd.Path, err, stderr.String())
	}
	r := result{Wall: time.Since(start), CPU: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
	if c.fresh {
		if _, err := heard(stdout.Bytes()); err != nil {
			return result{}, err
		}
	}
	if c.timesStart {
		var before int64
		if _, err := fmt.Fscan(&stdout, &before); err != nil {
			return result{}, fmt.Errorf("%s: no time of its start: %w", cmd.Path, err)
		}
		r.CPU -= time.Duration(before) * time.Microsecond
	}
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		// This process must stay small: on Linux, a child's peak begins with its
		// parent's.
		r.Sizes.Peak = int64(u.Maxrss)
		if runtime.GOOS != "darwin" { // which counts bytes
			r.Sizes.Peak *= 1 << 10
		}
	}
	return r, nil
}

// goBuild builds a program of the examples, unless it is there.
func goBuild(path, name, tag string, env ...string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	cmd := exec.Command("go", "build", "-tags", tag, "-o", path, "github.com/cloudtell/cloudtell/examples/"+name)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return &errUnavailable{fmt.Sprintf("go build: %v: %s", err, out)}
	}
	return nil
}

// A worker is a process that runs rounds of one case when it is told to.
type worker struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// reply is what a worker says when it is ready, and after each round.
type reply struct {
	Result      result
	Unavailable string
}

func startWorker(cmd *exec.Cmd) (*worker, error) {
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	w := &worker{cmd: cmd, in: in, out: bufio.NewReader(out)}
	if _, err := w.hear(); err != nil {
		w.stop()
		return nil, err
	}
	return w, nil
}

func (w *worker) round() (result, error) {
	if _, err := io.WriteString(w.in, "round\n"); err != nil {
		return result{}, err
	}
	return w.hear()
}

func (w *worker) hear() (result, error) {
	line, err := w.out.ReadBytes('\n')
	if err != nil {
		return result{}, fmt.Errorf("the process ended: %w", err)
	}
	return heard(line)
}

// heard returns what a reply says.
func heard(line []byte) (result, error) {
	var r reply
	if err := json.Unmarshal(line, &r); err != nil {
		return result{}, err
	}
	if r.Unavailable != "" {
		return result{}, &errUnavailable{r.Unavailable}
	}
	return r.Result, nil
}

// stop ends the process. All that matters of it has been heard.
func (w *worker) stop() {
	w.in.Close()
	w.cmd.Wait()
}

// runChild is the other side: it prepares a case, and runs a round for each
// line that it is sent; or one round alone, if each gets a process.
func runChild(o *options, in io.Reader, out io.Writer) error {
	tableName, caseName, _ := strings.Cut(o.child, "/")
	if tableName == prepareInput {
		return writeInput(caseName, o.dir, out)
	}
	c, err := findCase(o, tableName, caseName)
	if err != nil {
		return err
	}
	say := json.NewEncoder(out)
	round, err := c.start(o.dir)
	var unavailable *errUnavailable
	switch {
	case errors.As(err, &unavailable):
		return say.Encode(reply{Unavailable: unavailable.reason})
	case err != nil:
		return err
	case c.fresh:
		if _, err := round(); err != nil {
			return err
		}
		return say.Encode(reply{})
	}
	if err := say.Encode(reply{}); err != nil {
		return err
	}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		r, err := round()
		if err != nil {
			return err
		}
		if err := say.Encode(reply{Result: r}); err != nil {
			return err
		}
	}
	return lines.Err()
}

func findCase(o *options, tableName, caseName string) (*benchCase, error) {
	for _, t := range tables(o) {
		for i := range t.cases {
			if t.name == tableName && t.cases[i].name == caseName {
				return &t.cases[i], nil
			}
		}
	}
	return nil, fmt.Errorf("no case %q in a table %q", caseName, tableName)
}

// timed measures the CPU time, the time and the allocations of some work, and
// the garbage collection in between. What was garbage before does not count.
func timed(work func() error) (result, error) {
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began, start := cpu(), time.Now()
	if err := work(); err != nil {
		return result{}, err
	}
	r := result{CPU: cpu() - began, Wall: time.Since(start)}
	runtime.ReadMemStats(&after)
	r.Mallocs = after.Mallocs - before.Mallocs
	return r, nil
}

// cpu returns the CPU time that the process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// memoryOf returns a number of bytes that Linux tells in kB; 0 elsewhere.
func memoryOf(path, name string) int64 {
	var kb int64
	fmt.Sscan(lineOf(path, name), &kb)
	return kb << 10
}
