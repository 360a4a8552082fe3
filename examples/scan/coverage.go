package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/coverage"
)

// printCoverage prints what the logs let the rules see: as one line of JSON,
// or for a person.
func printCoverage(w io.Writer, format string, c *coverage.Report) error {
	if format == "json" {
		line, err := json.Marshal(struct {
			Coverage *coverage.Report `json:"coverage"`
		}{c})
		if err != nil {
			return err
		}
		out := bufio.NewWriter(w)
		writeSpelled(out, line)
		return out.Flush()
	}
	out := bufio.NewWriter(w)
	// Names of buckets are for anybody to choose.
	safe, heading, bullet, labelled := clean, "\nCOVERAGE: %s\n", "  ", "  %-8s  %s\n"
	if format == "markdown" {
		safe, heading, bullet, labelled = escape, "\n## Coverage: %s\n\n", "- ", "- %s: %s\n"
	}
	printf := func(format string, args ...any) { fmt.Fprintf(out, format, args...) }
	item := func(label, format string, args ...any) { printf(labelled, label, safe(fmt.Sprintf(format, args...))) }

	printf(heading, "what was logged")
	for _, l := range c.Logging {
		if !l.Seen {
			item("NOT SEEN", "%s", l.Kind)
			continue
		}
		item("seen", "%s: %s from %s to %s", l.Kind, count(l.Events, "event"), moment(l.First), moment(l.Last))
	}
	var logged, dark []string
	for _, b := range c.Buckets {
		if b.Logged {
			logged = append(logged, b.Name)
		} else {
			dark = append(dark, b.Name)
		}
	}
	if len(logged) > 0 {
		item("buckets", "%s whose objects are logged: %s", digits(int64(len(logged))), few(logged))
	}
	if len(dark) > 0 {
		item("buckets", "%s of whose objects nothing is logged: %s", digits(int64(len(dark))), few(dark))
	}
	var regions []string
	for _, r := range c.Regions {
		regions = append(regions, r.Name+" "+digits(r.Events))
	}
	item("regions", "%s", few(regions))
	delay := func(what string, d coverage.Delay) {
		item("delay", "%s: half within %s, 95%% within %s, all within %s; %.4g%% within an hour, %.4g%% within a day, %.4g%% within a week",
			what, d.P50, d.P95, d.Max, 100*d.Hour, 100*d.Day, 100*d.Week)
	}
	if c.Delivery.Count == 0 {
		item("delay", "unknown: the names of the files do not say when they were delivered")
	} else {
		delay("from an event to its delivery", c.Delivery)
	}
	if c.Answer.Count > 0 {
		delay("from the event to the decision, for what was found", c.Answer)
	}

	printf(heading, "what the rules can see")
	unconfigured := make(map[detect.Technique]int)
	for _, r := range c.Rules {
		if r.State == coverage.Unconfigured {
			unconfigured[r.Technique.Parent()]++
		}
	}
	for _, t := range c.Techniques {
		printf("%s%s %s: %s; %d of %s ready", bullet, t.ID, t.Name, t.State, t.Ready, count(int64(t.Rules), "rule"))
		if n := unconfigured[t.ID]; n > 0 {
			printf(", %d unconfigured", n)
		}
		printf("\n")
	}
	for _, state := range []coverage.State{coverage.Blind, coverage.Partly, coverage.Unconfigured} {
		byMissing := make(map[string][]string)
		var order []string
		for _, r := range c.Rules {
			if r.State == state {
				if byMissing[r.Missing] == nil {
					order = append(order, r.Missing)
				}
				byMissing[r.Missing] = append(byMissing[r.Missing], r.Name)
			}
		}
		for _, missing := range order {
			printf("%s%s, for want of %s: %s\n", bullet, strings.ToUpper(string(state)), asFlags.Replace(missing), strings.Join(byMissing[missing], ", "))
		}
	}
	if len(c.Advice) > 0 {
		printf(heading, "what to do about it")
	}
	for _, a := range c.Advice {
		printf("%s%s\n", bullet, safe(asFlags.Replace(a)))
	}
	return out.Flush()
}

// few names the first of many.
func few(names []string) string {
	const most = 12
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("%s and %s more", strings.Join(names[:most], ", "), digits(int64(more)))
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// writeNavigator writes a layer of the ATT&CK Navigator.
func writeNavigator(name string, c *coverage.Report, findings map[detect.Technique]int) error {
	layer, err := c.Navigator("cloudtell", findings)
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(layer, '\n'), 0o644)
}
