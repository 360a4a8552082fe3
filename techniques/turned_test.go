package techniques

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline/baselinetest"
	"github.com/cloudtell/cloudtell/event"
)

// turnedTest takes an event's user agent for its value.
var turnedTest = turned("test", func(e *event.Event) string { return e.UserAgent }, 12)

// outcomeOf makes an event of a value, some minutes after midnight.
func outcomeOf(value string, minutes float64, refused bool) *event.Event {
	e := &event.Event{Time: dayOne.Add(time.Duration(minutes * float64(time.Minute))), UserAgent: value}
	if refused {
		e.ErrorCode = "AccessDenied"
	}
	return e
}

func TestTurned(t *testing.T) {
	no, yes := func(m float64) *event.Event { return outcomeOf("v", m, true) }, func(m float64) *event.Event { return outcomeOf("v", m, false) }
	var flood []*event.Event
	for i := range 12 {
		flood = append(flood, outcomeOf(fmt.Sprint("other", i), 10, false), outcomeOf(fmt.Sprint("other", i), 10, true))
	}
	tests := []struct {
		name   string
		events []*event.Event
		asked  float64
		want   bool
	}{
		{"nothing", nil, 0, false},
		{"refused alone", []*event.Event{no(0)}, 0, false},
		{"allowed alone", []*event.Event{yes(0)}, 0, false},
		{"refused, then allowed", []*event.Event{no(0), yes(20)}, 20, true},
		{"an hour later", []*event.Event{no(0), yes(60)}, 60, true},
		{"more than an hour later", []*event.Event{no(0), yes(63)}, 63, false},
		{"the refusal comes late", []*event.Event{yes(14), no(0)}, 0, true},
		{"allowed, then refused", []*event.Event{yes(0), no(20)}, 20, false},
		{"allowed, and refused a granule later", []*event.Event{yes(0), no(1.5)}, 1.5, false},
		{"a granule more than an hour later", []*event.Event{no(0), yes(61.5)}, 61.5, false},
		{"allowed between two refusals of which the first is too old", []*event.Event{no(0), yes(20), no(50)}, 75, false},
		{"refused, then failed otherwise", []*event.Event{no(0), {Time: dayOne, UserAgent: "v", ErrorCode: "ThrottlingException"}}, 2, false},
		{"both at once", []*event.Event{yes(0), no(0)}, 0, true},
		{"refused again and again", []*event.Event{no(0), no(50), no(100), yes(110)}, 110, true},
		{"failed otherwise, then allowed", []*event.Event{{Time: dayOne, UserAgent: "v", ErrorCode: "ThrottlingException"}, yes(2)}, 2, false},
		{"asked about another time", []*event.Event{no(0), yes(20)}, 120, false},
		{"made way for others", append([]*event.Event{no(0)}, append(flood, yes(20))...), 20, false},
		{"too old to stay", append(flood, no(0), yes(20)), 20, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := turnedTest.NewCell().(*turnedCell)
			for _, e := range test.events {
				c.Fold(e, e.Time)
			}
			at := turnGranule(outcomeOf("", test.asked, false).Time)
			assert.Equal(t, test.want, turn{cell: c, at: at}.of("v"))
			assert.False(t, turn{cell: c, at: at}.of("w"))
		})
	}
}

func TestTurnedKeepsNoEmptyValues(t *testing.T) {
	c := turnedTest.NewCell().(*turnedCell)
	e := outcomeOf("", 0, true)
	c.Fold(e, e.Time)
	assert.Empty(t, c.refused)
}

func TestTurnedIsAFeature(t *testing.T) {
	var events []*event.Event
	for i := range 400 { // of twelve values
		e := outcomeOf(fmt.Sprint("v", i*i%23), float64(i), i%3 == 0)
		e.ID = fmt.Sprintf("%08d-0000-4000-8000-000000000000", i)
		events = append(events, e)
	}
	baselinetest.Feature(t, turnedTest, events)
}

// The order of arrival leaves no trace, even where not all is kept.
func TestTurnedShuffled(t *testing.T) {
	encode := func(events []*event.Event) []byte {
		c := turnedTest.NewCell()
		for _, e := range events {
			c.Fold(e, e.Time)
		}
		b, err := c.AppendBinary(nil)
		require.NoError(t, err)
		return b
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for _, minutes := range []float64{0, 1.5} {
		var events []*event.Event
		for i := range 18 { // of which twelve are kept
			events = append(events, outcomeOf(fmt.Sprint("v", i), minutes*float64(i%9), true))
		}
		want := encode(events)
		for range 50 {
			rng.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
			require.Equal(t, want, encode(events))
		}
	}
	long := []*event.Event{outcomeOf("v", 0, true), outcomeOf("v", 94.5, true), outcomeOf("v", 96, true)}
	want := encode(long)
	slices.Reverse(long)
	require.Equal(t, want, encode(long))
}

func TestTurnedRecord(t *testing.T) {
	c := turnedTest.NewCell()
	for i := range 6 {
		c.Fold(outcomeOf(fmt.Sprint("v", i), float64(i), i%2 == 0), dayOne)
	}
	b, err := c.AppendBinary(nil)
	require.NoError(t, err)
	again := turnedTest.NewCell()
	require.NoError(t, again.UnmarshalBinary(b))
	// record encodes values with hashes from 1 on, as no cell holds them.
	record := func(refused, allowed int, change func(*outcomeTimes)) []byte {
		c := &turnedCell{}
		for i := range max(refused, allowed) {
			o := outcomeTimes{hash: uint64(i + 1), bits: 1}
			change(&o)
			if i < refused {
				c.refused = append(c.refused, o)
			}
			if i < allowed {
				c.allowed = append(c.allowed, o)
			}
		}
		b, err := c.AppendBinary(nil)
		require.NoError(t, err)
		return b
	}
	asItIs := func(*outcomeTimes) {}
	require.NoError(t, turnedTest.NewCell().UnmarshalBinary(record(12, 12, asItIs)))
	for name, bad := range map[string][]byte{
		"too many refused":   record(13, 0, asItIs),
		"too many allowed":   record(0, 13, asItIs),
		"not in the last":    record(1, 0, func(o *outcomeTimes) { o.bits = 2 }),
		"before all time":    record(1, 0, func(o *outcomeTimes) { o.last = -maxTurnGranule - 1 }),
		"after all time":     record(1, 0, func(o *outcomeTimes) { o.last = maxTurnGranule + 1 }),
		"empty":              {},
		"short":              b[:len(b)-1],
		"long":               append(slices.Clone(b), 0),
		"more than there is": append([]byte{7}, b[1:]...),
		"out of order":       append([]byte{4}, b[1:]...),
		"twice":              slices.Concat([]byte{1}, b[1:25], b[25:49], b[25:49]),
		"too many":           slices.Concat([]byte{0}, slices.Repeat(b[1:25], 25)),
		"beyond all time":    slices.Concat(b[:9], []byte{0x7f}, b[10:]),
	} {
		t.Run(name, func(t *testing.T) {
			assert.Error(t, again.UnmarshalBinary(bad))
			unchanged, err := again.AppendBinary(nil)
			require.NoError(t, err)
			assert.Equal(t, b, unchanged)
		})
	}
}
