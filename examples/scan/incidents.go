package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/incident"
)

// incidentsKey is the key of the baseline's record of what the joiner
// remembers. No scope has such a name.
const incidentsKey = "scan/incidents"

// newJoiner returns a joiner that remembers what the baseline says, and the
// version of the record it comes from. A smaller room than the default keeps the
// record below what a snapshot takes.
func newJoiner(ctx context.Context, o *options, learnt *baseline.Memory) (*incident.Joiner, uint64, error) {
	j, err := incident.NewJoiner(&incident.Options{MaxFindings: 4000, MaxLinks: 20_000, SharedNetworks: o.config.Networks})
	if err != nil {
		return nil, 0, err
	}
	records, err := learnt.Load(ctx, []string{incidentsKey})
	if err != nil {
		return nil, 0, err
	}
	if len(records[0].Data) > 0 {
		err = j.UnmarshalBinary(records[0].Data)
	}
	return j, records[0].Version, err
}

// keepIncidents puts what the joiner remembers into the baseline.
func keepIncidents(ctx context.Context, j *incident.Joiner, learnt *baseline.Memory, version uint64) error {
	data, err := j.AppendBinary(nil)
	if err != nil {
		return err
	}
	return learnt.Save(ctx, []baseline.Record{{Key: incidentsKey, Version: version, Data: data}})
}

// worthTelling returns the incidents that say more than the findings of this
// scan do: those of several findings, one of them of this scan, of medium
// severity at least.
func (r *report) worthTelling() []incident.Incident {
	return slices.DeleteFunc(r.joiner.Incidents(), func(in incident.Incident) bool {
		ours := func(s incident.Step) bool { _, ok := r.reported[s.ID]; return ok }
		if len(in.Timeline) < 2 || !slices.ContainsFunc(in.Timeline, ours) {
			return true
		}
		r.fails(in.Severity)
		return in.Severity < max(detect.Medium, r.options.minSeverity)
	})
}

// maxIncidents and maxSteps bound what is printed.
const (
	maxIncidents = 20
	maxSteps     = 25
)

// incidents prints the incidents, those of most concern first.
func (p *textPrinter) incidents(list []incident.Incident) {
	for i, in := range list {
		if i == maxIncidents {
			fmt.Fprintf(p.out, "and %s; -incidents FILE has all\n\n", count(int64(len(list)-i), "more incident"))
			break
		}
		fmt.Fprintf(p.out, "== INCIDENT %d of %d  %s, score %d: %s\n\n", i+1, len(list), strings.ToUpper(in.Severity.String()), in.Score, clean(in.Title))
		for _, line := range wrap(printable(in.Summary), 100) {
			fmt.Fprintf(p.out, "  %s\n", line)
		}
		fmt.Fprintln(p.out)
		for k, s := range in.Timeline {
			if k == maxSteps {
				fmt.Fprintf(p.out, "  and %s\n", count(int64(len(in.Timeline)-k), "more finding"))
				break
			}
			fmt.Fprintf(p.out, "  %s  %-8s  %-17s  %s: %s\n", moment(s.Time), s.Severity, s.Stage, clean(s.PrincipalName), clean(s.Title))
		}
		fmt.Fprintf(p.out, "  id  %s\n\n", in.ID)
	}
}

// incidents prints the incidents as a section.
func (p *markdownPrinter) incidents(list []incident.Incident) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(p.out, "\n## Incidents\n")
	for i, in := range list {
		if i == maxIncidents {
			fmt.Fprintf(p.out, "\nAnd %s; `-incidents FILE` has all.\n", count(int64(len(list)-i), "more incident"))
			break
		}
		fmt.Fprintf(p.out, "\n### Incident %d, %s, score %d: %s\n\n%s\n\n", i+1, in.Severity, in.Score, escape(in.Title), markdownEscapes.Replace(printable(in.Summary)))
		fmt.Fprintf(p.out, "| time | severity | stage | principal | what |\n|---|---|---|---|---|\n")
		for k, s := range in.Timeline {
			if k == maxSteps {
				fmt.Fprintf(p.out, "| | | | | and %s |\n", count(int64(len(in.Timeline)-k), "more finding"))
				break
			}
			fmt.Fprintf(p.out, "| %s | %s | %s | %s | %s |\n", moment(s.Time), s.Severity, s.Stage, code(s.PrincipalName), escape(s.Title))
		}
	}
}

// writeIncidents writes incidents to a file, one line of JSON each.
func writeIncidents(name string, list []incident.Incident) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
	}()
	e := json.NewEncoder(f)
	for _, in := range list {
		if err := e.Encode(in); err != nil {
			return err
		}
	}
	return nil
}

// wrap breaks text into lines of at most so many bytes where it can.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
