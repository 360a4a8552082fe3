// Package coverage tells what an account's logs let the rules see. A rule that
// finds nothing may have had nothing to look at: reads that EventBridge does
// not deliver, objects of buckets whose data events nobody switched on. From
// the events themselves, a [Coverage] tells which logging there is, so which
// rules can fire, which are blind and what to switch on, and how late the
// answers come.
package coverage

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

const (
	// maxNames bounds how many buckets, regions and accounts are told apart.
	maxNames = 10_000
	// maxName bounds their names, in bytes. No bucket's is longer.
	maxName = 255
)

// A Coverage watches events go by. It remembers a few numbers for each bucket,
// region and account, at most 10,000 of each, and nothing of single events. One
// goroutine at a time may use it; several are put together by [Coverage.Merge].
type Coverage struct {
	infos    []detect.Info
	index    *event.Index
	looked   []int64 // by rule: events that it looks at
	kinds    map[detect.Telemetry]*span
	bridged  span // that came through EventBridge
	bridgedR int64
	buckets  map[string]*bucket
	regions  counts
	accounts counts
	delays   histogram // from event to delivery
	answers  histogram // from event to finding
}

// A span counts events and the time they cover.
type span struct {
	events      int64
	first, last time.Time
}

func (s *span) add(t time.Time) { s.merge(span{1, t, t}) }

func (s *span) merge(o span) {
	if o.events == 0 {
		return
	}
	if s.events == 0 || o.first.Before(s.first) {
		s.first = o.first
	}
	if o.last.After(s.last) {
		s.last = o.last
	}
	s.events += o.events
}

// A bucket is what was seen of one bucket.
type bucket struct {
	data   int64 // CloudTrail data events
	access int64 // access log lines
	named  int64 // management events about it
}

// New returns a Coverage for the rules with the given infos, such as those of
// [detect.Set.Infos]. The error is that of [event.NewIndex].
func New(infos []detect.Info) (*Coverage, error) {
	patterns := make([][]string, len(infos))
	for i := range infos {
		patterns[i] = infos[i].Events
	}
	index, err := event.NewIndex(patterns...)
	if err != nil {
		return nil, err
	}
	return (&Coverage{infos: infos, index: index}).Empty(), nil
}

// Empty returns a Coverage for the same rules that has seen nothing yet.
func (c *Coverage) Empty() *Coverage {
	return &Coverage{
		infos: c.infos, index: c.index, looked: make([]int64, len(c.infos)), kinds: make(map[detect.Telemetry]*span),
		buckets: make(map[string]*bucket), regions: make(counts), accounts: make(counts),
	}
}

// Observe takes an event in. delivered is when it could be read at the
// earliest: when its file was written, or its message came; the zero time if
// that is not known. The event is not kept.
func (c *Coverage) Observe(e *event.Event, delivered time.Time) {
	kind := kindOf(e)
	if kind == 0 {
		return
	}
	s := c.kinds[kind]
	if s == nil {
		s = new(span)
		c.kinds[kind] = s
	}
	s.add(e.Time)
	if e.EventBridge {
		c.bridged.add(e.Time)
		if kind == detect.ManagementReads {
			c.bridgedR++
		}
	}
	for _, i := range c.index.Lookup(e) {
		if c.infos[i].Needs&kind != 0 {
			c.looked[i]++
		}
	}
	c.regions.add(e.Region)
	c.accounts.add(e.AccountID)
	if e.Service() == "s3" {
		c.bucket(e, kind)
	}
	if !delivered.IsZero() {
		c.delays.add(delivered.Sub(e.Time))
	}
}

// Found takes in that a finding was made of events delivered up to a time: how
// long after the event the answer came. Revisions do not count.
func (c *Coverage) Found(f *detect.Finding, delivered time.Time) {
	if f.Revision == 0 && !delivered.IsZero() {
		c.answers.add(delivered.Sub(f.Time))
	}
}

// kindOf returns the kind of logging that an event comes from; 0 for an event
// that no rule looks at.
func kindOf(e *event.Event) detect.Telemetry {
	switch e.Category {
	case event.Management:
		if e.ReadOnly {
			return detect.ManagementReads
		}
		return detect.ManagementWrites
	case event.Data:
		if e.Service() == "s3" {
			return detect.S3DataEvents
		}
		return detect.OtherDataEvents
	case event.AccessLog:
		return detect.S3DataEvents
	case event.NetworkActivity:
		return detect.NetworkEvents
	}
	return 0
}

func (c *Coverage) bucket(e *event.Event, kind detect.Telemetry) {
	name := e.Bucket()
	if name == "" || len(name) > maxName {
		return
	}
	b := c.buckets[name]
	if b == nil {
		// A bucket that does not exist can be named in a request that fails.
		if len(c.buckets) == maxNames || kind != detect.S3DataEvents && !e.Succeeded() {
			return
		}
		b = new(bucket)
		c.buckets[strings.Clone(name)] = b
	}
	switch {
	case e.Category == event.AccessLog:
		b.access++
	case kind == detect.S3DataEvents:
		b.data++
	default:
		b.named++
	}
}

// counts are numbers of events by name. They are held by pointer because an
// assignment to a map's entry replaces its key, too, and with it the copy of the
// name by the event's memory.
type counts map[string]*int64

func (c counts) add(name string) {
	if n := c[name]; n != nil {
		*n++
	} else if name != "" && len(name) <= maxName && len(c) < maxNames {
		c[strings.Clone(name)] = new(int64(1))
	}
}

func (c counts) merge(o counts) {
	for _, name := range slices.Sorted(maps.Keys(o)) {
		if n := c[name]; n != nil {
			*n += *o[name]
		} else if len(c) < maxNames {
			c[name] = new(*o[name])
		}
	}
}

// Merge adds what another Coverage, for the same rules, has seen. The other
// one stays as it is.
func (c *Coverage) Merge(o *Coverage) {
	for i := range c.looked {
		c.looked[i] += o.looked[i]
	}
	for kind, s := range o.kinds {
		if c.kinds[kind] == nil {
			c.kinds[kind] = new(span)
		}
		c.kinds[kind].merge(*s)
	}
	c.bridged.merge(o.bridged)
	c.bridgedR += o.bridgedR
	for _, name := range slices.Sorted(maps.Keys(o.buckets)) {
		b := c.buckets[name]
		if b == nil {
			if len(c.buckets) == maxNames {
				continue
			}
			b = new(bucket)
			c.buckets[name] = b
		}
		b.data += o.buckets[name].data
		b.access += o.buckets[name].access
		b.named += o.buckets[name].named
	}
	c.regions.merge(o.regions)
	c.accounts.merge(o.accounts)
	c.delays.merge(&o.delays)
	c.answers.merge(&o.answers)
}
