package report

import (
	"cmp"
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/coverage"
	"github.com/cloudtell/cloudtell/detect/incident"
)

// A view is a report as the page shows it.
type view struct {
	*Report
	Title          string
	Policy         string
	Style          template.CSS
	Script         template.JS
	ATTACKVersion  string
	Severities     []severityCount // worst first
	Days           *days
	Incidents      []incidentView
	Heat           heat
	Findings       []findingView
	Rules          []ruleView
	Blind          []coverage.Rule
	BucketsLogged  int
	BucketsUnknown int // whose objects are not logged
}

type severityCount struct {
	Severity detect.Severity
	Count    int
}

func newView(r *Report) *view {
	v := &view{
		Report: r, Title: cmp.Or(r.Title, "What cloudtell found"), Policy: policy, Style: template.CSS(style), Script: template.JS(script),
		ATTACKVersion: detect.ATTACKVersion,
	}
	fs := slices.SortedFunc(slices.Values(r.Findings), func(a, b detect.Finding) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), a.Time.Compare(b.Time), cmp.Compare(a.ID, b.ID))
	})
	counts := make(map[detect.Severity]int)
	numbers := make(map[string]int) // of the findings shown, by ID
	for i := range fs {
		counts[fs[i].Severity]++
		numbers[fs[i].ID] = i + 1
		v.Findings = append(v.Findings, findingView{&fs[i], i + 1})
	}
	for s := detect.Critical; s > detect.Silent; s-- {
		v.Severities = append(v.Severities, severityCount{s, counts[s]})
	}
	v.Days = newDays(fs)
	for i := range r.Incidents {
		v.Incidents = append(v.Incidents, newIncidentView(&r.Incidents[i], i+1, numbers))
	}
	v.Heat = newHeat(fs)
	v.Rules = newRules(fs)
	if r.Coverage != nil {
		for _, rule := range r.Coverage.Rules {
			if rule.State != coverage.Ready {
				v.Blind = append(v.Blind, rule)
			}
		}
		for _, b := range r.Coverage.Buckets {
			if b.Logged {
				v.BucketsLogged++
			} else {
				v.BucketsUnknown++
			}
		}
	}
	return v
}

// A findingView is a finding with its number on the page.
type findingView struct {
	*detect.Finding
	Number int
}

func (f findingView) TechniqueName() string { return f.Technique.Name() }
func (f findingView) Parent() string        { return string(f.Technique.Parent()) }

// Tactic returns the tactic's name, or its id.
func (f findingView) TacticName() string {
	return cmp.Or(f.Finding.Tactic.Name(), string(f.Finding.Tactic))
}

// Learnt says what the finding knows about the principal.
func (f findingView) Learnt() string {
	if f.Learned.Since.IsZero() {
		return ""
	}
	return f.Learned.String()
}

// Reports is the number of reports that the finding stands for.
func (f findingView) Reports() int { return f.Revision + 1 }

// An incidentView is an incident with what the page draws of it.
type incidentView struct {
	*incident.Incident
	Number int
	Way    []stageView
	Steps  []stepView
	Chart  *chart
	More   int // steps that are not shown
}

type stageView struct {
	Stage   incident.Stage
	Reached bool
}

type stepView struct {
	incident.Step
	Number int // of the finding on the page; 0 if it is not shown
}

// maxSteps is the number of findings that an incident lists.
const maxSteps = 200

func newIncidentView(in *incident.Incident, number int, numbers map[string]int) incidentView {
	v := incidentView{Incident: in, Number: number, Chart: newChart(in)}
	for s := incident.Access; s <= incident.Collection; s++ {
		v.Way = append(v.Way, stageView{s, slices.Contains(in.Stages, s)})
	}
	for i, s := range in.Timeline {
		if i == maxSteps {
			v.More = len(in.Timeline) - i
			break
		}
		v.Steps = append(v.Steps, stepView{s, numbers[s.ID]})
	}
	return v
}

// A heat is a table of principals against techniques.
type heat struct {
	Techniques []detect.Technique
	Rows       []heatRow
	More       int // principals that are not shown
}

type heatRow struct {
	Principal, Name string
	Worst           detect.Severity
	Total           int
	Cells           []heatCell
}

type heatCell struct {
	Technique detect.Technique
	Worst     detect.Severity
	Count     int
}

// maxRows is the number of principals in the table.
const maxRows = 60

func newHeat(fs []detect.Finding) heat {
	type place struct {
		principal string
		technique detect.Technique
	}
	cells := make(map[place]*heatCell)
	rows := make(map[string]*heatRow)
	techniques := make(map[detect.Technique]bool)
	for i := range fs {
		f := &fs[i]
		t := f.Technique.Parent()
		techniques[t] = true
		row := rows[f.Principal]
		if row == nil {
			row = &heatRow{Principal: f.Principal, Name: cmp.Or(f.PrincipalName, f.Principal, "unknown")}
			rows[f.Principal] = row
		}
		row.Worst, row.Total = max(row.Worst, f.Severity), row.Total+1
		c := cells[place{f.Principal, t}]
		if c == nil {
			c = &heatCell{Technique: t}
			cells[place{f.Principal, t}] = c
		}
		c.Worst, c.Count = max(c.Worst, f.Severity), c.Count+1
	}
	h := heat{Techniques: slices.Sorted(maps.Keys(techniques))}
	for _, row := range slices.SortedFunc(maps.Values(rows), func(a, b *heatRow) int {
		return cmp.Or(cmp.Compare(b.Worst, a.Worst), cmp.Compare(b.Total, a.Total), cmp.Compare(a.Principal, b.Principal))
	}) {
		if len(h.Rows) == maxRows {
			h.More++
			continue
		}
		for _, t := range h.Techniques {
			c := heatCell{Technique: t}
			if found := cells[place{row.Principal, t}]; found != nil {
				c = *found
			}
			row.Cells = append(row.Cells, c)
		}
		h.Rows = append(h.Rows, *row)
	}
	return h
}

// A ruleView is what there is to say about a rule, once.
type ruleView struct {
	Name                         string
	Technique                    detect.Technique
	Count                        int
	Worst                        detect.Severity
	Respond, Benign, Mitigations []string
}

func newRules(fs []detect.Finding) []ruleView {
	rules := make(map[string]*ruleView)
	for i := range fs {
		f := &fs[i]
		r := rules[f.Rule]
		if r == nil {
			r = &ruleView{Name: f.Rule, Technique: f.Technique, Respond: f.Respond, Benign: f.Benign, Mitigations: f.Mitigations}
			rules[f.Rule] = r
		}
		r.Count, r.Worst = r.Count+1, max(r.Worst, f.Severity)
	}
	var list []ruleView
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		list = append(list, *rules[name])
	}
	return list
}

// show returns text with characters that cannot be seen, or that reorder others,
// as their codes.
func show(s any) string {
	text := fmt.Sprint(s)
	plain := func(r rune) bool { return unicode.IsPrint(r) && r != unicode.ReplacementChar }
	if !strings.ContainsFunc(text, func(r rune) bool { return !plain(r) }) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if plain(r) {
			b.WriteRune(r)
		} else {
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}

// moment and day write a time in UTC; "" if there is none.
func moment(t time.Time) string { return format(t, "2006-01-02 15:04:05") }
func day(t time.Time) string    { return format(t, "2006-01-02") }

func format(t time.Time, layout string) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(layout)
}

// count writes a number of things: "1 finding", "2 findings".
func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return strconv.Itoa(n) + " " + thing
}

// digits writes a number with its thousands apart.
func digits(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
