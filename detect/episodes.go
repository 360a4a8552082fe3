package detect

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/event"
)

// episodes remembers, in a key's record, which findings stand: for each rule
// and subject the last two episodes. An episode begins with the earliest
// report that no earlier episode covers, and covers the rule's quiet interval
// from there. Two are enough to place reports that come out of order, and the
// result is the same in any order within the allowed lateness.
type episodes struct {
	entries []entry // ascending by rule and subject
}

const (
	maxEntries = 128
	// maxSubjects is the number of subjects for which a rule reports findings
	// about one key within its quiet interval. Whatever comes on top becomes
	// one finding about "many": a flood of values is not a flood of findings.
	maxSubjects  = 20
	manySubjects = "many"
)

type entry struct {
	rule          uint32
	subject       uint64
	current, last episode
}

// An episode is one finding's span, in Unix milliseconds; a count of 0 means
// none.
type episode struct {
	anchor int64 // the earliest report
	named  int64 // the report that gave the finding its id
	last   int64 // the latest report
	count  int64
	// severity is the highest reported.
	severity Severity
}

func (ep *episode) covers(t int64, quiet time.Duration) bool {
	return ep.count > 0 && t >= ep.anchor && t-ep.anchor < quiet.Milliseconds()
}

// add counts a report of the episode.
func (ep *episode) add(at time.Time) {
	t := at.UnixMilli()
	ep.anchor, ep.last = min(ep.anchor, t), max(ep.last, t)
	ep.count = min(ep.count+1, math.MaxInt32)
}

// of returns the episode that a report belongs to, valid until the next call, to
// add the report to. The subject is given by its hash; overflow says that it is
// one of manySubjects instead.
func (c *episodes) of(rule uint32, subject uint64, at time.Time, quiet time.Duration) (overflow bool, ep *episode) {
	t := at.UnixMilli()
	i, found := c.find(rule, subject)
	if !found && c.open(rule, t, quiet) >= maxSubjects {
		overflow, subject = true, baseline.Hash(manySubjects)
		i, found = c.find(rule, subject)
	}
	if !found {
		if len(c.entries) == maxEntries {
			c.evict()
			i, _ = c.find(rule, subject)
		}
		c.entries = slices.Insert(c.entries, i, entry{rule: rule, subject: subject})
	}
	e := &c.entries[i]
	into := &e.current
	switch {
	case e.last.covers(t, quiet):
		into = &e.last
	case e.current.count == 0 || e.current.covers(t, quiet):
	case t < e.current.anchor && e.current.anchor-t < quiet.Milliseconds():
		// An earlier report of the same episode, come late.
	case t < e.current.anchor:
		e.last = episode{}
		into = &e.last
	default:
		e.last, e.current = e.current, episode{}
	}
	if into.count == 0 {
		*into = episode{anchor: t, named: t, last: t}
	}
	return overflow, into
}

// open counts the rule's subjects with an episode that covers t.
func (c *episodes) open(rule uint32, t int64, quiet time.Duration) int {
	n := 0
	for i := range c.entries {
		e := &c.entries[i]
		if e.rule == rule && (e.current.covers(t, quiet) || e.last.covers(t, quiet)) {
			n++
		}
	}
	return n
}

// evict drops the entry reported about least recently.
func (c *episodes) evict() {
	oldest := 0
	for i := range c.entries {
		if c.entries[i].current.last < c.entries[oldest].current.last {
			oldest = i
		}
	}
	c.entries = slices.Delete(c.entries, oldest, oldest+1)
}

func (c *episodes) find(rule uint32, subject uint64) (int, bool) {
	return slices.BinarySearchFunc(c.entries, 0, func(e entry, _ int) int {
		switch {
		case e.rule != rule && e.rule < rule || e.rule == rule && e.subject < subject:
			return -1
		case e.rule == rule && e.subject == subject:
			return 0
		}
		return 1
	})
}

// newEpisodesFeature returns the feature that keeps episodes in the record. It
// folds nothing: the passes write to it.
func newEpisodesFeature() *baseline.Of[struct{}] {
	return baseline.Custom("detect episodes/1", 2+maxEntries*maxEntryBytes,
		func() *episodes { return &episodes{} },
		func(*episodes, *baseline.View) struct{} { return struct{}{} }).On("detect:Episode")
}

const maxEntryBytes = 4 + 8 + 2*(4*binary.MaxVarintLen64+1)

func (c *episodes) Fold(*event.Event, time.Time) {}

func (c *episodes) AppendBinary(b []byte) ([]byte, error) {
	if len(c.entries) == 0 {
		return b, nil
	}
	b = binary.AppendUvarint(b, uint64(len(c.entries)))
	for i := range c.entries {
		e := &c.entries[i]
		b = binary.BigEndian.AppendUint32(b, e.rule)
		b = binary.BigEndian.AppendUint64(b, e.subject)
		b = e.current.appendTo(b)
		b = e.last.appendTo(b)
	}
	return b, nil
}

func (ep *episode) appendTo(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(ep.count))
	if ep.count == 0 {
		return b
	}
	b = binary.AppendUvarint(b, uint64(ep.anchor))
	b = binary.AppendUvarint(b, uint64(ep.named-ep.anchor))
	b = binary.AppendUvarint(b, uint64(ep.last-ep.anchor))
	return append(b, byte(ep.severity))
}

var errEpisodes = errors.New("malformed episodes")

func (c *episodes) UnmarshalBinary(data []byte) error {
	r := reader{data}
	n := r.uvarint(maxEntries)
	if n > uint64(len(r.b)) {
		return errEpisodes
	}
	entries := make([]entry, n)
	for i := range entries {
		e := &entries[i]
		if len(r.b) < 12 {
			return errEpisodes
		}
		e.rule, e.subject = binary.BigEndian.Uint32(r.b), binary.BigEndian.Uint64(r.b[4:])
		r.b = r.b[12:]
		e.current, e.last = r.episode(), r.episode()
		if i > 0 && (e.rule < entries[i-1].rule || e.rule == entries[i-1].rule && e.subject <= entries[i-1].subject) {
			return errEpisodes
		}
	}
	if r.b == nil || len(r.b) > 0 {
		return errEpisodes
	}
	c.entries = entries
	return nil
}

// A reader takes numbers off the front of b, which is nil after a fault.
type reader struct{ b []byte }

func (r *reader) uvarint(max uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > max {
		r.b = nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) episode() (ep episode) {
	ep.count = int64(r.uvarint(math.MaxInt32))
	if ep.count == 0 {
		return episode{}
	}
	const maxMillis = 1 << 43 // beyond the year 2200
	ep.anchor = int64(r.uvarint(maxMillis))
	ep.named = ep.anchor + int64(r.uvarint(maxMillis))
	ep.last = ep.anchor + int64(r.uvarint(maxMillis))
	ep.severity = Severity(r.uvarint(uint64(Critical)))
	return ep
}
