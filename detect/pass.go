package detect

import (
	"fmt"
	"slices"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/event"
)

// A Pass is one event as a detector sees it: Event, and through the features
// that the detector declares, what is remembered about the event's key. It is
// valid until Detect returns.
type Pass struct {
	baseline.View

	key      string
	profile  *baseline.Profile
	scratch  *baseline.Scratch
	group    *group
	rule     *rule
	emit     func(Finding) // of a finding that holds on to the event's memory
	suppress []Suppression
	checks   []Check // that the rule has made so far
	firsts   bool    // of a finding's revisions, only those that raise it are emitted
	about    event.Principal
}

// maxEventIDs bounds a finding's list of event ids.
const maxEventIDs = 64

// Report reports a finding at the rule's severity. The subject says what the
// finding is about besides the key, such as an address, a bucket or a
// function; "" is the key itself. A finding stands for all reports about the
// same subject during the rule's quiet interval, at the highest severity among
// them: less severe ones that follow are only counted.
func (p *Pass) Report(subject, title string, evidence ...Evidence) {
	p.ReportAt(p.rule.info.Severity, subject, title, evidence...)
}

// About says that what the rule reports from here on is about another principal
// than the one that made the call, such as the owner of a leaked key that AWS
// has found. Session and access key of the call are then not part of the
// finding.
func (p *Pass) About(principal event.Principal) { p.about = principal }

// ReportAt is Report with another severity, for a rule whose evidence differs
// in weight. [Silent] reports nothing.
func (p *Pass) ReportAt(severity Severity, subject, title string, evidence ...Evidence) {
	p.ReportWith(severity, subject, func() (string, []Evidence) { return title, evidence })
}

// ReportWith is ReportAt for a rule that reports often: title and evidence are
// asked for only if the report is told to somebody, not if it is only counted. A
// report whose title and evidence panic was not made: the next one is told.
func (p *Pass) ReportWith(severity Severity, subject string, tell func() (title string, evidence []Evidence)) {
	learned := p.rule.learned(p)
	if severity == Silent {
		p.Require("the evidence weighs enough to be told", false)
		return
	}
	if !learned.Mature {
		if severity = min(severity, p.rule.info.Cold); severity == Silent {
			p.Require(p.rule.patience(), false)
			return
		}
	}
	e := p.Event
	overflow, ep := p.episodes().of(p.rule.hash, p.scratch.Hash(subject), e.Time, p.rule.quiet)
	if overflow {
		subject = manySubjects
	}
	revision := int(ep.count)
	if severity < ep.severity { // counted; what stands already says more
		ep.add(e.Time)
		p.Require("it is as grave as the finding about it that stands already", false)
		return
	}
	raised := revision > 0 && severity > ep.severity
	if p.firsts && revision > 0 && !raised {
		ep.add(e.Time)
		return
	}
	title, evidence := tell() // which may panic, as what features are made of may: so it does not count yet
	unusual := p.unusual()
	ep.add(e.Time)
	ep.severity = severity
	f := Finding{
		ID:            findingID(p.rule.info.Name, p.key, subject, ep.named),
		Revision:      revision,
		Raised:        raised,
		Rule:          p.rule.info.Name,
		Technique:     p.rule.info.Technique,
		Tactic:        p.rule.info.Tactic,
		Severity:      severity,
		Title:         title,
		Scope:         p.rule.info.scope().Name,
		Key:           p.key,
		Principal:     e.Principal.Key,
		PrincipalName: e.Principal.Name,
		Session:       e.Principal.Session,
		AccessKeyID:   e.Identity.AccessKeyID,
		Subject:       subject,
		AccountID:     e.AccountID,
		Region:        e.Region,
		SourceAddress: e.SourceAddress,
		UserAgent:     e.UserAgent,
		Time:          time.UnixMilli(ep.named).UTC(),
		First:         time.UnixMilli(ep.anchor).UTC(),
		Last:          time.UnixMilli(ep.last).UTC(),
		Evidence:      cloneEvidence(evidence),
		Learned:       learned,
		Unusual:       unusual,
		Checks:        p.rule.passed(p.checks),
		AboutSource:   p.rule.info.AboutSource,
		Benign:        p.rule.info.Benign,
		Respond:       p.rule.info.Respond,
		Mitigations:   p.rule.info.Mitigations,
	}
	ids := 1
	for _, ev := range evidence {
		ids += len(ev.EventIDs)
	}
	f.EventIDs = make([]string, 0, min(ids, maxEventIDs))
	for _, ev := range evidence {
		for _, id := range ev.EventIDs {
			f.addEventID(id)
		}
	}
	f.addEventID(e.ID)
	if p.about.Key != "" {
		f.Principal, f.PrincipalName, f.Session, f.AccessKeyID = p.about.Key, p.about.Name, p.about.Session, ""
	}
	for i := range p.suppress {
		if s := &p.suppress[i]; s.matches(&f, e.Time) {
			f.Suppressed = s.Reason
			break
		}
	}
	p.emit(f)
}

// episodes returns what is remembered of the findings about the key.
func (p *Pass) episodes() *episodes { return p.profile.Cell(p.group.episodes).(*episodes) }

// addEventID names one more event, if there is room.
func (f *Finding) addEventID(id string) {
	if len(f.EventIDs) < maxEventIDs && !slices.Contains(f.EventIDs, id) {
		f.EventIDs = append(f.EventIDs, id)
	}
}

// passed returns a rule's conditions, which the event meets, and its checks.
func (r *rule) passed(checks []Check) []Check {
	all := slices.Grow([]Check(nil), len(r.info.Conditions)+len(checks))
	for _, c := range r.info.Conditions {
		all = append(all, Check{Condition: c.Text, Passed: true, Guard: c.Guard})
	}
	return append(all, checks...)
}

// unusual lists what a verdict about a finding can be about.
func (p *Pass) unusual() []baseline.Unusual {
	list := baseline.UnusualIn(p, p.rule.info.Uses)
	return list[:min(len(list), maxEventIDs)]
}

// patience is the condition under which the rule speaks in full.
func (r *rule) patience() string {
	return fmt.Sprintf("%g days of learning, %d of them active, before which the rule is silent", r.info.Learn.Hours()/24, r.learnDays)
}

// learned returns how much the least experienced of the rule's features knows.
func (r *rule) learned(p *Pass) Learned {
	l := Learned{Mature: true}
	if r.info.Learn == 0 {
		return l
	}
	for i, f := range r.ages {
		age := f.Age(p)
		if i == 0 || age.Since.After(l.Since) {
			l.Since, l.Days, l.Events = age.Since, age.Days, age.Events
		}
		if age.For < r.info.Learn || age.Days < r.learnDays {
			l.Mature = false
		}
	}
	return l
}
