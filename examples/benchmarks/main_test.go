//go:build unix

package main

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// All cases that work on files find the same records.
func TestCasesAgree(t *testing.T) {
	if testing.Short() {
		t.Skip("reads a day's log many times")
	}
	dirs := make(map[input]string)
	sizes := make(map[input]inputSize)
	type caseOf struct {
		in   input
		name string
	}
	tried := make(map[caseOf]bool)
	for _, table := range tables(&options{days: 1, principals: 1}) {
		in := table.input
		if in == (input{}) {
			continue
		}
		in.days = 1
		if dirs[in] == "" {
			dirs[in], sizes[in] = written(t, in)
		}
		for _, c := range table.cases {
			if c.start == nil || tried[caseOf{in, c.name}] {
				continue
			}
			tried[caseOf{in, c.name}] = true
			t.Run(table.name+"/"+c.name, func(t *testing.T) {
				r := oneRound(t, c, dirs[in])
				if !strings.HasSuffix(c.name, "alone") { // which does not see records
					require.Equal(t, max(1, r.Passes)*sizes[in].Records, r.Events)
				}
			})
		}
	}
}

func written(t *testing.T, in input) (dir string, size inputSize) {
	t.Helper()
	dir = t.TempDir()
	size, err := in.write(dir)
	require.NoError(t, err)
	return dir, size
}

func oneRound(t *testing.T, c benchCase, dir string) result {
	t.Helper()
	round, err := c.start(dir)
	require.NoError(t, err)
	r, err := round()
	require.NoError(t, err)
	return r
}

// Files read on several cores yield their events in the order of the files.
func TestInOrder(t *testing.T) {
	var want []string
	for record := range plainRecords(1) {
		e, err := event.Parse(record)
		require.NoError(t, err)
		want = append(want, e.ID)
	}
	dir, _ := written(t, input{days: 1, perFile: 100, gzip: true})
	paths, err := filesIn(dir)
	require.NoError(t, err)
	var got []string
	for events, err := range inOrder(paths, 3) {
		require.NoError(t, err)
		for i := range events {
			got = append(got, strings.Clone(events[i].ID))
		}
	}
	require.Equal(t, want, got)

	for _, err := range inOrder(append(paths, "missing"), 2) {
		if err != nil {
			require.ErrorIs(t, err, fs.ErrNotExist)
			return
		}
	}
	require.Fail(t, "a missing file was not missed")
}

// Real accounts have three records of AWS's own to each other one.
func TestRealRecords(t *testing.T) {
	ids := make(map[string]bool)
	total, services, last := 0, 0, time.Time{}
	for record := range realRecords(1) {
		e, err := event.Parse(record)
		require.NoError(t, err)
		require.False(t, e.Time.Before(last))
		last = e.Time
		ids[e.ID] = true
		total++
		if e.Identity.Type == "AWSService" {
			services++
		}
	}
	require.Len(t, ids, total)
	require.InDelta(t, 0.75, float64(services)/float64(total), 0.01)
}

// A process of its own prepares the input of a case, and one runs the case.
func TestProcesses(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Setenv(asProgram, "yes")
	var out bytes.Buffer
	require.NoError(t, run([]string{"-rounds", "1", "-days", "1", "-case", "klauspost/compress alone", "gzip"}, &out))
	require.Equal(t, 2, strings.Count(out.String(), "| klauspost/compress alone |"), out.String())
}

// The lines with libdeflate are another build's; where there is no libdeflate,
// they say so.
func TestLibdeflate(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	t.Setenv(asProgram, "yes")
	var out bytes.Buffer
	require.NoError(t, run([]string{"-rounds", "1", "-days", "1", "-case", "libdeflate", "gzip"}, &out))
	require.Equal(t, 4, strings.Count(out.String(), "| libdeflate"), out.String())
	if missing := strings.Count(out.String(), "not available: libdeflate"); missing > 0 {
		require.NotEqual(t, "true", os.Getenv("CI"), out.String())
		require.Equal(t, 4, missing, out.String())
		t.Skip("not measured, for want of the library")
	}
	require.NotContains(t, out.String(), "not available")
}

// asProgram makes the test's executable the program, for its child processes.
const asProgram = "BENCHMARKS_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" && len(os.Args) > 1 && os.Args[1] == "-child" {
		main()
		return
	}
	roundTime = time.Millisecond
	os.Exit(m.Run())
}

func TestRefuses(t *testing.T) {
	for _, args := range [][]string{nil, {"everything"}, {"decode", "gzip"}, {"-rounds", "0", "decode"}, {"-child", "no/such"}} {
		require.Error(t, run(args, io.Discard), args)
	}
}

// A population is what the benchmarks say it is.
func TestPopulation(t *testing.T) {
	if testing.Short() {
		t.Skip("learns three weeks")
	}
	set, err := newSet(5, false)
	require.NoError(t, err)
	p, err := newPopulation(set, detectCase{principals: 300})
	require.NoError(t, err)
	require.GreaterOrEqual(t, p.principals(), 300)
	events := make([]*event.Event, 5000)
	for i := range events {
		events[i] = new(event.Event)
	}
	ids, services, copies := make(map[string]bool), 0, make(map[string]bool)
	last := make(map[string]time.Time)
	for range 4 {
		n, err := p.fill(events, true, time.Time{})
		require.NoError(t, err)
		require.Len(t, events, n)
		for _, e := range events {
			ids[e.ID] = true
			if e.Principal.Kind == event.Service {
				services++
			}
			key := detect.ByPrincipal.Key(e)
			if key == "" {
				continue
			}
			_, number, _ := strings.Cut(key, string(copyMark))
			copies[number] = true
			require.False(t, e.Time.Before(last[key]), "%s: %v after %v", key, e.Time, last[key])
			last[key] = e.Time
		}
	}
	require.Len(t, ids, 4*len(events))
	require.InDelta(t, 0.75, float64(services)/float64(len(ids)), 0.01)
	require.Len(t, copies, p.copies)

	// As a store, it has every copy's record.
	var key string
	for key = range p.seen {
		break
	}
	names := p.name(key)
	storeKey := detect.ByPrincipal.Name + "/" + names[len(names)-1]
	for version := range 3 {
		records, err := p.Load(t.Context(), []string{storeKey, "unknown"})
		require.NoError(t, err)
		require.NotEmpty(t, records[0].Data)
		require.EqualValues(t, version+1, records[0].Version)
		require.Zero(t, records[1].Version)
		require.NoError(t, p.Save(t.Context(), records[:1]))
		var conflict *baseline.ConflictError
		require.ErrorAs(t, p.Save(t.Context(), records[:1]), &conflict, "an old version")
	}
}

// Detection finds its principals known, in the cache and in the store.
func TestDetect(t *testing.T) {
	if testing.Short() {
		t.Skip("learns three weeks")
	}
	for _, d := range []detectCase{{principals: 300, rules: 5}, {principals: 300, rules: 5, cache: 20}} {
		t.Run(fmt.Sprintf("%+v", d), func(t *testing.T) {
			r := oneRound(t, d.decoded("test"), "")
			require.Equal(t, timedEvents, r.Events)
			require.Positive(t, r.CPU)
			require.Less(t, r.Findings, r.Events/1000)
			require.Equal(t, d.cache > 0, r.Loads > int64(r.Events/100))
		})
	}
}

// DuckDB's answers are the ones that a few lines of Go give.
func TestDuckDB(t *testing.T) {
	if testing.Short() {
		t.Skip("asks another program")
	}
	home, err := duckHome()
	if err != nil {
		t.Skip(err)
	}
	if _, err := os.Stat(home); err != nil {
		t.Skip("DuckDB is not installed; the duckdb command does that")
	}
	type slot struct {
		principal, address string
		time               time.Time
	}
	calls, objects := make(map[slot]map[string]bool), make(map[slot]int)
	first := make(map[slot]time.Time)
	for record := range plainRecords(1) {
		e, err := event.Parse(record)
		require.NoError(t, err)
		if e.Identity.Type == "" || e.Identity.Type == "AWSService" {
			continue
		}
		who := slot{principal: e.Identity.IssuerARN}
		if who.principal == "" {
			who.principal = e.Identity.ARN
		}
		if who.principal == "" {
			who.principal = e.Identity.PrincipalID
		}
		five, minute, from := who, who, who
		five.time, minute.time, from.address = e.Time.Truncate(5*time.Minute), e.Time.Truncate(time.Minute), e.SourceAddress
		if calls[five] == nil {
			calls[five] = make(map[string]bool)
		}
		calls[five][e.Source+":"+e.Name] = true
		if t, ok := first[from]; !ok || e.Time.Before(t) {
			first[from] = e.Time
		}
		if e.Source == "s3.amazonaws.com" && e.Name == "GetObject" {
			objects[minute]++
		}
	}
	mostCalls, mostObjects, latest := 0, 0, time.Time{}
	for _, c := range calls {
		mostCalls = max(mostCalls, len(c))
	}
	for _, n := range objects {
		mostObjects = max(mostObjects, n)
	}
	for _, at := range first {
		if at.After(latest) {
			latest = at
		}
	}
	want := fmt.Sprintf("%d %d\n%d %d\n%d %d\n", len(calls), mostCalls, len(first), latest.Unix(), len(objects), mostObjects)
	for _, in := range []input{{days: 1}, {days: 1, perFile: 1500, gzip: true}} {
		dir, _ := written(t, in)
		for _, mode := range []string{"once", "each"} {
			cmd, err := duckCommand(in, dir, mode)
			require.NoError(t, err)
			out, err := cmd.Output()
			require.NoError(t, err)
			_, answers, _ := strings.Cut(string(out), "\n") // behind the start's time
			require.Equal(t, want, answers)
		}
	}
}

func TestPrint(t *testing.T) {
	table := &table{
		title:   "Title",
		columns: []column{{"ns/event", cost, 0, ""}, {"times", cost, 1, theBase}, {"allocs/event", allocs, 0, ""}, {"times fast", cost, 1, "fast"}},
		cases: []benchCase{
			{name: "slow", base: true},
			{name: "fast", targets: []target{{cost, theBase, 0.4, "times"}, {cost, "", 15, "ns/event"}, {cost, "none", 1, "times none's"}}},
			{name: "none"},
		},
	}
	slow := []result{{Events: 10, CPU: 300, Mallocs: 10}, {Events: 10, CPU: 100, Mallocs: 20}, {Events: 10, CPU: 200, Mallocs: 30}}
	fast := []result{{Events: 10, CPU: 100}}
	var out bytes.Buffer
	verdicts := table.print(&out, 3, []*trial{
		{benchCase: &table.cases[0], results: slow},
		{benchCase: &table.cases[1], results: fast},
		{benchCase: &table.cases[2], missing: &errUnavailable{"no node\nanywhere"}},
	})
	const want = `
**Title** (3 rounds)

| case | ns/event | times | allocs/event | times fast | target                                                                     |
|---|--:|--:|--:|--:|---|
| slow |       20 |   1.0 |            2 |        2.0 |                                                                            |
| fast |       10 |   0.5 |            - |        1.0 | times <= 0.4: missed; ns/event <= 15: met; times none's <= 1: not measured |
| none |        - |     - |            - |          - | not available: no node                                                     |
`
	require.Equal(t, want, out.String())

	out.Reset()
	printVerdicts(&out, verdicts)
	require.Equal(t, "\n**Targets: 1 of 3 met**\n\n- Title; fast: times <= 0.4: missed\n- Title; fast: times none's <= 1: not measured\n", out.String())
}
