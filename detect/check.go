package detect

import (
	"fmt"
	"strings"
)

// A Check is one condition that a rule looked at when it judged an event. A
// finding lists those on its way, an [Explanation] without a finding ends with
// the one that stood in the way.
type Check struct {
	// Condition says what was looked at: "the call succeeded", "an AWS service
	// made the call", "different instances within 24 hours".
	Condition string `json:"condition"`
	// Passed reports that the condition did not stand in the way of a finding:
	// a requirement that holds, a guard that does not apply, an amount that
	// reaches its threshold.
	Passed bool `json:"passed"`
	// Guard marks a condition that would excuse the event.
	Guard bool `json:"guard,omitempty"`
	// Observed and Threshold are the amounts compared. Threshold is 0 for
	// conditions that compare none.
	Observed  int `json:"observed,omitempty"`
	Threshold int `json:"threshold,omitempty"`
}

// String says it in one line: "different instances within 24 hours: 9 of at
// least 10".
func (c Check) String() string {
	switch {
	case c.Threshold != 0:
		return fmt.Sprintf("%s: %d of at least %d", c.Condition, c.Observed, c.Threshold)
	case c.Passed == c.Guard:
		return c.Condition + ": no"
	}
	return c.Condition + ": yes"
}

// margin is how far an amount is above its threshold, as a factor; below 1 it
// is below.
func (c Check) margin() float64 { return float64(c.Observed) / float64(c.Threshold) }

// Require returns whether a condition holds without which there is no finding,
// and keeps it for the finding or the explanation. Rules write their
// conditions so:
//
//	if !p.Require("the call succeeded", e.Succeeded()) {
//		return
//	}
//
// The text is a constant, as in all methods of this kind: it costs nothing, and
// holds on to nothing of the event.
func (p *Pass) Require(condition string, holds bool) bool {
	p.checks = append(p.checks, Check{Condition: condition, Passed: holds})
	return holds
}

// Excuse returns whether a guard applies that makes the event harmless, and
// keeps it like Require.
func (p *Pass) Excuse(guard string, applies bool) bool {
	p.checks = append(p.checks, Check{Condition: guard, Passed: !applies, Guard: true})
	return applies
}

// AtLeast returns whether an amount reaches a threshold, which is above 0, and
// keeps it like Require. amount says what is counted, with its window.
func (p *Pass) AtLeast(amount string, observed, threshold int) bool {
	reached := observed >= threshold
	p.checks = append(p.checks, Check{Condition: amount, Passed: reached, Observed: observed, Threshold: threshold})
	return reached
}

// Reaches is [Pass.AtLeast] for the threshold that the rule's Info declares. It
// panics if that declares none.
func (p *Pass) Reaches(observed int) bool {
	t := &p.rule.info.Threshold
	if t.Value == 0 {
		panic(fmt.Sprintf("detect: the Info of rule %q declares no threshold", p.rule.info.Name))
	}
	return p.AtLeast(t.Of, observed, t.Value)
}

// Threshold returns the value of the threshold that the rule's Info declares; 0
// if it declares none.
func (p *Pass) Threshold() int { return p.rule.info.Threshold.Value }

// Nearest returns the amount that came closest to being too small for the
// finding; false if the rule compares none.
func (f *Finding) Nearest() (Check, bool) {
	var nearest Check
	for _, c := range f.Checks {
		if c.Threshold > 0 && c.Passed && (nearest.Threshold == 0 || c.margin() < nearest.margin()) {
			nearest = c
		}
	}
	return nearest, nearest.Threshold > 0
}

// An Explanation says what a rule makes of an event, and why.
type Explanation struct {
	// Rule is the rule's name, Key the key whose memory it judged by.
	Rule string `json:"rule"`
	Key  string `json:"key"`
	// Looked reports that the rule looks at events of this kind at all. If not,
	// its only check says which ones it does look at.
	Looked bool `json:"looked"`
	// Findings are what the rule reports. A revision above 0 says that the
	// finding stands already.
	Findings []Finding `json:"findings,omitempty"`
	// Checks are the conditions that the rule looked at, in its order. If
	// there is no finding, the last that was not passed is why.
	Checks []Check `json:"checks"`
}

// Missed returns the condition that stood in the way; false if there is a
// finding.
func (x *Explanation) Missed() (Check, bool) {
	if len(x.Findings) > 0 {
		return Check{}, false
	}
	for i := len(x.Checks) - 1; i >= 0; i-- {
		if !x.Checks[i].Passed {
			return x.Checks[i], true
		}
	}
	return Check{Condition: "the rule has something to report"}, true
}

// String says it in lines: the outcome, then the conditions.
func (x *Explanation) String() string {
	var b strings.Builder
	if c, missed := x.Missed(); missed {
		fmt.Fprintf(&b, "%s: nothing, because of: %s", x.Rule, c)
	} else {
		f := &x.Findings[0]
		fmt.Fprintf(&b, "%s: %s, %s", x.Rule, f.Severity, f.Title)
	}
	for _, c := range x.Checks {
		mark := "passed"
		if !c.Passed {
			mark = "failed"
		}
		fmt.Fprintf(&b, "\n  %s  %s", mark, c)
	}
	return b.String()
}
