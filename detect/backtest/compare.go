package backtest

import (
	"fmt"
	"strings"

	"github.com/cloudtell/cloudtell/detect"
)

// A Difference is what two reports about the same stream differ in.
type Difference struct {
	// OnlyA and OnlyB name the attacks that were found in one report only, at
	// any severity; NotifiedOnlyA and NotifiedOnlyB those of which a person was
	// told in one only.
	OnlyA         []string `json:"only_a,omitempty"`
	OnlyB         []string `json:"only_b,omitempty"`
	NotifiedOnlyA []string `json:"notified_only_a,omitempty"`
	NotifiedOnlyB []string `json:"notified_only_b,omitempty"`
	// Rules lists the rules whose findings are not as many.
	Rules []RuleDifference `json:"rules,omitempty"`
	// Levels tells of each severity, the highest first.
	Levels []LevelDifference `json:"levels"`
}

// A RuleDifference is one rule in two reports. A rule that a report does not
// have found nothing.
type RuleDifference struct {
	Rule string `json:"rule"`
	A    Rule   `json:"a"`
	B    Rule   `json:"b"`
}

// A LevelDifference is one severity in two reports.
type LevelDifference struct {
	Severity detect.Severity `json:"severity"`
	A        Level           `json:"a"`
	B        Level           `json:"b"`
}

// Compare says how report b differs from report a.
func Compare(a, b *Report) Difference {
	var d Difference
	d.OnlyA, d.OnlyB = foundByOne(a, b, detect.Informational, detect.Informational)
	d.NotifiedOnlyA, d.NotifiedOnlyB = foundByOne(a, b, a.Notify, b.Notify)
	inB := make(map[string]Rule)
	for _, rule := range b.Rules {
		inB[rule.Name] = rule
	}
	compare := func(name string, a, b Rule) {
		if a.True != b.True || a.False != b.False || a.FalseNotified != b.FalseNotified {
			d.Rules = append(d.Rules, RuleDifference{Rule: name, A: a, B: b})
		}
	}
	for _, rule := range a.Rules {
		compare(rule.Name, rule, inB[rule.Name])
		delete(inB, rule.Name)
	}
	for _, rule := range b.Rules {
		if _, ok := inB[rule.Name]; ok {
			compare(rule.Name, Rule{}, rule)
		}
	}
	for s := detect.Critical; s > detect.Silent; s-- {
		d.Levels = append(d.Levels, LevelDifference{Severity: s, A: a.Level(s), B: b.Level(s)})
	}
	return d
}

// foundByOne returns the attacks found at or above a severity in one report
// only.
func foundByOne(a, b *Report, sa, sb detect.Severity) (onlyA, onlyB []string) {
	severities := func(r *Report) map[string]detect.Severity {
		m := make(map[string]detect.Severity)
		for i := range r.Attacks {
			m[r.Attacks[i].Name] = r.Attacks[i].Severity()
		}
		return m
	}
	inA, inB := severities(a), severities(b)
	for _, k := range a.Attacks {
		if inA[k.Name] >= sa && inB[k.Name] < sb {
			onlyA = append(onlyA, k.Name)
		}
	}
	for _, k := range b.Attacks {
		if inB[k.Name] >= sb && inA[k.Name] < sa {
			onlyB = append(onlyB, k.Name)
		}
	}
	return onlyA, onlyB
}

// String says it in lines and tables.
func (d Difference) String() string {
	var b strings.Builder
	for _, line := range []struct {
		text  string
		names []string
	}{
		{"found by the first only", d.OnlyA},
		{"found by the second only", d.OnlyB},
		{"notified by the first only", d.NotifiedOnlyA},
		{"notified by the second only", d.NotifiedOnlyB},
	} {
		if len(line.names) > 0 {
			fmt.Fprintf(&b, "%s: %s\n", line.text, strings.Join(line.names, ", "))
		}
	}
	if b.Len() == 0 {
		b.WriteString("both find the same attacks\n")
	}
	levels := table{{"severity", "attacks found", "true", "false", "false a day per 100 principals"}}
	for _, l := range d.Levels {
		levels.row(l.Severity, change(l.A.Found, l.B.Found), change(l.A.True, l.B.True), change(l.A.False, l.B.False),
			change(fmt.Sprintf("%.2f", l.A.Rate), fmt.Sprintf("%.2f", l.B.Rate)))
	}
	b.WriteString("\n" + levels.String())
	if len(d.Rules) == 0 {
		return b.String()
	}
	rules := table{{"rule", "threshold", "true", "false", "false notified"}}
	for _, r := range d.Rules {
		rules.row(r.Rule, change(r.A.Threshold.Value, r.B.Threshold.Value), change(r.A.True, r.B.True), change(r.A.False, r.B.False),
			change(r.A.FalseNotified, r.B.FalseNotified))
	}
	b.WriteString("\n" + rules.String())
	return b.String()
}

func change[T comparable](a, b T) string {
	if a == b {
		return fmt.Sprint(a)
	}
	return fmt.Sprintf("%v -> %v", a, b)
}
