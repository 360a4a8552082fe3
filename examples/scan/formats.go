package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/output"
	html "github.com/cloudtell/cloudtell/detect/report"
)

// formats are the forms that findings are printed in.
var formats = []string{"text", "json", "markdown", "html", "ocsf", "ocsf-1.1", "ecs", "asff"}

// forMachines reports whether other programs read what is printed.
func (o *options) forMachines() bool {
	return slices.Contains([]string{"json", "ocsf", "ocsf-1.1", "ecs", "asff"}, o.format)
}

func newPrinter(r *report, out *bufio.Writer) printer {
	switch r.options.format {
	case "json":
		return &linePrinter{out, output.JSON}
	case "ocsf":
		return &linePrinter{out, func(f *detect.Finding) ([]byte, error) { return output.OCSF(f, nil) }}
	case "ocsf-1.1":
		return &linePrinter{out, func(f *detect.Finding) ([]byte, error) { return output.OCSF(f, &output.Options{OCSF: output.OCSF11}) }}
	case "ecs":
		return &linePrinter{out, func(f *detect.Finding) ([]byte, error) { return output.ECS(f, nil) }}
	case "asff":
		return &batchPrinter{out: out, report: r}
	case "html":
		return &pagePrinter{out: out}
	case "markdown":
		return &markdownPrinter{out: out}
	}
	return &textPrinter{out: out}
}

// A linePrinter prints findings as they settle, one a line.
type linePrinter struct {
	out    *bufio.Writer
	format func(*detect.Finding) ([]byte, error)
}

func (p *linePrinter) finding(f detect.Finding) error {
	line, err := p.format(&f)
	if err != nil {
		return err
	}
	writeSpelled(p.out, line)
	return p.out.Flush()
}

func (p *linePrinter) close(*report) error { return nil }

// A batchPrinter prints requests to Security Hub, one a line:
//
//	while read -r batch; do aws securityhub batch-import-findings --cli-input-json "$batch"; done
type batchPrinter struct {
	out    *bufio.Writer
	report *report
	held   []detect.Finding
}

// maxHeld is the number of findings that wait to be put into requests.
const maxHeld = 1000

func (p *batchPrinter) finding(f detect.Finding) error {
	p.held = append(p.held, f)
	if len(p.held) < maxHeld {
		return nil
	}
	return p.flush()
}

func (p *batchPrinter) close(*report) error { return p.flush() }

func (p *batchPrinter) flush() error {
	batches, err := output.Batches(p.held, nil)
	if err != nil { // the others are there
		p.report.unwritten = append(p.report.unwritten, err)
	}
	p.held = p.held[:0]
	for _, b := range batches {
		line, err := json.Marshal(b)
		if err != nil {
			return err
		}
		writeSpelled(p.out, line)
	}
	return p.out.Flush()
}

// A pagePrinter prints one page of HTML.
type pagePrinter struct {
	worst
	out *bufio.Writer
}

func (p *pagePrinter) close(r *report) error {
	page := html.Report{Scope: r.scope(), Incidents: r.incidents, Findings: p.list()}
	if s := r.suppressions(); s != "" {
		page.Notes = append(page.Notes, "Suppressed: "+s)
	}
	if r.hidden > 0 || p.omitted > 0 {
		page.Notes = append(page.Notes, fmt.Sprintf("%s of lower severity not shown", count(int64(r.hidden+p.omitted), "finding")))
	}
	if r.unread != "" {
		page.Notes = append(page.Notes, "Incomplete: "+r.unread)
	}
	for i := range page.Findings {
		f := &page.Findings[i]
		f.Benign, f.Respond, f.Mitigations = flags(f.Benign), flags(f.Respond), flags(f.Mitigations)
	}
	if r.coverage != nil {
		c := *r.coverage
		c.Rules, c.Advice = slices.Clone(c.Rules), flags(c.Advice)
		for i := range c.Rules {
			c.Rules[i].Missing = asFlags.Replace(c.Rules[i].Missing)
		}
		page.Coverage = &c
	}
	if err := html.Write(p.out, &page); err != nil {
		return err
	}
	return p.out.Flush()
}

// flags returns a copy of advice that names the flags of this command.
func flags(advice []string) []string {
	advice = slices.Clone(advice)
	for i := range advice {
		advice[i] = asFlags.Replace(advice[i])
	}
	return advice
}
