package backtest

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/cloudtell/cloudtell/detect"
)

// A Proposal is one change that makes a report's rules say less.
type Proposal struct {
	Rule string `json:"rule"`
	// Of is what the rule counts, Was its threshold and Threshold the proposed
	// one; 0 for a rule without.
	Of        string `json:"of,omitempty"`
	Was       int    `json:"was,omitempty"`
	Threshold int    `json:"threshold,omitempty"`
	// Floor is the least severity of the rule's findings that a person should be
	// told of, for a rule without a threshold; Mute says that it is none. The
	// findings are made all the same.
	Floor detect.Severity `json:"floor,omitempty"`
	Mute  bool            `json:"mute,omitempty"`
	// Removes is how many of the false notifications that were left it does away
	// with; Rate is the number of those that remain, a day per 100 principals.
	Removes int     `json:"removes"`
	Rate    float64 `json:"rate"`
	// Loses names the attacks that the rule found, or told a person of, and now
	// does not. Other rules do.
	Loses []string `json:"loses,omitempty"`
}

// String says it in one line.
func (p Proposal) String() string {
	var b strings.Builder
	switch {
	case p.Threshold > 0:
		fmt.Fprintf(&b, "%s: from %d up rather than from %d (%s)", p.Rule, p.Threshold, p.Was, p.Of)
	case p.Mute:
		fmt.Fprintf(&b, "%s: no notification", p.Rule)
	default:
		fmt.Fprintf(&b, "%s: notification if %s", p.Rule, p.Floor)
	}
	fmt.Fprintf(&b, "; %d false notifications fewer, %.2f a day per 100 principals remain", p.Removes, p.Rate)
	if len(p.Loses) > 0 {
		fmt.Fprintf(&b, "; it no longer tells of %s, which other rules do", strings.Join(p.Loses, ", "))
	}
	return b.String()
}

// Thresholds returns the thresholds that proposals set, by rule.
func Thresholds(proposals []Proposal) map[string]int {
	thresholds := make(map[string]int)
	for _, p := range proposals {
		if p.Threshold > 0 {
			thresholds[p.Rule] = p.Threshold
		}
	}
	return thresholds
}

// Propose says what to change so that there are at most perDay false
// notifications a day per 100 principals; nothing if that is so already. It
// knows of nothing but the report: what a threshold would have to be is what
// the findings' checks counted, and nothing can be proposed below a threshold.
//
// No proposal costs an attack its last finding, nor the last of which a person
// is told. If the last proposal's Rate is above the budget, that, or what
// features can count, is why there are no more.
//
// The proposals are made greedily, always the change that does away with most
// of the false notifications that are too many for what it costs: for each true
// notification lost, and for how far the rule is turned down.
func (r *Report) Propose(perDay float64) []Proposal {
	s := newSolver(r)
	allowed := int(perDay * r.PrincipalDays / 100)
	for {
		now := s.outcome()
		excess := now.wrong - allowed
		if excess <= 0 {
			break
		}
		rule, best, ok := s.best(now, excess)
		if !ok {
			break
		}
		s.order = append(slices.DeleteFunc(s.order, func(name string) bool { return name == rule }), rule)
		s.settings[rule] = best
	}
	s.prune(allowed)
	return s.proposals()
}

// A setting is how a rule is set: its threshold, if it has one, and the least
// severity that is told; muted is above all.
type setting struct {
	threshold int
	floor     detect.Severity
}

const muted = detect.Critical + 1

// strain says how far a setting turns a rule down, by our own reckoning: as
// many times as its threshold is raised, and twice for each severity.
func (s setting) strain(was setting) float64 {
	strain := math.Exp2(float64(s.floor) - float64(was.floor))
	if was.threshold > 0 {
		strain *= float64(s.threshold) / float64(was.threshold)
	}
	return strain
}

type solver struct {
	report   *Report
	rules    map[string]*Rule
	initial  map[string]setting
	settings map[string]setting
	order    []string // rules set, in the order of the last change
	attacks  map[string]int
	bearable []standing // how well each attack is found as it is
}

// standing is how well an attack is found.
type standing uint8

const (
	missed standing = iota
	found
	told // to a person
)

// An outcome is what settings lead to.
type outcome struct {
	wrong, right int        // notifications
	attacks      []standing // by number
}

func newSolver(r *Report) *solver {
	s := &solver{
		report: r, rules: make(map[string]*Rule), initial: make(map[string]setting), settings: make(map[string]setting),
		attacks: make(map[string]int),
	}
	for i := range r.Rules {
		rule := &r.Rules[i]
		s.rules[rule.Name] = rule
		s.initial[rule.Name] = setting{threshold: rule.Threshold.Value, floor: r.Notify}
		s.settings[rule.Name] = s.initial[rule.Name]
	}
	for i := range r.Attacks {
		s.attacks[r.Attacks[i].Name] = i
	}
	s.bearable = s.outcome().attacks
	return s
}

// standing says what becomes of a finding.
func (s *solver) standing(f *Finding) standing {
	set := s.settings[f.Rule]
	switch {
	case f.Reached > 0 && f.Reached < set.threshold:
		return missed
	case f.Severity < set.floor:
		return found
	}
	return told
}

func (s *solver) outcome() outcome {
	o := outcome{attacks: make([]standing, len(s.report.Attacks))}
	for i := range s.report.Findings {
		f := &s.report.Findings[i]
		as := s.standing(f)
		for _, name := range f.Attacks {
			a := &o.attacks[s.attacks[name]]
			*a = max(*a, as)
		}
		switch {
		case as < told || f.Learning:
		case f.False():
			o.wrong++
		default:
			o.right++
		}
	}
	return o
}

// with returns the outcome of another setting of a rule.
func (s *solver) with(rule string, set setting) outcome {
	now := s.settings[rule]
	s.settings[rule] = set
	o := s.outcome()
	s.settings[rule] = now
	return o
}

// bears reports whether an outcome finds every attack as well as now.
func (s *solver) bears(o outcome) bool {
	for i, as := range o.attacks {
		if as < s.bearable[i] {
			return false
		}
	}
	return true
}

// best returns the change that is worth most.
func (s *solver) best(now outcome, excess int) (rule string, best setting, ok bool) {
	var worth, least float64
	for i := range s.report.Rules {
		name := s.report.Rules[i].Name
		for _, set := range s.candidates(name) {
			o := s.with(name, set)
			if !s.bears(o) {
				continue
			}
			strain := set.strain(s.initial[name])
			gain := min(now.wrong-o.wrong, excess)
			w := float64(gain) / (float64(1+now.right-o.right) * strain)
			if gain > 0 && (w > worth || w == worth && strain < least) {
				rule, best, ok = name, set, true
				worth, least = w, strain
			}
		}
	}
	return rule, best, ok
}

// candidates returns the settings that would do away with one more of a rule's
// false notifications, with two more, and so on.
func (s *solver) candidates(rule string) []setting {
	set := s.settings[rule]
	bound := s.rules[rule].Threshold.Max
	var candidates []setting
	for i := range s.report.Findings {
		f := &s.report.Findings[i]
		if f.Rule != rule || !f.False() || s.standing(f) < told {
			continue
		}
		next := setting{threshold: f.Reached + 1, floor: set.floor}
		if bound == 0 {
			next = setting{floor: f.Severity + 1}
		} else if f.Reached == 0 || next.threshold > bound {
			continue
		}
		if !slices.Contains(candidates, next) {
			candidates = append(candidates, next)
		}
	}
	return candidates
}

// prune takes back what later changes made needless.
func (s *solver) prune(allowed int) {
	for _, rule := range slices.Clone(s.order) {
		if s.with(rule, s.initial[rule]).wrong <= allowed {
			s.settings[rule] = s.initial[rule]
			s.order = slices.DeleteFunc(s.order, func(name string) bool { return name == rule })
		}
	}
}

// proposals tells of the settings, one after the other.
func (s *solver) proposals() []Proposal {
	var proposals []Proposal
	final := s.settings
	s.settings = make(map[string]setting)
	for rule, set := range s.initial {
		s.settings[rule] = set
	}
	for _, rule := range s.order {
		before, told := s.outcome(), s.tells(rule)
		set := final[rule]
		s.settings[rule] = set
		after := s.outcome()
		p := Proposal{Rule: rule, Removes: before.wrong - after.wrong, Rate: s.report.rate(after.wrong)}
		if t := s.rules[rule].Threshold; t.Max > 0 {
			p.Of, p.Was, p.Threshold = t.Of, t.Value, set.threshold
		} else if p.Mute = set.floor == muted; !p.Mute {
			p.Floor = set.floor
		}
		now := s.tells(rule)
		for i := range s.report.Attacks {
			if now[i] < told[i] {
				p.Loses = append(p.Loses, s.report.Attacks[i].Name)
			}
		}
		proposals = append(proposals, p)
	}
	return proposals
}

// tells says how well one rule finds each attack.
func (s *solver) tells(rule string) []standing {
	tells := make([]standing, len(s.report.Attacks))
	for i := range s.report.Findings {
		f := &s.report.Findings[i]
		if f.Rule != rule {
			continue
		}
		for _, name := range f.Attacks {
			a := &tells[s.attacks[name]]
			*a = max(*a, s.standing(f))
		}
	}
	return tells
}
