//go:build unix

package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// A metric makes one number of a case's rounds; NaN if they do not tell.
type metric struct {
	of     func([]result) float64
	higher bool // is better
}

var (
	rate      = metric{median(func(r *result) float64 { return float64(r.Bytes) / 1e6 / r.CPU.Seconds() }), true}          // MB of JSON per second of CPU time
	eventRate = metric{median(func(r *result) float64 { return float64(r.Events) / 1e3 / r.CPU.Seconds() }), true}         // thousand events per second of CPU time
	cost      = metric{median(func(r *result) float64 { return float64(r.CPU.Nanoseconds()) / float64(r.Events) }), false} // ns of CPU time per event
	allocs    = metric{median(func(r *result) float64 { return known(r.Mallocs) / float64(r.Events) }), false}             // per event
	findings  = metric{median(func(r *result) float64 { return 1e6 * float64(r.Findings) / float64(r.Events) }), false}    // per million events
	loads     = metric{median(func(r *result) float64 { return float64(r.Loads) / float64(r.Events) }), false}             // per event
	peak      = metric{median(func(r *result) float64 { return known(r.Sizes.Peak) / 1e6 }), false}                        // MB
	resident  = metric{median(func(r *result) float64 { return known(r.Sizes.Resident) / 1e6 }), false}                    // MB
	heap      = metric{median(func(r *result) float64 { return known(r.Sizes.PerPrincipal) }), false}                      // bytes
	records   = metric{median(func(r *result) float64 { return float64(r.Sizes.Records) }), false}
	mean      = metric{median(func(r *result) float64 { return known(r.Sizes.Mean) }), false}      // bytes
	p50       = metric{median(func(r *result) float64 { return float64(r.Sizes.P50) }), false}     // bytes
	p99       = metric{median(func(r *result) float64 { return float64(r.Sizes.P99) }), false}     // bytes
	largest   = metric{median(func(r *result) float64 { return float64(r.Sizes.Largest) }), false} // bytes
	bound     = metric{median(func(r *result) float64 { return float64(r.Sizes.Bound) }), false}   // bytes
	// bestWall is a thousand events per second on the wall's clock, in the best
	// round: whatever else the machine does can only take away from it.
	bestWall = metric{func(results []result) float64 {
		best := 0.0
		for i := range results {
			best = max(best, float64(results[i].Events)/1e3/results[i].Wall.Seconds())
		}
		return best
	}, true}
)

// median makes a metric of the middle of what the rounds say.
func median(of func(*result) float64) func([]result) float64 {
	return func(results []result) float64 {
		var v []float64
		for i := range results {
			v = append(v, of(&results[i]))
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
}

// known returns a number, or NaN for one that was not measured.
func known[N int64 | uint64](n N) float64 {
	if n == 0 {
		return math.NaN()
	}
	return float64(n)
}

// A column is a metric, or how many times another line's it is.
type column struct {
	head   string
	metric metric
	digits int    // behind the point
	times  string // the other line's name; "" for the metric itself
}

// theBase stands for the name of the table's base.
const theBase = "*"

// A target is what the project wants of a number.
type target struct {
	metric metric
	times  string // as in a column
	limit  float64
	text   string // what is limited: "MB/s"
}

// A verdict says whether a target is met.
type verdict struct {
	of   string // table and case
	text string // the target, and what became of it
	met  bool
}

// print prints the table in Markdown, and returns what became of its targets.
func (t *table) print(out io.Writer, rounds int, trials []*trial) (verdicts []verdict) {
	fmt.Fprintf(out, "\n**%s** (%d rounds)\n\n", t.title, rounds)
	lines := make(map[string][]result)
	for i, r := range trials {
		if r.missing != nil {
			continue
		}
		lines[r.name] = r.results
		if i == 0 || r.base {
			lines[theBase] = r.results
		}
	}
	// value is NaN where there is nothing to compare with.
	value := func(m metric, times string, results []result) float64 {
		v := m.of(results)
		if times == "" {
			return v
		}
		other, ok := lines[times]
		if !ok {
			return math.NaN()
		}
		return v / m.of(other)
	}

	rows := [][]string{{"case"}}
	for _, c := range t.columns {
		rows[0] = append(rows[0], c.head)
	}
	rows[0] = append(rows[0], "target")
	for _, r := range trials {
		row := []string{r.name}
		for _, col := range t.columns {
			cell := "-"
			if r.missing == nil {
				if v := value(col.metric, col.times, r.results); !math.IsNaN(v) {
					cell = fmt.Sprintf("%.*f", col.digits, v)
				}
			}
			row = append(row, cell)
		}
		var goals []string
		if r.missing != nil {
			text := firstLine(r.missing.Error())
			goals = append(goals, text)
			if len(r.targets) > 0 {
				verdicts = append(verdicts, verdict{t.title + "; " + r.name, text, false})
			}
		} else {
			for _, g := range r.targets {
				text, met := g.check(value(g.metric, g.times, r.results))
				goals = append(goals, text)
				verdicts = append(verdicts, verdict{t.title + "; " + r.name, text, met})
			}
		}
		rows = append(rows, append(row, strings.Join(goals, "; ")))
	}
	printRows(out, rows)
	return verdicts
}

// check says whether a value meets the target.
func (g target) check(v float64) (text string, met bool) {
	sign, met := "<=", v <= g.limit
	if g.metric.higher {
		sign, met = ">=", v >= g.limit
	}
	outcome := "missed"
	switch {
	case math.IsNaN(v):
		outcome, met = "not measured", false
	case met:
		outcome = "met"
	}
	return fmt.Sprintf("%s %s %g: %s", g.text, sign, g.limit, outcome), met
}

// printVerdicts says which targets are not met.
func printVerdicts(out io.Writer, verdicts []verdict) {
	var missed []verdict
	for _, v := range verdicts {
		if !v.met {
			missed = append(missed, v)
		}
	}
	if len(verdicts) == 0 {
		return
	}
	fmt.Fprintf(out, "\n**Targets: %d of %d met**\n", len(verdicts)-len(missed), len(verdicts))
	if len(missed) > 0 {
		fmt.Fprintln(out)
	}
	for _, v := range missed {
		fmt.Fprintf(out, "- %s: %s\n", v.of, v.text)
	}
}

// printRows aligns a table's cells, numbers to the right.
func printRows(out io.Writer, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	last := len(widths) - 1
	for n, row := range rows {
		for i, cell := range row {
			space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 || i == last {
				fmt.Fprintf(out, "| %s%s ", cell, space)
			} else {
				fmt.Fprintf(out, "| %s%s ", space, cell)
			}
		}
		fmt.Fprintln(out, "|")
		if n == 0 {
			fmt.Fprintf(out, "|---%s|---|\n", strings.Repeat("|--:", len(widths)-2))
		}
	}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
