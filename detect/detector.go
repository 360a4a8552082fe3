package detect

import (
	"runtime/debug"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/event"
)

// A Detector is a pure rule. Its contract:
//
//  1. Info returns the same value every time. It is called when a [Set] is made.
//  2. Detect is called once for each event that Info asks for, after all
//     features have folded it. Events of one key come one at a time; events of
//     different keys may come at once from many goroutines.
//  3. Detect keeps no state of its own, does no I/O, reads no clock: equal
//     passes give equal reports.
//  4. Detect does not modify the event, and keeps neither the event nor the
//     pass beyond its return.
//  5. Detect asks only features that Info declares.
//
// detecttest.TestDetector checks every line.
type Detector interface {
	Info() Info
	Detect(*Pass)
}

// New returns a detector with the given info and rule.
func New(info Info, rule func(*Pass)) Detector { return &detector{info, rule} }

type detector struct {
	info Info
	rule func(*Pass)
}

func (d *detector) Info() Info     { return d.info }
func (d *detector) Detect(p *Pass) { d.rule(p) }

// Info describes a detector: what it needs, and what its findings mean.
type Info struct {
	// Name identifies the rule, in lower case with hyphens: "userdata-bulk".
	Name string
	// Doc says in its first sentence what the rule finds, then how and why.
	Doc string
	// Technique and Tactic are what the rule's findings are evidence of.
	Technique Technique
	Tactic    Tactic
	// Severity is that of the rule's findings, unless it reports another.
	Severity Severity

	// Events lists the patterns of the events that the rule looks at, as in
	// [event.NewIndex]: "s3:GetObject", "iam:*". None means every event.
	Events []string
	// Conditions lists what an event must meet besides, in the order in which
	// findings show it: before what the rule itself looks at. They cost little,
	// so a rule about every event should have one.
	Conditions []*Condition
	// Uses lists the features that the rule asks.
	Uses []baseline.Feature
	// Scope says what the rule is about. Nil means [ByPrincipal].
	Scope *Scope
	// Needs is the logging that the rule looks at. Without any of it the rule is
	// blind, without some of it half blind.
	Needs Telemetry
	// Hook names what the rule's configuration lacks and the rule cannot speak
	// without, such as "Config.Locate"; "" if nothing.
	Hook string
	// Threshold is the amount that findings turn on, for rules that count.
	Threshold Threshold
	// AboutSource says that findings are about the source address itself: whatever
	// else comes from there in those hours belongs to the same story.
	AboutSource bool

	// Learn is how long the features must have been learning about a key
	// before the rule's findings count in full, and LearnDays on how many days
	// the key must have been active meanwhile. Learn 0 means that the rule
	// needs no learning; otherwise LearnDays defaults to 3.
	Learn     time.Duration
	LearnDays int
	// Cold is the severity of findings made before that. The zero value,
	// [Silent], means that the rule reports nothing while it learns.
	Cold Severity
	// Quiet is how long a finding stands for further ones about the same
	// subject. The default is 24 hours.
	Quiet time.Duration

	// Benign lists harmless causes, for whoever judges a finding.
	Benign []string
	// Respond lists what to do about a finding, first things first.
	Respond []string
	// Mitigations lists what prevents the technique.
	Mitigations []string
}

// A Threshold is an amount that has to be reached for a finding. The zero value
// is none.
type Threshold struct {
	// Of says what is counted, with its window: "different instances within 24
	// hours".
	Of string `json:"of"`
	// Value is what has to be reached.
	Value int `json:"value"`
	// Min and Max bound what Value may be set to: below Min the rule would
	// mean nothing, above Max its features cannot count.
	Min int `json:"min"`
	Max int `json:"max"`
}

func (i *Info) scope() *Scope {
	if i.Scope == nil {
		return ByPrincipal
	}
	return i.Scope
}

// A Scope says what a detector is about: which key an event is remembered
// under. Scopes are compared by pointer, so declare each once.
type Scope struct {
	// Name identifies the scope in stored records: lower case, no spaces.
	Name string
	// Key returns the key of an event, or "" if the event does not concern the
	// scope. It is called from many goroutines, must not modify or keep the
	// event, and must depend on nothing but the event.
	Key func(*event.Event) string
}

// Of returns the key of an event, as Key does. If Key panics, that is returned as
// a [*PanicError].
func (s *Scope) Of(e *event.Event) (key string, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = s.panicked(e, v)
		}
	}()
	return s.Key(e), nil
}

// panicked is called where Key has panicked.
func (s *Scope) panicked(e *event.Event, v any) *PanicError {
	return &PanicError{Scope: s.Name, EventID: strings.Clone(e.ID), Value: v, Stack: debug.Stack()}
}

// The scopes that detectors usually need.
var (
	// ByPrincipal keys an event by who made the call. Calls of AWS services on
	// their own behalf and anonymous requests have no key, nor have records
	// that do not tell of one call or repeat one told elsewhere (insights,
	// network activity).
	ByPrincipal = &Scope{Name: "principal", Key: func(e *event.Event) string {
		switch e.Category {
		case event.Insight, event.NetworkActivity:
			return ""
		}
		switch e.Principal.Kind {
		case event.Service, event.Anonymous:
			return ""
		}
		return e.Principal.Key
	}}
	// ByBucket keys S3 requests by the bucket.
	ByBucket = &Scope{Name: "bucket", Key: func(e *event.Event) string {
		if !e.Is("s3") {
			return ""
		}
		return e.Bucket()
	}}
	// ByAccount keys events by the account whose log they are in.
	ByAccount = &Scope{Name: "account", Key: func(e *event.Event) string { return e.AccountID }}
)
