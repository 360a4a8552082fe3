package main

import (
	"bufio"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/output"
)

// writeSpelled writes JSON as a line. What a terminal could obey, JSON can
// spell.
func writeSpelled(out *bufio.Writer, line []byte) {
	for _, r := range string(line) {
		switch {
		case unicode.IsPrint(r):
			out.WriteRune(r)
		case r <= 0xffff:
			fmt.Fprintf(out, `\u%04x`, r)
		default:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(out, `\u%04x\u%04x`, high, low)
		}
	}
	out.WriteByte('\n')
}

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
	p.incidents(r.incidents)
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
	if c, ok := f.Nearest(); ok {
		p.field("threshold", c.String())
	}
	p.changed("ruled out", strings.Join(guards(f), "; "))
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

// guards lists what would have excused a finding, and did not apply.
func guards(f *detect.Finding) []string {
	var list []string
	for _, c := range f.Checks {
		if c.Guard && c.Passed {
			list = append(list, c.Condition)
		}
	}
	return list
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
		p.field(label, mark+asFlags.Replace(item))
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
	p.incidents(r.incidents)
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
		printf("\n%s", output.Markdown(f))
	}

	printf("\n## What to do\n")
	for _, rule := range slices.Sorted(maps.Keys(rules)) {
		f := rules[rule]
		printf("\n### %s\n\n", rule)
		for i, step := range f.Respond {
			printf("%d. %s\n", i+1, escape(asFlags.Replace(step)))
		}
		for _, list := range []struct {
			title string
			items []string
		}{{"Harmless if", f.Benign}, {"To prevent it", f.Mitigations}} {
			if len(list.items) > 0 {
				printf("\n%s:\n\n", list.title)
			}
			for _, item := range list.items {
				printf("- %s\n", escape(asFlags.Replace(item)))
			}
		}
	}
	return p.out.Flush()
}

// asFlags tells of the library's configuration by the names that it has here.
var asFlags = strings.NewReplacer("Config.Networks", "-networks", "Config.VPCEndpoints", "-vpc-endpoints", "Config.Accounts", "-accounts",
	"Config.SensitiveBuckets", "-sensitive-buckets", "Config.PublicBuckets", "-public-buckets", "Config.SensitivePrefixes", "-sensitive-prefixes",
	"Config.SensitiveNames", "-sensitive-names", "Config.Scanners", "-scanners", "Config.Thresholds", "-thresholds",
	"Config.Reputation", "-bad-addresses", "Config.Locate", "-locations")

// maxText is the number of characters of one text that people are shown.
const maxText = 400

// clean makes text from a log safe for a terminal, and cuts what is long.
func clean(s string) string {
	n := 0
	for i := range s {
		if n++; n > maxText {
			return printable(s[:i]) + "..."
		}
	}
	return printable(s)
}

// printable makes text from a log safe for a terminal: whoever makes a call
// chooses much of it, and could hide or rewrite lines with control characters.
func printable(s string) string {
	var b strings.Builder
	for _, r := range s {
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
	if tactic := cmp.Or(f.Tactic.Name(), string(f.Tactic)); tactic != "" {
		s += " (" + tactic + ")"
	}
	return strings.TrimSpace(s)
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
