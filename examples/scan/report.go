package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// A report gathers findings and what there is to say about the whole scan. It
// depends on the distinct events alone: not on their files, their order or
// their copies.
type report struct {
	options *options
	printer printer

	quiet map[string]time.Duration  // by rule: how long a finding may grow
	open  map[string]detect.Finding // by id: those that still may

	events      int64
	first, last time.Time
	principals  map[string]struct{} // without AWS services
	findings    int
	hidden      int // below -min-severity
	failed      bool
	bySeverity  [detect.Critical + 1]int
	byRule      map[string]int64
	byPrincipal map[string]*tally

	// What the end of the scan adds.
	suppressed map[string]int64 // by rule
	unread     string           // what is missing, or ""
}

// A tally is what was found about one principal.
type tally struct {
	principal, name string
	findings        int
	worst           detect.Severity
	techniques      map[detect.Technique]bool
}

// A printer prints findings that do not change any more, in the order that the
// form asks for.
type printer interface {
	finding(detect.Finding) error
	close(*report) error
}

func newReport(o *options, infos []detect.Info, w io.Writer) *report {
	r := &report{
		options:     o,
		quiet:       make(map[string]time.Duration),
		open:        make(map[string]detect.Finding),
		principals:  make(map[string]struct{}),
		byRule:      make(map[string]int64),
		byPrincipal: make(map[string]*tally),
	}
	for _, info := range infos {
		r.quiet[info.Name] = cmp.Or(info.Quiet, 24*time.Hour)
	}
	switch out := bufio.NewWriter(w); o.format {
	case "json":
		r.printer = &jsonPrinter{out}
	case "markdown":
		r.printer = &markdownPrinter{out: out}
	default:
		r.printer = &textPrinter{out: out}
	}
	return r
}

// saw counts events.
func (r *report) saw(events []*event.Event) {
	if r.events == 0 && len(events) > 0 {
		r.first = events[0].Time
	}
	for _, e := range events {
		r.events++
		r.last = e.Time
		if e.Principal.Kind == event.Service {
			continue
		}
		if _, known := r.principals[e.Principal.Key]; !known {
			r.principals[strings.Clone(e.Principal.Key)] = struct{}{}
		}
	}
}

// add takes in findings and their later revisions, and prints those that
// cannot grow any more: later events would be new findings.
func (r *report) add(findings []detect.Finding) error {
	for _, f := range findings {
		r.open[f.ID] = f
	}
	return r.settle(func(f *detect.Finding) bool { return r.last.Sub(f.First) >= r.quiet[f.Rule] })
}

// close prints what is left, and the summary.
func (r *report) close() error {
	if err := r.settle(func(*detect.Finding) bool { return true }); err != nil {
		return err
	}
	return r.printer.close(r)
}

func (r *report) settle(done func(*detect.Finding) bool) error {
	var settled []detect.Finding
	for _, f := range r.open {
		if done(&f) {
			settled = append(settled, f)
		}
	}
	slices.SortFunc(settled, byTime)
	for _, f := range settled {
		delete(r.open, f.ID)
		r.count(&f)
		if f.Severity < r.options.minSeverity {
			r.hidden++
			continue
		}
		if err := r.printer.finding(f); err != nil {
			return err
		}
	}
	return nil
}

func (r *report) count(f *detect.Finding) {
	r.findings++
	r.bySeverity[f.Severity]++
	r.byRule[f.Rule]++
	r.failed = r.failed || r.options.failOn != detect.Silent && f.Severity >= r.options.failOn
	t := r.byPrincipal[f.Principal]
	if t == nil {
		t = &tally{principal: f.Principal, name: f.PrincipalName, techniques: make(map[detect.Technique]bool)}
		r.byPrincipal[f.Principal] = t
	}
	t.findings++
	t.worst = max(t.worst, f.Severity)
	t.techniques[f.Technique.Parent()] = true
}

func byTime(a, b detect.Finding) int {
	return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.ID, b.ID))
}

func bySeverity(a, b detect.Finding) int {
	return cmp.Or(cmp.Compare(b.Severity, a.Severity), byTime(a, b))
}

// String says it in one line: "arn:…: 3 findings, up to high, T1078, T1552".
func (t *tally) String() string {
	s := fmt.Sprintf("%s: %s, up to %s", t.principal, count(int64(t.findings), "finding"), t.worst)
	for _, t := range slices.Sorted(maps.Keys(t.techniques)) {
		s += ", " + string(t)
	}
	return s
}

// tallies returns the principals found, those of most concern first.
func (r *report) tallies() []*tally {
	return slices.SortedFunc(maps.Values(r.byPrincipal), func(a, b *tally) int {
		return cmp.Or(cmp.Compare(b.worst, a.worst), cmp.Compare(len(b.techniques), len(a.techniques)),
			cmp.Compare(b.findings, a.findings), cmp.Compare(a.principal, b.principal))
	})
}

// severities counts the findings in words: "1 critical, 2 high".
func (r *report) severities() string {
	var parts []string
	for s := detect.Critical; s > detect.Silent; s-- {
		if n := r.bySeverity[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", digits(int64(n)), s))
		}
	}
	return strings.Join(parts, ", ")
}

// headline says in one line what was found.
func (r *report) headline() string {
	s := "no findings"
	if r.findings > 0 {
		s = count(int64(r.findings), "finding") + ": " + r.severities()
	}
	if r.hidden > 0 {
		s += fmt.Sprintf("; %s below %s not shown", digits(int64(r.hidden)), r.options.minSeverity)
	}
	return s
}

// scope says in one line what was scanned.
func (r *report) scope() string {
	if r.events == 0 {
		return "no events"
	}
	return fmt.Sprintf("%s from %s to %s, by %s", count(r.events, "event"), moment(r.first), moment(r.last),
		count(int64(len(r.principals)), "principal"))
}

// suppressions says in one line what was kept back, or "".
func (r *report) suppressions() string { return byName(r.suppressed) }

// byName writes counts in the order of their names: "a 1, b 2".
func byName(counts map[string]int64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, name+" "+digits(counts[name]))
	}
	return strings.Join(parts, ", ")
}

// jsonPrinter prints findings as they settle, one a line.
type jsonPrinter struct{ out *bufio.Writer }

func (p *jsonPrinter) finding(f detect.Finding) error {
	line, err := json.Marshal(f)
	if err != nil {
		return err
	}
	// What a terminal could obey, JSON can spell.
	for _, r := range string(line) {
		switch {
		case unicode.IsPrint(r):
			p.out.WriteRune(r)
		case r <= 0xffff:
			fmt.Fprintf(p.out, `\u%04x`, r)
		default:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(p.out, `\u%04x\u%04x`, high, low)
		}
	}
	p.out.WriteByte('\n')
	return p.out.Flush()
}

func (p *jsonPrinter) close(*report) error { return nil }

// maxPrinted is the number of findings that a report for people has. The least
// severe make way.
const maxPrinted = 1000

// worst keeps the most severe findings.
type worst struct {
	kept    []detect.Finding
	omitted int
}

func (w *worst) finding(f detect.Finding) error {
	w.kept = append(w.kept, f)
	if len(w.kept) >= 2*maxPrinted {
		w.list()
	}
	return nil
}

// list returns the findings, most severe first.
func (w *worst) list() []detect.Finding {
	slices.SortFunc(w.kept, bySeverity)
	n := min(maxPrinted, len(w.kept))
	w.omitted += len(w.kept) - n
	w.kept = w.kept[:n]
	return w.kept
}

func (w *worst) omission() string {
	return fmt.Sprintf("%s of lower severity left out; -format json prints all", count(int64(w.omitted), "more finding"))
}

// textPrinter prints findings for somebody who reads them on a terminal in the
// middle of the night: by principal, those of most concern first, and each
// thing once.
type textPrinter struct {
	worst
	out     *bufio.Writer
	advised map[string]bool   // rules whose meaning and advice stand above
	above   map[string]string // by label: what stands above about the principal
}

func (p *textPrinter) close(r *report) error {
	byPrincipal := make(map[string][]detect.Finding)
	for _, f := range p.list() {
		byPrincipal[f.Principal] = append(byPrincipal[f.Principal], f)
	}
	p.advised = make(map[string]bool)
	tallies := r.tallies()
	for _, t := range tallies {
		if len(byPrincipal[t.principal]) == 0 {
			continue
		}
		fmt.Fprintf(p.out, "== %s\n\n", clean(t.String()))
		p.above = make(map[string]string)
		for _, f := range byPrincipal[t.principal] {
			p.print(&f)
		}
	}
	if p.omitted > 0 {
		fmt.Fprintf(p.out, "%s\n\n", p.omission())
	}
	fmt.Fprintln(p.out, r.headline())
	p.line("rules", byName(r.byRule))
	const most = 10
	label := "principals"
	for i, t := range tallies {
		if i == most {
			p.line("", fmt.Sprintf("and %d more", len(tallies)-most))
			break
		}
		p.field(label, t.String())
		label = ""
	}
	p.line("suppressed", r.suppressions())
	p.line("scanned", r.scope())
	p.line("incomplete", r.unread)
	return p.out.Flush()
}

// print prints one finding.
func (p *textPrinter) print(f *detect.Finding) {
	fmt.Fprintf(p.out, "%-8s  %s  %s  %s\n", strings.ToUpper(f.Severity.String()), moment(f.Time), f.Rule, clean(f.Title))
	first := !p.advised[f.Rule]
	p.advised[f.Rule] = true
	if first {
		p.field("technique", technique(f))
	}
	p.changed("as", join(labelled("session", f.Session), labelled("key", f.AccessKeyID)))
	p.changed("from", join(f.SourceAddress, f.Region, labelled("account", f.AccountID)))
	p.changed("agent", f.UserAgent)
	if f.Revision > 0 {
		p.line("reports", fmt.Sprintf("%s, the last at %s", digits(int64(f.Revision)+1), moment(f.Last)))
	}
	for _, e := range f.Evidence {
		p.field("evidence", e.Name)
		p.field("  observed", e.Observed)
		p.field("  expected", e.Expected)
	}
	if !f.Learned.Since.IsZero() {
		p.changed("learnt", strings.TrimPrefix(f.Learned.String(), "learnt "))
	}
	p.field("events", someIDs(f.EventIDs))
	if first {
		p.fields("benign if", f.Benign, "- ")
		p.fields("do", f.Respond, "")
	}
	p.line("id", f.ID)
	fmt.Fprintln(p.out)
}

// changed prints a field unless the same stands above.
func (p *textPrinter) changed(label, text string) {
	if p.above[label] != text {
		p.above[label] = text
		p.field(label, cmp.Or(text, "none"))
	}
}

// field prints text from a log with its label, unless there is none.
func (p *textPrinter) field(label, text string) { p.line(label, clean(text)) }

func (p *textPrinter) line(label, text string) {
	if text != "" {
		fmt.Fprintf(p.out, "  %-10s  %s\n", label, text)
	}
}

// fields prints a list below its label: with the bullet, or numbered if there
// is none.
func (p *textPrinter) fields(label string, items []string, bullet string) {
	for i, item := range items {
		mark := bullet
		if mark == "" {
			mark = strconv.Itoa(i+1) + ". "
		}
		p.field(label, mark+item)
		label = ""
	}
}

// markdownPrinter prints a report to open an incident with.
type markdownPrinter struct {
	worst
	out *bufio.Writer
}

func (p *markdownPrinter) close(r *report) error {
	printf := func(format string, args ...any) { fmt.Fprintf(p.out, format, args...) }
	findings := p.list()

	printf("# What cloudtell found\n\n- %s\n- scanned: %s\n", r.headline(), r.scope())
	if s := r.suppressions(); s != "" {
		printf("- suppressed: %s\n", s)
	}
	if r.unread != "" {
		printf("- incomplete: %s\n", r.unread)
	}
	if p.omitted > 0 {
		printf("- %s\n", p.omission())
	}
	if len(findings) == 0 {
		return p.out.Flush()
	}
	printf("\n## Principals\n\n| principal | worst | findings | techniques |\n|---|---|---|---|\n")
	for _, t := range r.tallies() {
		var techniques []string
		for _, t := range slices.Sorted(maps.Keys(t.techniques)) {
			techniques = append(techniques, strings.TrimSpace(fmt.Sprintf("[%s](%s) %s", t, t.URL(), t.Name())))
		}
		printf("| %s | %s | %d | %s |\n", code(t.principal), t.worst, t.findings, strings.Join(techniques, ", "))
	}

	printf("\n## Timeline\n\n| time | severity | rule | principal | what |\n|---|---|---|---|---|\n")
	for _, f := range slices.SortedFunc(slices.Values(findings), byTime) {
		printf("| %s | %s | %s | %s | %s |\n", moment(f.Time), f.Severity, f.Rule, code(f.PrincipalName), escape(f.Title))
	}

	printf("\n## Findings\n")
	rules := make(map[string]*detect.Finding)
	for i := range findings {
		f := &findings[i]
		if rules[f.Rule] == nil {
			rules[f.Rule] = f
		}
		printf("\n### %d. %s: %s\n\n", i+1, f.Severity, escape(f.Title))
		item := func(label, text string) {
			if text != "" {
				printf("- %s: %s\n", label, text)
			}
		}
		item("technique", join(technique(f), labelled("rule", f.Rule)))
		item("who", join(code(f.Principal), labelled("session", code(f.Session)), labelled("key", code(f.AccessKeyID))))
		item("from", join(code(f.SourceAddress), code(f.Region), labelled("account", code(f.AccountID)), code(f.UserAgent)))
		when := moment(f.Time)
		if f.Revision > 0 {
			when += fmt.Sprintf(" to %s, %s", moment(f.Last), count(int64(f.Revision)+1, "report"))
		}
		item("when", when)
		if !f.Learned.Since.IsZero() {
			item("baseline", f.Learned.String())
		}
		item("events", code(strings.Join(f.EventIDs, " ")))
		item("id", code(f.ID))
		if len(f.Evidence) > 0 {
			printf("\n| evidence | observed | expected |\n|---|---|---|\n")
			for _, e := range f.Evidence {
				printf("| %s | %s | %s |\n", escape(e.Name), escape(e.Observed), escape(e.Expected))
			}
		}
	}

	printf("\n## What to do\n")
	for _, rule := range slices.Sorted(maps.Keys(rules)) {
		f := rules[rule]
		printf("\n### %s\n\n", rule)
		for i, step := range f.Respond {
			printf("%d. %s\n", i+1, escape(step))
		}
		for _, list := range []struct {
			title string
			items []string
		}{{"Harmless if", f.Benign}, {"To prevent it", f.Mitigations}} {
			if len(list.items) > 0 {
				printf("\n%s:\n\n", list.title)
			}
			for _, item := range list.items {
				printf("- %s\n", escape(item))
			}
		}
	}
	return p.out.Flush()
}

// maxText is the number of characters of one text that people are shown.
const maxText = 400

// clean makes text from a log safe for a terminal: whoever makes a call
// chooses much of it, and could hide or rewrite lines with control characters.
func clean(s string) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > maxText {
			b.WriteString("...")
			break
		}
		if unicode.IsPrint(r) && r != unicode.ReplacementChar {
			b.WriteRune(r)
		} else {
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}

var markdownEscapes = strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`,
	"<", `\<`, ">", `\>`, "|", `\|`, "&", `\&`, "~", `\~`)

// escape makes text from a log mean itself in Markdown.
func escape(s string) string { return markdownEscapes.Replace(clean(s)) }

// code sets text from a log as code, also within a table.
func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + strings.NewReplacer("`", "'", "|", `\|`).Replace(clean(s)) + "`"
}

func labelled(label, text string) string {
	if text == "" {
		return ""
	}
	return label + " " + text
}

// join joins the parts that are not empty.
func join(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
}

// technique names a finding's technique and tactic.
func technique(f *detect.Finding) string {
	s := string(f.Technique)
	if name := f.Technique.Name(); name != "" {
		s += " " + name
	}
	tactic := f.Tactic.Name()
	if tactic == "" {
		tactic = string(f.Tactic)
	}
	return s + " (" + tactic + ")"
}

func someIDs(ids []string) string {
	const shown = 3
	s := strings.Join(ids[:min(shown, len(ids))], ", ")
	if more := len(ids) - shown; more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}

// moment writes a time so that it can be compared at a glance.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

// count writes a number of things: "1 file", "2,345 files".
func count(n int64, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return digits(n) + " " + thing
}

// digits writes a number with its thousands apart.
func digits(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
