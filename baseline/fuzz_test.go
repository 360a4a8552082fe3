package baseline_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/event"
)

// seeded returns a history with all kinds of features, of some days.
func seeded(t testing.TB) *history {
	h := newHistory(t, every()...)
	for d := 1; d <= 20; d++ {
		for i := range 8 {
			h.add(on(d, "10:00:00").Add(time.Duration(i)*time.Minute), fmt.Sprint(i*d%11))
		}
	}
	return h
}

// Whatever the bytes, they are refused or make a profile that keeps its bounds,
// survives a reload, and goes on.
func FuzzProfile(f *testing.F) {
	h := seeded(f)
	record, err := h.profile.AppendBinary(nil)
	require.NoError(f, err)
	empty, err := h.layout.NewProfile().AppendBinary(nil)
	require.NoError(f, err)
	f.Add(record[:len(record)-4], int64(time.Hour))
	f.Add(empty[:len(empty)-4], int64(0))
	f.Add([]byte("ct\x01\x00\x00\x00\x00\x00\x00"), int64(-time.Hour))
	f.Fuzz(func(t *testing.T, body []byte, after int64) {
		if p, err := h.layout.Decode(body); err == nil && len(body) > 0 {
			goesOn(t, h.layout, p, after)
		}
		// The checksum must not be all that protects the decoder.
		p, err := h.layout.Decode(withChecksum(body))
		if err != nil {
			require.Nil(t, p)
			return
		}
		goesOn(t, h.layout, p, after)
	})
}

func goesOn(t *testing.T, l *baseline.Layout, p *baseline.Profile, after int64) {
	p = reloaded(t, l, p)
	at := p.Clock()
	if at.Before(on(1, "00:00:00")) || at.After(on(20_000, "00:00:00")) {
		at = on(1, "00:00:00")
	}
	at = at.Add(time.Duration(after % int64(100*day)))
	for i := range 20 {
		e := newEvent(1<<30+i, at.Add(time.Duration(i)*7*time.Minute), fmt.Sprint("fuzz ", i%5))
		if p.Fold(e) != baseline.Evaluated {
			continue
		}
		for _, f := range l.Features() {
			ask(p.View(e), f)
		}
	}
	reloaded(t, l, p)
}

// ask reads everything that a feature answers.
func ask(v *baseline.View, f baseline.Feature) {
	switch f := f.(type) {
	case *baseline.Of[baseline.Novelty]:
		n := f.In(v)
		n.Examples(5)
		n.Established(n.Value)
		f.Age(v)
	case *baseline.Of[baseline.Window]:
		w := f.In(v)
		w.Values()
		w.EventIDs()
	case *baseline.Of[baseline.Rates]:
		f.In(v).Past()
	case *baseline.Of[baseline.Progress]:
		f.In(v).EventIDs()
	case *baseline.Of[baseline.Absence]:
		f.In(v)
	}
}

func FuzzCellFirstSeen(f *testing.F) { fuzzCell(f, baseline.FirstSeen("agent", agent, nil)) }
func FuzzCellDistinct(f *testing.F)  { fuzzCell(f, baseline.Distinct("agent", agent, 20, time.Hour)) }
func FuzzCellRate(f *testing.F) {
	fuzzCell(f, baseline.Rate("calls", func(*event.Event) int64 { return 1 << 40 }, time.Minute))
}
func FuzzCellSequence(f *testing.F) {
	fuzzCell(f, baseline.Sequence("steps", time.Hour, step("1"), step("2"), step("3")))
}
func FuzzCellLastSeen(f *testing.F) { fuzzCell(f, baseline.LastSeen("one", step("1"))) }

// fuzzCell decodes the data as the only cell of a record, and folds events at
// the times and with the values that the operations say.
func fuzzCell(f *testing.F, feature baseline.Feature) {
	h := newHistory(f, feature)
	for d := 1; d <= 20; d++ {
		for i := range 4 {
			h.add(on(d, "10:00:00").Add(time.Duration(i)*time.Minute), fmt.Sprint(i))
		}
	}
	cell, err := h.profile.Cell(feature).AppendBinary(nil)
	require.NoError(f, err)
	f.Add(cell, []byte{1, 2, 3, 250, 251, 252})
	f.Add([]byte{}, []byte{0, 0, 0, 1, 1, 1})
	f.Add([]byte{0}, []byte{128, 7})
	f.Fuzz(func(t *testing.T, data, operations []byte) {
		c := feature.NewCell()
		if c.UnmarshalBinary(data) != nil {
			b, err := c.AppendBinary(nil)
			require.NoError(t, err)
			empty, err := feature.NewCell().AppendBinary(nil)
			require.NoError(t, err)
			require.Equal(t, empty, b, "refused, but changed")
			return
		}
		now := on(21, "10:00:00")
		for i := 0; i+1 < len(operations) && i < 100; i += 2 {
			at := now.Add(time.Duration(int8(operations[i])) * time.Minute)
			if at.After(now) {
				now = at
			}
			c.Fold(newEvent(i, at, fmt.Sprint(operations[i+1]%8)), now)
		}
		b, err := c.AppendBinary(nil)
		require.NoError(t, err)
		require.LessOrEqual(t, len(b), feature.MaxBytes())
		again := feature.NewCell()
		require.NoError(t, again.UnmarshalBinary(b))
		twice, err := again.AppendBinary(nil)
		require.NoError(t, err)
		require.Equal(t, b, twice)

		// In a record of its own, it answers.
		l, err := baseline.NewLayout(0, feature)
		require.NoError(t, err)
		body, err := l.NewProfile().AppendBinary(nil)
		require.NoError(t, err)
		body = body[:len(body)-4] // the checksum
		if len(b) > 0 {
			// It ends with a list of the one feature without bytes, and an empty
			// list: swap them.
			id := body[len(body)-4 : len(body)-1]
			cell := append([]byte{0, 1}, id...)
			cell = binary.AppendUvarint(append(cell, 0), uint64(len(b)))
			body = append(append(body[:len(body)-5], cell...), b...)
		}
		p, err := l.Decode(withChecksum(body))
		require.NoError(t, err)
		e := newEvent(1<<30, now, "1")
		require.Equal(t, baseline.Evaluated, p.Fold(e))
		ask(p.View(e), feature)
	})
}

// Numbers at the ends of their ranges are refused, or do not leave the ranges
// when events are added.
func TestNumbersStayInRange(t *testing.T) {
	e := newEvent(1, on(1, "10:00:00"), "c")
	numbers := func(b []byte, list ...int64) []byte {
		for _, n := range list {
			b = binary.AppendUvarint(b, uint64(n))
		}
		return b
	}
	farApart := numbers(binary.AppendVarint(nil, -2), 2) // times; what is between them overflows
	first, second := "a", "b"
	if baseline.Hash(first) > baseline.Hash(second) {
		first, second = second, first
	}
	farApart = numbers(append(farApart, 1, first[0]), 0, 1, 0)
	farApart = numbers(append(farApart, 1, second[0]), math.MaxInt64, 1, 0)

	fullDay := binary.AppendVarint(nil, e.Time.Unix()/60-1)
	fullDay = append(fullDay, make([]byte, 17)...) // the last minutes, with nothing in them
	fullDay = numbers(fullDay, 1, e.Time.Unix()/86400, 24*60, 1<<40, 1<<40)

	for name, tt := range map[string]struct {
		feature baseline.Feature
		cell    []byte
	}{
		"values seen far apart":                {baseline.Distinct("agent", agent, 20, time.Hour), farApart},
		"a day that was active in all minutes": {baseline.Rate("calls", func(*event.Event) int64 { return 1 }, time.Minute), fullDay},
	} {
		t.Run(name, func(t *testing.T) {
			c := tt.feature.NewCell()
			if c.UnmarshalBinary(tt.cell) != nil {
				return
			}
			c.Fold(e, e.Time)
			b, err := c.AppendBinary(nil)
			require.NoError(t, err)
			require.NoError(t, tt.feature.NewCell().UnmarshalBinary(b))
		})
	}
	t.Run("as many events as can be counted", func(t *testing.T) {
		l, err := baseline.NewLayout(0)
		require.NoError(t, err)
		body := binary.AppendVarint([]byte("ct\x02\x00"), on(1, "09:00:00").UnixMilli())
		p, err := l.Decode(withChecksum(numbers(body, 0, math.MaxInt64, 1, 0, 0, 0)))
		if err != nil {
			return
		}
		p.Fold(e)
		reloaded(t, l, p)
	})
}
