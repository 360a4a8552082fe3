package coverage

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/detect"
)

// A Report says what a [Coverage] has seen.
type Report struct {
	// Logging lists every kind of logging that a rule needs, seen or not.
	Logging []Logging `json:"logging"`
	// Rules lists the rules, by technique and name.
	Rules []Rule `json:"rules"`
	// Techniques sums the rules up.
	Techniques []Technique `json:"techniques"`
	// Buckets lists the buckets seen, by name: those whose objects are logged
	// and those known from management events only.
	Buckets []Bucket `json:"buckets,omitempty"`
	// Regions and Accounts count events.
	Regions  []Count `json:"regions,omitempty"`
	Accounts []Count `json:"accounts,omitempty"`
	// Delivery is the time from an event to its delivery, Answer that from the
	// event that made a finding to the delivery with which it was made.
	// Detection itself takes no time to speak of. Both are zero if nobody said
	// when events were delivered.
	Delivery Delay `json:"delivery,omitzero"`
	Answer   Delay `json:"answer,omitzero"`
	// Advice lists what to switch on or set, what opens most eyes first.
	Advice []string `json:"advice,omitempty"`
}

// Logging is one kind of logging.
type Logging struct {
	Kind   string    `json:"kind"`
	Seen   bool      `json:"seen"`
	Events int64     `json:"events"`
	First  time.Time `json:"first,omitzero"`
	Last   time.Time `json:"last,omitzero"`

	telemetry detect.Telemetry
}

// State says whether a rule, or a technique, can be seen.
type State string

// The states, best first.
const (
	Ready        State = "ready"        // all that the rule looks at is logged
	Partly       State = "partly blind" // some of it is not
	Unconfigured State = "unconfigured" // logged, but the rule lacks its configuration
	Blind        State = "blind"        // none of it is logged
)

// A Rule is what one rule can see.
type Rule struct {
	Name      string           `json:"name"`
	Technique detect.Technique `json:"technique"`
	Tactic    detect.Tactic    `json:"tactic"`
	State     State            `json:"state"`
	// Missing says what the rule lacks: logging or configuration.
	Missing string `json:"missing,omitempty"`
	// Events counts the events that the rule looked at. A rule may be ready and
	// have had none: nobody made such a call.
	Events int64 `json:"events"`
}

// A Technique is what all rules of one technique can see.
type Technique struct {
	ID    detect.Technique `json:"id"`
	Name  string           `json:"name"`
	State State            `json:"state"` // partly blind unless its rules agree
	Ready int              `json:"ready"` // rules
	Rules int              `json:"rules"`
}

// A Bucket is what was seen of one bucket.
type Bucket struct {
	Name       string `json:"name"`
	DataEvents int64  `json:"data_events,omitempty"`
	AccessLog  int64  `json:"access_log,omitempty"`
	Logged     bool   `json:"logged"` // at least one of the two
}

// A Count is a number of events.
type Count struct {
	Name   string `json:"name"`
	Events int64  `json:"events"`
}

// advice says how to switch a kind of logging on.
var advice = map[detect.Telemetry]string{
	detect.ManagementReads: "Log read-only management events: a trail for all regions with read and write management events; " +
		"an EventBridge rule needs the state ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS.",
	detect.ManagementWrites: "Log management events that write: a trail for all regions with read and write management events.",
	detect.S3DataEvents: "Log S3 objects: data events of type AWS::S3::Object in the trail's event selectors, at least for buckets that matter, " +
		"or server access logs of these buckets.",
	detect.OtherDataEvents: "Log data events of the other services that rules look at, in the trail's event selectors.",
	detect.NetworkEvents:   "Log network activity events of VPC endpoints, in the trail's event selectors.",
}

// Report sums up what was seen so far.
func (c *Coverage) Report() *Report {
	r := &Report{Delivery: c.delays.delay(), Answer: c.answers.delay(), Regions: c.regions.list(), Accounts: c.accounts.list()}
	var needed, seen detect.Telemetry
	for i := range c.infos {
		needed |= c.infos[i].Needs
	}
	for _, kind := range needed.Kinds() {
		l := Logging{Kind: kind.String(), telemetry: kind}
		if s := c.kinds[kind]; s != nil {
			seen |= kind
			l.Seen, l.Events, l.First, l.Last = true, s.events, s.first, s.last
		}
		r.Logging = append(r.Logging, l)
	}
	for i := range c.infos {
		r.Rules = append(r.Rules, c.rule(i, seen))
	}
	slices.SortFunc(r.Rules, func(a, b Rule) int {
		return cmp.Or(cmp.Compare(a.Technique.Parent(), b.Technique.Parent()), cmp.Compare(a.Name, b.Name))
	})
	r.Techniques = techniques(r.Rules)
	for _, name := range slices.Sorted(maps.Keys(c.buckets)) {
		b := c.buckets[name]
		r.Buckets = append(r.Buckets, Bucket{Name: name, DataEvents: b.data, AccessLog: b.access, Logged: b.data+b.access > 0})
	}
	r.Advice = c.advise(r)
	return r
}

func (c *Coverage) rule(i int, seen detect.Telemetry) Rule {
	info := &c.infos[i]
	rule := Rule{Name: info.Name, Technique: info.Technique, Tactic: info.Tactic, State: Ready, Events: c.looked[i]}
	missing := info.Needs &^ seen
	switch {
	case missing != 0 && missing == info.Needs:
		rule.State, rule.Missing = Blind, missing.String()
	case info.Hook != "":
		rule.State, rule.Missing = Unconfigured, info.Hook
	case missing != 0:
		rule.State, rule.Missing = Partly, missing.String()
	}
	return rule
}

// summary is the state of several rules together: that of all of them, or
// partly blind. Rules that only lack configuration say nothing about logging, so
// they count if there are no others.
func summary(rules []Rule) State {
	var state State
	for _, rule := range rules {
		switch {
		case rule.State == Unconfigured:
		case state == "":
			state = rule.State
		case state != rule.State:
			return Partly
		}
	}
	return cmp.Or(state, Unconfigured)
}

func techniques(rules []Rule) []Technique {
	var list []Technique
	for of := range chunks(rules) {
		id := of[0].Technique.Parent()
		t := Technique{ID: id, Name: id.Name(), State: summary(of), Rules: len(of)}
		for _, rule := range of {
			if rule.State == Ready {
				t.Ready++
			}
		}
		list = append(list, t)
	}
	return list
}

// chunks parts rules, which are sorted by technique, by their technique.
func chunks(rules []Rule) iter.Seq[[]Rule] {
	return func(yield func([]Rule) bool) {
		for len(rules) > 0 {
			n := 1
			for n < len(rules) && rules[n].Technique.Parent() == rules[0].Technique.Parent() {
				n++
			}
			if !yield(rules[:n]) {
				return
			}
			rules = rules[n:]
		}
	}
}

// advise says what to do about what is missing.
func (c *Coverage) advise(r *Report) []string {
	type item struct {
		opens int // rules
		text  string
	}
	var items []item
	for _, l := range r.Logging {
		if l.Seen {
			continue
		}
		opens := 0
		for i := range c.infos {
			if c.infos[i].Needs&l.telemetry != 0 {
				opens++
			}
		}
		items = append(items, item{opens, fmt.Sprintf("%s %s.", advice[l.telemetry], rulesWait(opens))})
	}
	hooks := make(map[string]int)
	for _, rule := range r.Rules {
		if rule.State == Unconfigured {
			hooks[rule.Missing]++
		}
	}
	for hook, n := range hooks {
		items = append(items, item{n, fmt.Sprintf("Set %s. %s.", hook, rulesWait(n))})
	}
	slices.SortFunc(items, func(a, b item) int { return cmp.Or(cmp.Compare(b.opens, a.opens), cmp.Compare(a.text, b.text)) })
	var list []string
	for _, it := range items {
		list = append(list, it.text)
	}
	if c.bridged.events > 0 && c.bridgedR == 0 {
		list = append([]string{fmt.Sprintf("%d events came through EventBridge, and no read-only call among them: the rule's state is not "+
			"ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS, so discovery and reads of secrets cannot be seen that way.", c.bridged.events)}, list...)
	}
	if dark := r.unlogged(); len(dark) > 0 && c.kinds[detect.S3DataEvents] != nil {
		list = append(list, fmt.Sprintf("Objects of %d buckets that were seen are not logged: %s.", len(dark), some(dark)))
	}
	return list
}

func rulesWait(n int) string {
	if n == 1 {
		return "One rule waits for it"
	}
	return fmt.Sprintf("%d rules wait for it", n)
}

// unlogged returns the names of buckets whose objects are not logged.
func (r *Report) unlogged() []string {
	var names []string
	for _, b := range r.Buckets {
		if !b.Logged {
			names = append(names, b.Name)
		}
	}
	return names
}

// some names the first of many.
func some(names []string) string {
	const most = 5
	s := strings.Join(names[:min(most, len(names))], ", ")
	if more := len(names) - most; more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}

// list lists the counts, the largest first.
func (c counts) list() []Count {
	var list []Count
	for name, n := range c {
		list = append(list, Count{name, *n})
	}
	slices.SortFunc(list, func(a, b Count) int { return cmp.Or(cmp.Compare(b.Events, a.Events), cmp.Compare(a.Name, b.Name)) })
	return list
}

func appendSeconds(b []byte, d time.Duration) []byte {
	return strconv.AppendInt(b, int64(d.Round(time.Second)/time.Second), 10)
}
