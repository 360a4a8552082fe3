package techniques

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/event"
)

// A tie is a value that an event ties to a group, such as an access key to the
// provider it is used through. A tie without group or value is none. label is
// what a finding shows of it. Group and label are kept, so they must not be the
// event's memory.
type tie struct{ group, value, label string }

// ties remembers which values were tied to which groups lately: the groups and,
// of each, the values that were seen last. So a group with many values does not
// displace one with few.
func ties(name string, of func(*event.Event) tie, groups, values int, window time.Duration) *baseline.Of[recentTies] {
	return baseline.Custom(
		fmt.Sprintf("ties/1 %s groups=%d values=%d window=%v", name, groups, values, window),
		1+groups*(8+1+maxTieLabel+1+values*maxTieBytes),
		func() *tiesCell { return &tiesCell{of: of, maxGroups: groups, maxValues: values} },
		func(c *tiesCell, v *baseline.View) recentTies {
			at := v.Event.Time
			return recentTies{cell: c, own: of(v.Event), since: at.Add(-window).UnixMilli()}
		},
	).Where(func(e *event.Event) bool { return !of(e).none() })
}

// recentTies are the ties within a window before an event, and of those that
// came after it already.
type recentTies struct {
	cell  *tiesCell
	own   tie
	since int64
}

// A pastTie is a tie as a finding shows it, with the latest event that made it.
type pastTie struct {
	group, label, eventID string
	millis                int64
}

// together returns the ties of the event's group, oldest first.
func (r recentTies) together() []pastTie {
	return r.list(func(g *tieGroup, _ *tieValue) bool { return g.hash == baseline.Hash(r.own.group) })
}

// elsewhere returns the ties of the event's value to other groups under other
// labels, oldest first.
func (r recentTies) elsewhere() []pastTie {
	group, value, label := baseline.Hash(r.own.group), baseline.Hash(r.own.value), tieLabel(r.own.label)
	return r.list(func(g *tieGroup, v *tieValue) bool {
		return v.hash == value && g.hash != group && v.label != label
	})
}

func (r recentTies) list(is func(*tieGroup, *tieValue) bool) []pastTie {
	if r.own.none() {
		return nil
	}
	var list []pastTie
	for i := range r.cell.groups {
		g := &r.cell.groups[i]
		for j := range g.values {
			if v := &g.values[j]; v.millis >= r.since && is(g, v) {
				list = append(list, pastTie{g.label, v.label, v.id.String(), v.millis})
			}
		}
	}
	slices.SortFunc(list, func(a, b pastTie) int {
		return cmp.Or(cmp.Compare(a.millis, b.millis), cmp.Compare(a.eventID, b.eventID))
	})
	return list
}

// eventsOf returns the ids of ties' events, as far as they are kept.
func eventsOf(list []pastTie) []string {
	var ids []string
	for _, t := range list {
		if t.eventID != "" {
			ids = append(ids, t.eventID)
		}
	}
	return ids
}

// labelsOf returns the labels of ties.
func labelsOf(list []pastTie) []string {
	var labels []string
	for _, t := range list {
		labels = append(labels, t.label)
	}
	return labels
}

func (t tie) none() bool { return t.group == "" || t.value == "" }

// Encoded, a value is 8 of hash, 8 of time, its label and its event.
const (
	maxTieLabel = 32
	maxTieBytes = 8 + 8 + 1 + maxTieLabel + len(tieEvent{}.text)
)

// tieLabel cuts a label to what is kept of it.
func tieLabel(s string) string {
	if len(s) <= maxTieLabel {
		return s
	}
	n := maxTieLabel
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// A tieEvent is an event's id: a UUID as text, or zeros. A copy, because an
// event's memory is not to be kept.
type tieEvent struct{ text [36]byte }

func (x *tieEvent) String() string {
	if x.text[0] == 0 {
		return ""
	}
	return string(x.text[:])
}

func newTieEvent(id string) (x tieEvent) {
	if len(id) == len(x.text) {
		copy(x.text[:], id)
	}
	return x
}

type tieValue struct {
	hash   uint64
	millis int64 // of its latest event, named by id
	label  string
	id     tieEvent
}

type tieGroup struct {
	hash   uint64
	label  string
	values []tieValue // ascending by hash, at least one
}

// last is when the group was seen last.
func (g *tieGroup) last() int64 {
	last := int64(math.MinInt64)
	for i := range g.values {
		last = max(last, g.values[i].millis)
	}
	return last
}

// oldest returns the value to give up.
func (g *tieGroup) oldest() int {
	oldest := 0
	for i := range g.values {
		if g.values[i].millis < g.values[oldest].millis { // of equals, the first in the order of hashes
			oldest = i
		}
	}
	return oldest
}

type tiesCell struct {
	of                   func(*event.Event) tie
	maxGroups, maxValues int
	groups               []tieGroup // ascending by hash
}

func (c *tiesCell) Fold(e *event.Event, _ time.Time) {
	t := c.of(e)
	if t.none() {
		return
	}
	v := tieValue{hash: baseline.Hash(t.value), millis: e.Time.UnixMilli(), label: tieLabel(t.label), id: newTieEvent(e.ID)}
	if g := c.group(baseline.Hash(t.group), t.group, v.millis); g != nil {
		g.see(v, c.maxValues)
	}
}

// group returns a group, making room for it by giving up the one seen longest
// ago; nil if an event of that time is older than all that is kept.
func (c *tiesCell) group(hash uint64, label string, millis int64) *tieGroup {
	find := func() (int, bool) {
		return slices.BinarySearchFunc(c.groups, hash, func(g tieGroup, h uint64) int { return cmp.Compare(g.hash, h) })
	}
	i, found := find()
	if found {
		return &c.groups[i]
	}
	if len(c.groups) == c.maxGroups {
		oldest := 0
		for j := range c.groups {
			if c.groups[j].last() < c.groups[oldest].last() {
				oldest = j
			}
		}
		o := &c.groups[oldest]
		if last := o.last(); millis < last || millis == last && hash < o.hash {
			return nil
		}
		c.groups = slices.Delete(c.groups, oldest, oldest+1)
		i, _ = find()
	}
	c.groups = slices.Insert(c.groups, i, tieGroup{hash: hash, label: tieLabel(label)})
	return &c.groups[i]
}

// see takes an occurrence of a value. The latest one names the value; of two at
// one instant the one with the greater id, so that their order leaves no trace.
func (g *tieGroup) see(v tieValue, most int) {
	find := func() (int, bool) {
		return slices.BinarySearchFunc(g.values, v.hash, func(w tieValue, h uint64) int { return cmp.Compare(w.hash, h) })
	}
	i, found := find()
	if found {
		w := &g.values[i]
		if v.millis > w.millis || v.millis == w.millis && slices.Compare(v.id.text[:], w.id.text[:]) > 0 {
			*w = v
		}
		return
	}
	if len(g.values) == most {
		oldest := g.oldest()
		if o := &g.values[oldest]; v.millis < o.millis || v.millis == o.millis && v.hash < o.hash {
			return
		}
		g.values = slices.Delete(g.values, oldest, oldest+1)
		i, _ = find()
	}
	g.values = slices.Insert(g.values, i, v)
}

func (c *tiesCell) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, byte(len(c.groups)))
	for i := range c.groups {
		g := &c.groups[i]
		b = binary.BigEndian.AppendUint64(b, g.hash)
		b = appendLabel(b, g.label)
		b = append(b, byte(len(g.values)))
		for j := range g.values {
			v := &g.values[j]
			b = binary.BigEndian.AppendUint64(b, v.hash)
			b = binary.BigEndian.AppendUint64(b, uint64(v.millis))
			b = appendLabel(b, v.label)
			b = append(b, v.id.text[:]...)
		}
	}
	return b, nil
}

func appendLabel(b []byte, s string) []byte { return append(append(b, byte(len(s))), s...) }

var errTies = errors.New("techniques: malformed ties")

func (c *tiesCell) UnmarshalBinary(data []byte) error {
	r := tiesReader{data: data}
	groups := make([]tieGroup, r.count(0, c.maxGroups))
	for i := range groups {
		g := &groups[i]
		g.hash, g.label = r.uint64(), r.label()
		g.values = make([]tieValue, r.count(1, c.maxValues))
		for j := range g.values {
			v := &g.values[j]
			v.hash, v.millis, v.label = r.uint64(), int64(r.uint64()), r.label()
			copy(v.id.text[:], r.next(len(v.id.text)))
			if j > 0 && v.hash <= g.values[j-1].hash || v.millis < 0 {
				r.bad = true
			}
		}
		if i > 0 && g.hash <= groups[i-1].hash {
			r.bad = true
		}
	}
	if r.bad || len(r.data) > 0 {
		return errTies
	}
	c.groups = groups
	return nil
}

// A tiesReader reads what is left of an encoded cell. When something is missing
// it turns bad and reads zeros.
type tiesReader struct {
	data []byte
	bad  bool
}

func (r *tiesReader) next(n int) []byte {
	if n > len(r.data) {
		r.data, r.bad = nil, true
		return nil
	}
	b := r.data[:n]
	r.data = r.data[n:]
	return b
}

func (r *tiesReader) uint64() uint64 {
	if b := r.next(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// count reads a number from least to most.
func (r *tiesReader) count(least, most int) int {
	if b := r.next(1); b != nil && int(b[0]) >= least && int(b[0]) <= most {
		return int(b[0])
	}
	r.bad = true
	return 0
}

func (r *tiesReader) label() string { return string(r.next(r.count(0, maxTieLabel))) }
