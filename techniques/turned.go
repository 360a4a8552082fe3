package techniques

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/event"
)

// turned remembers which values ("" is none) of a key's events were refused and
// which were allowed, and answers which of them turned from the one to the
// other within about an hour: the order in which a [baseline.Window] does not
// tell. cap values of either kind are remembered, the most recent ones.
func turned(name string, value func(*event.Event) string, cap int) *baseline.Of[turn] {
	told := func(e *event.Event) string {
		if !e.Denied() && !e.Succeeded() {
			return ""
		}
		return value(e)
	}
	return baseline.Custom(
		fmt.Sprintf("turned/2 %s cap=%d", name, cap),
		1+2*cap*outcomeBytes,
		func() *turnedCell { return &turnedCell{value: told, cap: cap} },
		func(c *turnedCell, v *baseline.View) turn { return turn{cell: c, at: turnGranule(v.Event.Time)} },
	).WhereValue(told)
}

// A turn says what turned from refused to allowed around an event.
type turn struct {
	cell *turnedCell
	at   int64
}

// of reports whether a value was refused at most an hour before the event and
// allowed then, both less than a granule apart or in this order.
func (t turn) of(value string) bool {
	if len(t.cell.refused) == 0 {
		return false
	}
	h := baseline.Hash(value)
	i, refused := findOutcome(t.cell.refused, h)
	j, allowed := findOutcome(t.cell.allowed, h)
	if !refused || !allowed {
		return false
	}
	first, ok := t.cell.refused[i].first(t.at - turnWindow)
	return ok && first <= t.cell.allowed[j].last
}

// A window is 40 granules of 90 seconds. Of the 64 that are remembered, ten are
// for events that come late.
const (
	turnSeconds = 90
	turnWindow  = int64(time.Hour/time.Second) / turnSeconds
)

func turnGranule(t time.Time) int64 { return t.Unix() / turnSeconds }

type turnedCell struct {
	value            func(*event.Event) string
	cap              int
	refused, allowed []outcomeTimes // each sorted by hash
}

// outcomeTimes are the times at which a value had one outcome.
type outcomeTimes struct {
	hash uint64
	last int64  // granule
	bits uint64 // bit i: in granule last-i
}

const outcomeBytes = 8 + 2*binary.MaxVarintLen64

// first returns the first granule from low on.
func (o *outcomeTimes) first(low int64) (granule int64, ok bool) {
	keep := o.last - low + 1 // granules
	if keep <= 0 {
		return 0, false
	}
	b := o.bits & (1<<keep - 1) // all of them for 64 and more
	return o.last - int64(63-bits.LeadingZeros64(b)), true
}

func (c *turnedCell) Fold(e *event.Event, now time.Time) {
	if v := c.value(e); v != "" {
		c.FoldValue(v, baseline.Hash(v), e, now)
	}
}

func (c *turnedCell) FoldValue(_ string, h uint64, e *event.Event, _ time.Time) {
	if g := turnGranule(e.Time); e.Denied() {
		c.refused = addOutcome(c.refused, c.cap, h, g)
	} else {
		c.allowed = addOutcome(c.allowed, c.cap, h, g)
	}
}

func findOutcome(list []outcomeTimes, hash uint64) (int, bool) {
	return slices.BinarySearchFunc(list, hash, func(o outcomeTimes, h uint64) int { return cmp.Compare(o.hash, h) })
}

// addOutcome adds a time to a list of at most cap values, of which the least
// recent makes way.
func addOutcome(list []outcomeTimes, cap int, hash uint64, granule int64) []outcomeTimes {
	i, found := findOutcome(list, hash)
	if !found {
		if len(list) >= cap {
			oldest := 0
			for j := range list {
				if older(list[j], list[oldest]) {
					oldest = j
				}
			}
			if older(outcomeTimes{hash: hash, last: granule}, list[oldest]) {
				return list
			}
			list = slices.Delete(list, oldest, oldest+1)
			i, _ = findOutcome(list, hash)
		}
		return slices.Insert(list, i, outcomeTimes{hash: hash, last: granule, bits: 1})
	}
	o := &list[i]
	if ahead := granule - o.last; ahead > 0 {
		o.last, o.bits = granule, o.bits<<ahead|1
	} else {
		o.bits |= 1 << -ahead // nothing if it is too long ago
	}
	return list
}

func older(a, b outcomeTimes) bool {
	return a.last < b.last || a.last == b.last && a.hash < b.hash
}

func (c *turnedCell) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, byte(len(c.refused)))
	for _, list := range [...][]outcomeTimes{c.refused, c.allowed} {
		for _, o := range list {
			b = binary.BigEndian.AppendUint64(b, o.hash)
			b = binary.AppendVarint(b, o.last)
			b = binary.AppendUvarint(b, o.bits)
		}
	}
	return b, nil
}

var errTurned = errors.New("techniques: malformed outcomes")

func (c *turnedCell) UnmarshalBinary(data []byte) error {
	if len(data) == 0 {
		return errTurned
	}
	n, rest := int(data[0]), data[1:]
	var all []outcomeTimes
	for len(rest) > 0 {
		if len(rest) < 8 || len(all) == 2*c.cap {
			return errTurned
		}
		o := outcomeTimes{hash: binary.BigEndian.Uint64(rest)}
		var a, b int
		o.last, a = binary.Varint(rest[8:])
		if a <= 0 {
			return errTurned
		}
		if o.bits, b = binary.Uvarint(rest[8+a:]); b <= 0 {
			return errTurned
		}
		rest = rest[8+a+b:]
		i := len(all)
		if o.bits&1 == 0 || o.last < -maxTurnGranule || o.last > maxTurnGranule ||
			i > 0 && i != n && o.hash <= all[i-1].hash {
			return errTurned
		}
		all = append(all, o)
	}
	if n > len(all) || n > c.cap || len(all)-n > c.cap {
		return errTurned
	}
	c.refused, c.allowed = slices.Clone(all[:n]), slices.Clone(all[n:])
	return nil
}

// maxTurnGranule is far beyond any time that an event may have.
const maxTurnGranule = 1 << 40 / turnSeconds
