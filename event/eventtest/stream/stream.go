// Package stream makes streams of events out of given ones, for the test kits:
// recombined, out of order, with duplicates, among the events of others, and
// as a flood of hostile values.
package stream

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/event"
)

// Recombine makes a stream of events drawn at random, with ids and times of
// their own: bursts, pauses of minutes and hours, and nights between them. It
// is in the order of time.
func Recombine(rng *rand.Rand, events []*event.Event) []*event.Event {
	n := min(4*len(events), 2000)
	stream := make([]*event.Event, n)
	t := events[0].Time
	for i := range stream {
		switch r := rng.IntN(1000); {
		case r < 960:
			t = t.Add(time.Duration(rng.IntN(5)) * time.Second)
		case r < 980:
			t = t.Add(time.Duration(rng.IntN(600)) * time.Second)
		case r < 990:
			t = t.Add(time.Duration(rng.IntN(6*3600)) * time.Second)
		default:
			t = t.Add(24 * time.Hour)
		}
		e := *events[rng.IntN(len(events))]
		e.ID, e.Time = newID("recombined", strconv.Itoa(i)), t
		stream[i] = &e
	}
	return stream
}

// Shuffle puts events in an order in which they may be delivered: each less
// than lateness after its time.
func Shuffle(rng *rand.Rand, events []*event.Event, lateness time.Duration) []*event.Event {
	delays := make(map[*event.Event]time.Time, len(events))
	for _, e := range events {
		delays[e] = e.Time.Add(time.Duration(rng.Int64N(int64(lateness))))
	}
	stream := slices.Clone(events)
	slices.SortStableFunc(stream, func(a, b *event.Event) int { return delays[a].Compare(delays[b]) })
	return stream
}

// Duplicate delivers a third of the events again, some at once and some after
// others, as CloudTrail does with the events of global services: in the file
// of another region.
func Duplicate(rng *rand.Rand, events []*event.Event) []*event.Event {
	var stream, again []*event.Event
	for _, e := range events {
		stream = append(stream, e)
		if rng.IntN(3) == 0 {
			d := *e
			d.Region = "eu-central-2"
			again = append(again, &d)
		}
		for len(again) > 0 && rng.IntN(2) == 0 {
			stream, again = append(stream, again[0]), again[1:]
		}
	}
	return append(stream, again...)
}

// AmongOthers lays the calls of others, who do the same elsewhere, between the
// events.
func AmongOthers(rng *rand.Rand, events []*event.Event) []*event.Event {
	var stream []*event.Event
	others := make(map[*event.Event]*template)
	for i, e := range events {
		for range rng.IntN(3) {
			if others[e] == nil {
				others[e] = newTemplate(e)
			}
			who := rng.IntN(3)
			if o := others[e].event(func(leaf string) string { return altered(leaf, who) }); o != nil {
				o.ID, o.Time = newID("other", strconv.Itoa(i), strconv.Itoa(len(stream))), e.Time
				stream = append(stream, o)
			}
		}
		stream = append(stream, e)
	}
	return stream
}

// A template is a record with its values taken out, to make others of its kind
// quickly.
type template struct {
	pieces []string // the record's text between its leaves
	leaves []string // the values that can be altered
	quoted []string // the same, as JSON
	size   int      // of the text
}

// fixed names the members that say what kind of record it is.
var fixed = map[string]bool{
	"eventTime": true, "eventID": true, "eventSource": true, "eventName": true, "eventVersion": true,
	"eventType": true, "eventCategory": true, "type": true, "creationDate": true, "ConsoleLogin": true,
}

// newTemplate takes an event's record apart; a record that is no JSON object
// has no leaves.
func newTemplate(e *event.Event) *template {
	t := &template{pieces: []string{e.Text}}
	d := json.NewDecoder(strings.NewReader(e.Text))
	d.UseNumber()
	var record map[string]any
	if d.Decode(&record) != nil {
		return t
	}
	const mark = "\x00" // stands in no JSON text
	text, err := json.Marshal(t.cut(record))
	if err != nil {
		return t
	}
	t.pieces = strings.Split(strings.ReplaceAll(string(text), `"\u0000"`, mark), mark)
	for _, leaf := range t.leaves {
		t.quoted = append(t.quoted, quote(leaf))
	}
	t.size = len(e.Text)
	return t
}

// cut replaces the leaves of a value, in the order in which they are marshalled.
func (t *template) cut(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) { // as json.Marshal does
			if !fixed[name] {
				v[name] = t.cut(v[name])
			}
		}
		return v
	case []any:
		for i := range v {
			v[i] = t.cut(v[i])
		}
		return v
	case string:
		t.leaves = append(t.leaves, v)
		return "\x00"
	}
	return v
}

// event makes an event whose leaves are altered, or nil if that is none.
func (t *template) event(alter func(leaf string) string) *event.Event {
	var b strings.Builder
	b.Grow(t.size + 512)
	for i, leaf := range t.leaves {
		b.WriteString(t.pieces[i])
		if other := alter(leaf); other != leaf {
			b.WriteString(quote(other))
		} else {
			b.WriteString(t.quoted[i])
		}
	}
	b.WriteString(t.pieces[len(t.leaves)])
	e, err := event.Parse(b.String())
	if err != nil {
		return nil
	}
	return e
}

func quote(s string) string {
	text, _ := json.Marshal(s) // of a string it cannot fail
	return string(text)
}

// altered returns another value that looks like the given one.
func altered(value string, i int) string {
	if ip, err := netip.ParseAddr(value); err == nil {
		if ip.Is4() {
			return netip.AddrFrom4([4]byte{100, byte(i >> 16), byte(i >> 8), byte(i)}).String()
		}
		return fmt.Sprintf("2001:db8:%x:%x::1", i>>16, i&0xffff)
	}
	if len(value) == 12 && strings.Trim(value, "0123456789") == "" {
		return fmt.Sprintf("%012d", 500_000_000_000+i)
	}
	if value == "true" || value == "false" {
		return value
	}
	return fmt.Sprintf("%s-%d", value, i)
}

// hostile returns another value that is meant to do harm: long, full of
// escapes, or different from its beginning on.
func hostile(value string, i int) string {
	if _, err := netip.ParseAddr(value); err == nil {
		return altered(value, i)
	}
	switch i % 4 {
	case 0:
		return strings.Repeat("A", 300) + altered(value, i)
	case 1:
		return altered(value, i) + "\"\\\n\x7f é 漢\U0001F575"
	case 2:
		return fmt.Sprintf("%d-%s", i, value)
	}
	return altered(value, i)
}

// A Flood makes events of one key that differ in every value that the key does
// not depend on.
type Flood struct {
	keyOf     func(*event.Event) string
	key       string
	start     time.Time
	templates []*template
	free      [][]int // the leaves to alter, of each template
}

// NewFlood prepares a flood for the key that most of the events have, or
// returns nil if none has one.
func NewFlood(keyOf func(*event.Event) string, events []*event.Event) *Flood {
	count := make(map[string]int)
	var most string
	for _, e := range events {
		key := keyOf(e)
		count[key]++
		if key != "" && (most == "" || count[key] > count[most]) {
			most = key
		}
	}
	if most == "" {
		return nil
	}
	f := &Flood{keyOf: keyOf, key: most, start: events[0].Time}
	kinds := make(map[string]int)
	for _, e := range events {
		const perKind = 4
		kind := e.Source + ":" + e.Name
		if keyOf(e) != most || kinds[kind] == perKind {
			continue
		}
		kinds[kind]++
		t := newTemplate(e)
		same := func(altered int) bool {
			n := -1
			o := t.event(func(leaf string) string {
				if n++; n == altered {
					return hostile(leaf, 7)
				}
				return leaf
			})
			return o != nil && keyOf(o) == most
		}
		if !same(-1) {
			continue // a line of an access log
		}
		var free []int
		for leaf := range t.leaves {
			if same(leaf) {
				free = append(free, leaf)
			}
		}
		f.templates, f.free = append(f.templates, t), append(f.free, free)
	}
	if len(f.templates) == 0 {
		return nil
	}
	return f
}

// Event returns the flood's i-th event, so long after the first. One in four
// alters all values at once, the others one each, so that the rest is what a
// rule looks for.
func (f *Flood) Event(i int, after time.Duration) *event.Event {
	which := i % len(f.templates)
	t, free := f.templates[which], f.free[which]
	only := -1
	if i%4 != 0 && len(free) > 0 {
		only = free[i/len(f.templates)%len(free)]
	}
	n := -1
	e := t.event(func(leaf string) string {
		n++
		if n == only || only < 0 && slices.Contains(free, n) {
			return hostile(leaf, i)
		}
		return leaf
	})
	if e == nil || f.keyOf(e) != f.key { // altered together, they are the key after all
		e = t.event(func(leaf string) string { return leaf })
	}
	e.ID, e.Time = newID("flood", strconv.Itoa(i)), f.start.Add(after)
	return e
}

// newID makes an id in the form of CloudTrail's event ids.
func newID(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "/")))
	x := hex.EncodeToString(sum[:16])
	return x[:8] + "-" + x[8:12] + "-4" + x[13:16] + "-a" + x[17:20] + "-" + x[20:]
}
