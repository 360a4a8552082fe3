package backtest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/incident"
)

// A Report is what [Run] measured.
type Report struct {
	// Start and End are the times of the stream's first and last event; false
	// findings count from Judged on.
	Start  time.Time `json:"start"`
	End    time.Time `json:"end"`
	Judged time.Time `json:"judged"`
	// Notify is the least severity of which a person is told.
	Notify detect.Severity `json:"notify"`
	// Principals is the number of principals seen.
	Principals int `json:"principals"`
	// PrincipalDays is the number of principals times the days after learning:
	// what rates are given for.
	PrincipalDays float64 `json:"principal_days"`
	// Undecodable is the number of records that could not be read.
	Undecodable int64        `json:"undecodable"`
	Stats       detect.Stats `json:"stats"`

	// Levels tells of each severity, the highest first.
	Levels []Level `json:"levels"`
	// Rules tells of each rule, in the order in which they were given.
	Rules []Rule `json:"rules"`
	// Attacks tells of each attack, in order of time.
	Attacks []Attack `json:"attacks"`
	// Findings lists the latest revisions of all findings, in order of time.
	Findings []Finding `json:"findings"`
	// Incidents lists what the findings were joined into, those of most concern
	// first.
	Incidents []Incident `json:"incidents"`
}

// An Incident is one incident in a report.
type Incident struct {
	incident.Incident
	// Attacks names the attacks that its findings name events of; none if it is
	// false.
	Attacks []string `json:"attacks,omitempty"`
	// Learning says that it began while learning, and does not count.
	Learning bool `json:"learning,omitempty"`
}

// A Part is what of an attack is in one incident.
type Part struct {
	ID       string          `json:"id"`
	Severity detect.Severity `json:"severity"` // of the incident
	Findings int             `json:"findings"` // about the attack
}

// A Level is one severity in a report.
type Level struct {
	Severity detect.Severity `json:"severity"`
	// True and False count the findings of just this severity after learning:
	// those that name an attack's event, and the others.
	True  int `json:"true"`
	False int `json:"false"`
	// Rate is the number of false ones a day per 100 principals.
	Rate float64 `json:"rate"`

	// Precision is the part of the findings at or above the severity that are
	// true; 0 without findings.
	Precision float64 `json:"precision"`
	// Found counts the attacks that were found at or above the severity. Recall
	// is their part of all attacks.
	Found  int     `json:"found"`
	Recall float64 `json:"recall"`
	// MedianDelay and MaxDelay are how long after the attack's first event there
	// was such a finding, in event time, for the attacks found.
	MedianDelay time.Duration `json:"median_delay_ns"`
	MaxDelay    time.Duration `json:"max_delay_ns"`
}

// A Rule is one rule in a report.
type Rule struct {
	Name      string           `json:"name"`
	Threshold detect.Threshold `json:"threshold,omitzero"`
	// True and False count its findings after learning, as in [Level];
	// FalseNotified counts the false ones that a person is told of.
	True          int `json:"true"`
	False         int `json:"false"`
	FalseNotified int `json:"false_notified"`
	// Alone names the attacks that no other rule found.
	Alone []string `json:"alone,omitempty"`
}

// An Attack is one attack in a report.
type Attack struct {
	Name string `json:"name"`
	// Start and End are the times of its first and last event, of which there
	// are as many as Events says.
	Start  time.Time `json:"start"`
	End    time.Time `json:"end"`
	Events int       `json:"events"`
	// Detected tells since which event there has been a finding about the
	// attack at or above a severity.
	Detected map[detect.Severity]time.Time `json:"detected,omitempty"`
	// FoundBy lists the rules that found it, the first one first.
	FoundBy []Sighting `json:"found_by,omitempty"`
	// Incidents lists the incidents that its findings are in, those of most
	// concern first. One is best.
	Incidents []Part `json:"incidents,omitempty"`
}

// Incident returns the most severe of the attack's incidents, and how many of
// its findings are in others.
func (a *Attack) Incident() (main Part, elsewhere int) {
	for i, p := range a.Incidents {
		if i == 0 {
			main = p
		} else {
			elsewhere += p.Findings
		}
	}
	return main, elsewhere
}

// A Sighting is what one rule found of an attack.
type Sighting struct {
	Rule string `json:"rule"`
	// Severity is the highest at which it did.
	Severity detect.Severity `json:"severity"`
	// At is the time of the event that made the first finding.
	At time.Time `json:"at"`
}

// A Finding is one finding in a report.
type Finding struct {
	detect.Finding
	// Attacks names the attacks of which the finding named events, in any of its
	// revisions; none if it is false.
	Attacks []string `json:"attacks,omitempty"`
	// Learning says that it was made while learning, and does not count.
	Learning bool `json:"learning,omitempty"`
	// Reached is the most that was counted against the rule's threshold; 0 if
	// it has none.
	Reached int `json:"reached,omitempty"`
}

// False reports whether a finding counts as false.
func (f *Finding) False() bool { return !f.Learning && len(f.Attacks) == 0 }

// Delay returns how long after an attack's first event there was a finding at
// or above a severity; false if there was none.
func (a *Attack) Delay(s detect.Severity) (time.Duration, bool) {
	at, ok := a.Detected[s]
	return max(0, at.Sub(a.Start)), ok
}

// Severity returns the highest severity at which the attack was found;
// [detect.Silent] if it was not.
func (a *Attack) Severity() detect.Severity {
	highest := detect.Silent
	for _, s := range a.FoundBy {
		highest = max(highest, s.Severity)
	}
	return highest
}

// Missed returns the attacks that were not found at or above a severity.
func (r *Report) Missed(s detect.Severity) []Attack {
	var missed []Attack
	for _, a := range r.Attacks {
		if a.Severity() < s {
			missed = append(missed, a)
		}
	}
	return missed
}

// FindingsAbout returns the findings that name events of an attack, in order of
// time.
func (r *Report) FindingsAbout(attack string) []detect.Finding {
	var findings []detect.Finding
	for i := range r.Findings {
		if f := &r.Findings[i]; slices.Contains(f.Attacks, attack) {
			findings = append(findings, f.Finding)
		}
	}
	return findings
}

// Level returns what the report says of a severity.
func (r *Report) Level(s detect.Severity) Level {
	if i := slices.IndexFunc(r.Levels, func(l Level) bool { return l.Severity == s }); i >= 0 {
		return r.Levels[i]
	}
	return Level{Severity: s}
}

// FalseRate returns the number of false findings at or above a severity, a day
// per 100 principals.
func (r *Report) FalseRate(s detect.Severity) float64 {
	n := 0
	for _, l := range r.Levels {
		if l.Severity >= s {
			n += l.False
		}
	}
	return r.rate(n)
}

// FalseIncidentRate returns the number of incidents of several findings at or
// above a severity that are about no attack, a day per 100 principals.
func (r *Report) FalseIncidentRate(s detect.Severity) float64 {
	n := 0
	for i := range r.Incidents {
		if in := &r.Incidents[i]; in.Severity >= s && len(in.Timeline) > 1 && len(in.Attacks) == 0 && !in.Learning {
			n++
		}
	}
	return r.rate(n)
}

func (r *Report) rate(n int) float64 {
	if n == 0 || r.PrincipalDays == 0 {
		return 0
	}
	return float64(n) / r.PrincipalDays * 100
}

// Merge returns the reports of several streams as one, such as those of several
// accounts. Their attacks must have different names. Thresholds and the severity
// notified are the first report's.
func Merge(reports ...*Report) *Report {
	m := &Report{}
	for i, r := range reports {
		if i == 0 {
			m.Start, m.End, m.Judged, m.Notify = r.Start, r.End, r.Judged, r.Notify
			m.Stats.Suppressed = make(map[string]int64)
		}
		if r.Start.Before(m.Start) {
			m.Start = r.Start
		}
		if r.Judged.Before(m.Judged) {
			m.Judged = r.Judged
		}
		if r.End.After(m.End) {
			m.End = r.End
		}
		for _, rule := range r.Rules {
			if !slices.ContainsFunc(m.Rules, func(known Rule) bool { return known.Name == rule.Name }) {
				m.Rules = append(m.Rules, rule)
			}
		}
		m.Principals += r.Principals
		m.PrincipalDays += r.PrincipalDays
		m.Undecodable += r.Undecodable
		m.Stats.Events += r.Stats.Events
		m.Stats.Evaluated += r.Stats.Evaluated
		m.Stats.Duplicate += r.Stats.Duplicate
		m.Stats.Late += r.Stats.Late
		m.Stats.Rejected += r.Stats.Rejected
		m.Stats.Findings += r.Stats.Findings
		m.Stats.Profiles += r.Stats.Profiles
		m.Stats.Loads += r.Stats.Loads
		m.Stats.Saves += r.Stats.Saves
		for rule, n := range r.Stats.Suppressed {
			m.Stats.Suppressed[rule] += n
		}
		m.Attacks = append(m.Attacks, r.Attacks...)
		m.Findings = append(m.Findings, r.Findings...)
		m.Incidents = append(m.Incidents, r.Incidents...)
	}
	m.sum()
	return m
}

// sum puts attacks and findings in order and counts them.
func (r *Report) sum() {
	slices.SortFunc(r.Attacks, func(a, b Attack) int { return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Name, b.Name)) })
	slices.SortFunc(r.Findings, func(a, b Finding) int { return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.ID, b.ID)) })
	rules := make(map[string]*Rule)
	for i := range r.Rules {
		rule := &r.Rules[i]
		*rule = Rule{Name: rule.Name, Threshold: rule.Threshold}
		rules[rule.Name] = rule
	}
	for i := range r.Attacks {
		a := &r.Attacks[i]
		slices.SortFunc(a.FoundBy, func(a, b Sighting) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Rule, b.Rule)) })
		if len(a.FoundBy) == 1 {
			rule := rules[a.FoundBy[0].Rule]
			rule.Alone = append(rule.Alone, a.Name)
		}
	}
	var counts [detect.Critical + 1]struct{ right, wrong int }
	for i := range r.Findings {
		f := &r.Findings[i]
		switch {
		case f.Learning:
		case f.False():
			counts[f.Severity].wrong++
			rules[f.Rule].False++
			if f.Severity >= r.Notify {
				rules[f.Rule].FalseNotified++
			}
		default:
			counts[f.Severity].right++
			rules[f.Rule].True++
		}
	}
	r.Levels = nil
	right, wrong := 0, 0
	for s := detect.Critical; s > detect.Silent; s-- {
		l := Level{Severity: s, True: counts[s].right, False: counts[s].wrong, Rate: r.rate(counts[s].wrong)}
		right, wrong = right+l.True, wrong+l.False
		if right+wrong > 0 {
			l.Precision = float64(right) / float64(right+wrong)
		}
		var delays []time.Duration
		for i := range r.Attacks {
			if d, ok := r.Attacks[i].Delay(s); ok {
				delays = append(delays, d)
			}
		}
		if l.Found = len(delays); l.Found > 0 {
			slices.Sort(delays)
			l.Recall = float64(l.Found) / float64(len(r.Attacks))
			l.MedianDelay, l.MaxDelay = delays[(len(delays)-1)/2], delays[len(delays)-1]
		}
		r.Levels = append(r.Levels, l)
	}
}

// String says it in tables.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d events of %d principals from %s to %s; findings count from %s on. False findings are given a day per 100 principals.\n\n",
		r.Stats.Events, r.Principals, r.Start.Format(time.DateOnly), r.End.Format(time.DateOnly), r.Judged.Format(time.DateOnly))
	levels := table{{"severity", "true", "false", "a day", "precision", "attacks found", "half of them within", "all within"}}
	for _, l := range r.Levels {
		levels.row(l.Severity, l.True, l.False, fmt.Sprintf("%.2f", l.Rate), percent(l.Precision),
			fmt.Sprintf("%d of %d", l.Found, len(r.Attacks)), short(l.MedianDelay), short(l.MaxDelay))
	}
	b.WriteString(levels.String() + "(Precision, attacks and times are for the severity and those above it.)\n\n")
	rules := table{{"rule", "threshold", "true", "false", "false notified", "found by nothing else"}}
	for i := range r.Rules {
		rule := &r.Rules[i]
		if rule.True+rule.False == 0 {
			continue
		}
		threshold := ""
		if rule.Threshold.Max > 0 {
			threshold = fmt.Sprint(rule.Threshold.Value)
		}
		rules.row(rule.Name, threshold, rule.True, rule.False, rule.FalseNotified, strings.Join(rule.Alone, ", "))
	}
	b.WriteString(rules.String() + "\n")
	attacks := table{{"attack", "highest", "incident", "found by"}}
	for i := range r.Attacks {
		a := &r.Attacks[i]
		var by []string
		for _, s := range a.FoundBy {
			by = append(by, fmt.Sprintf("%s (%s, %s)", s.Rule, s.Severity, short(max(0, s.At.Sub(a.Start)))))
		}
		part, elsewhere := a.Incident()
		story := fmt.Sprintf("%s, %d findings", part.Severity, part.Findings)
		if elsewhere > 0 {
			story += fmt.Sprintf(" and %d in %d others", elsewhere, len(a.Incidents)-1)
		}
		attacks.row(a.Name, a.Severity(), story, strings.Join(by, ", "))
	}
	b.WriteString(attacks.String())
	return b.String()
}

func percent(part float64) string { return fmt.Sprintf("%.0f%%", 100*part) }

// short returns a duration to the second, without zeros at the end: "1h20m".
func short(d time.Duration) string {
	s := d.Round(time.Second).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// A table is rows of cells, the first of which is the head.
type table [][]string

func (t *table) row(cells ...any) {
	row := make([]string, len(cells))
	for i, c := range cells {
		row[i] = fmt.Sprint(c)
	}
	*t = append(*t, row)
}

// String returns the table as Markdown, with columns of even width but for the
// last.
func (t table) String() string {
	widths := make([]int, len(t[0]))
	for n, row := range t {
		for i, cell := range row {
			if n == 0 || i < len(row)-1 {
				widths[i] = max(widths[i], len(cell))
			}
		}
	}
	var b strings.Builder
	for n, row := range t {
		for i, cell := range row {
			fmt.Fprintf(&b, "| %-*s ", widths[i], cell)
		}
		b.WriteString("|\n")
		if n == 0 {
			for _, w := range widths {
				b.WriteString("|" + strings.Repeat("-", w+2))
			}
			b.WriteString("|\n")
		}
	}
	return b.String()
}
