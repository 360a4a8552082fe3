package baseline_test

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/event"
)

func TestFoldOutcomes(t *testing.T) {
	tests := []struct {
		name   string
		at     time.Time
		id     int
		want   baseline.Outcome
		reload bool
	}{
		{"later", on(1, "12:00:01"), 9, baseline.Evaluated, false},
		{"at the same time", on(1, "12:00:00"), 9, baseline.Evaluated, false},
		{"as late as allowed", on(1, "11:45:00"), 9, baseline.Evaluated, false},
		{"too late", on(1, "11:44:59"), 9, baseline.Late, false},
		{"seen before", on(1, "12:00:00"), 2, baseline.Duplicate, false},
		{"seen before, in a copy with another time", on(1, "13:00:00"), 2, baseline.Duplicate, false},
		{"seen before, by the record", on(1, "12:00:00"), 2, baseline.Duplicate, true},
		{"too late, by the record", on(1, "11:44:59"), 9, baseline.Late, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHistory(t, baseline.FirstSeen("agent", agent, nil))
			h.add(on(1, "09:00:00"), "a")
			h.add(on(1, "12:00:00"), "a")
			if tt.reload {
				h.reload()
			}
			before, err := h.profile.AppendBinary(nil)
			require.NoError(t, err)
			assert.Equal(t, tt.want, h.profile.Fold(newEvent(tt.id, tt.at, "b")))
			after, err := h.profile.AppendBinary(nil)
			require.NoError(t, err)
			if tt.want == baseline.Evaluated {
				assert.NotEqual(t, before, after)
			} else {
				assert.Equal(t, before, after, "what is not evaluated changes nothing")
			}
		})
	}
}

func TestClock(t *testing.T) {
	h := newHistory(t)
	assert.Zero(t, h.profile.Clock())
	assert.Zero(t, h.profile.First())
	h.add(on(1, "12:00:00"), "a")
	h.add(on(1, "11:50:00"), "a")
	assert.Equal(t, on(1, "12:00:00"), h.profile.Clock(), "the latest event, not the last")
	assert.Equal(t, on(1, "11:50:00"), h.profile.First())
	h.reload()
	assert.Equal(t, on(1, "12:00:00"), h.profile.Clock())
}

// A burst is larger than the list of ids that a record can hold.
func TestDuplicatesOfABurst(t *testing.T) {
	h := newHistory(t, baseline.FirstSeen("agent", agent, nil))
	for i := range 1000 {
		h.add(on(1, "12:00:00").Add(time.Duration(i)*time.Second/4), "a")
		if i%100 == 0 {
			h.reload()
		}
	}
	for back := range 448 { // 512 less the eighth that makes room
		id := 1000 - back
		assert.Equal(t, baseline.Duplicate, h.profile.Fold(newEvent(id, on(1, "12:04:00"), "a")), "event %d of 1000", id)
	}
}

func TestAge(t *testing.T) {
	f := baseline.FirstSeen("agent", agent, nil)
	tests := []struct {
		name   string
		before func(h *history)
		at     time.Time
		want   baseline.Age
	}{
		{"the first event", func(*history) {}, on(1, "10:00:00"),
			baseline.Age{Since: on(1, "10:00:00"), Events: 1}},
		{"the first event, minutes after midnight", func(*history) {}, on(1, "00:05:00"),
			baseline.Age{Since: on(1, "00:05:00"), Events: 1}},
		{"three days", func(h *history) { h.daily(1, 3, "a") }, on(4, "10:00:00"),
			baseline.Age{Since: on(1, "10:00:00"), For: 3 * day, Days: 3, Events: 4}},
		{"yesterday has not settled", func(h *history) { h.daily(1, 3, "a") }, on(4, "00:10:00"),
			baseline.Age{Since: on(1, "10:00:00"), For: 3*day - 590*time.Minute, Days: 2, Events: 4}},
		{"at most thirty days", func(h *history) { h.daily(1, 60, "a") }, on(61, "10:00:00"),
			baseline.Age{Since: on(1, "10:00:00"), For: 60 * day, Days: 30, Events: 61}},
		{"days without events do not count", func(h *history) { h.daily(1, 1, "a"); h.daily(5, 6, "a") }, on(10, "10:00:00"),
			baseline.Age{Since: on(1, "10:00:00"), For: 9 * day, Days: 3, Events: 4}},
		{"a late event can be the first", func(h *history) { h.add(on(1, "10:00:00"), "a") }, on(1, "09:50:00"),
			baseline.Age{Since: on(1, "09:50:00"), Events: 2}},
	}
	for _, tt := range tests {
		for _, reload := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/reload=%t", tt.name, reload), func(t *testing.T) {
				h := newHistory(t, f)
				tt.before(h)
				if reload {
					h.reload()
				}
				assert.Equal(t, tt.want, f.Age(h.add(tt.at, "a")))
			})
		}
	}
}

// A feature that is added to a profile with a past starts cold.
func TestJoinedFeature(t *testing.T) {
	old := baseline.FirstSeen("agent", agent, nil)
	added := baseline.FirstSeen("the same under another name", agent, nil)
	h := newHistory(t, old)
	h.daily(1, 20, "a")
	record, err := h.profile.AppendBinary(nil)
	require.NoError(t, err)

	l, err := baseline.NewLayout(0, added, old)
	require.NoError(t, err)
	h.layout = l
	h.profile, err = l.Decode(record)
	require.NoError(t, err)
	h.reload() // before the added feature has seen anything

	v := h.add(on(21, "10:00:00"), "a")
	assert.False(t, old.In(v).New)
	assert.Equal(t, baseline.Age{Since: on(1, "10:00:00"), For: 20 * day, Days: 20, Events: 21}, old.Age(v))
	assert.True(t, added.In(v).New, "it knows nothing of the past")
	assert.Equal(t, baseline.Age{Since: on(21, "10:00:00"), Events: 1}, added.Age(v))

	h.reload()
	v = h.add(on(22, "10:00:00"), "a")
	assert.False(t, added.In(v).New, "it has an initial period of its own")
	assert.Equal(t, baseline.Age{Since: on(21, "10:00:00"), For: day, Days: 1, Events: 2}, added.Age(v))
	assert.Equal(t, int64(22), old.Age(v).Events)
}

// Records may have been written by a layout of the same features in another
// order.
func TestOtherOrder(t *testing.T) {
	features := every()
	h := newHistory(t, features[:len(features)-1]...)
	h.daily(1, 20, "a")
	added := features[len(features)-1]
	for range 10 {
		rand.Shuffle(len(features), func(i, j int) { features[i], features[j] = features[j], features[i] })
		record, err := h.profile.AppendBinary(nil)
		require.NoError(t, err)
		h.layout, err = baseline.NewLayout(0, features...)
		require.NoError(t, err)
		h.profile, err = h.layout.Decode(record)
		require.NoError(t, err)
		h.reload()
	}
	v := h.add(on(21, "10:00:00"), "a")
	for _, f := range features {
		want := baseline.Age{Since: on(1, "10:00:00"), For: 20 * day, Days: 20, Events: 21}
		if f == added {
			want = baseline.Age{Since: on(21, "10:00:00"), Events: 1}
		}
		assert.Equal(t, want, f.(interface {
			Age(baseline.Viewer) baseline.Age
		}).Age(v), f.ID())
	}
}

// A feature that is taken out is forgotten; the others stay.
func TestDroppedFeature(t *testing.T) {
	kept := baseline.LastSeen("kept", step("a"))
	dropped := baseline.FirstSeen("dropped", agent, nil)
	h := newHistory(t, dropped, kept)
	h.daily(1, 20, "a")
	record, err := h.profile.AppendBinary(nil)
	require.NoError(t, err)

	for _, features := range [][]baseline.Feature{{kept}, {dropped, kept}} {
		l, err := baseline.NewLayout(0, features...)
		require.NoError(t, err)
		h.layout = l
		h.profile, err = l.Decode(record)
		require.NoError(t, err)
		h.reload()
		record, err = h.profile.AppendBinary(nil)
		require.NoError(t, err)
	}
	v := h.add(on(21, "10:00:00"), "a")
	assert.Equal(t, 1, kept.In(v).Days)
	assert.Zero(t, dropped.In(v).Known, "it was gone for a while")
	assert.Equal(t, on(21, "10:00:00"), dropped.Age(v).Since)
}

// A record may be larger than all that a layout of fewer features makes.
func TestRecordOfALargerLayout(t *testing.T) {
	kept := baseline.LastSeen("kept", step("a"))
	dropped := baseline.FirstSeen("dropped", agent, &baseline.FirstSeenOptions{Cap: 1024})
	h := newHistory(t, dropped, kept)
	h.add(on(1, "09:00:00"), "a")
	for i := range 1024 {
		h.add(on(1, "10:00:00").Add(time.Duration(i)*time.Minute), fmt.Sprintf("the agent of number %d", i))
	}
	record, err := h.profile.AppendBinary(nil)
	require.NoError(t, err)
	h.layout, err = baseline.NewLayout(0, kept)
	require.NoError(t, err)
	h.profile, err = h.layout.Decode(record)
	require.NoError(t, err)
	assert.Equal(t, 3, kept.In(h.add(on(4, "10:00:00"), "a")).Days)
}

// A feature that was added, and has seen nothing, is not older than an event
// that was there before it.
func TestAgeBeforeAnyEvent(t *testing.T) {
	old := baseline.FirstSeen("agent", agent, nil)
	added := baseline.FirstSeen("the same under another name", agent, nil)
	h := newHistory(t, old)
	h.daily(1, 20, "a")
	record, err := h.profile.AppendBinary(nil)
	require.NoError(t, err)
	h.layout, err = baseline.NewLayout(0, added, old)
	require.NoError(t, err)
	h.profile, err = h.layout.Decode(record)
	require.NoError(t, err)

	e := newEvent(20, on(20, "10:00:00"), "a")
	require.Equal(t, baseline.Duplicate, h.profile.Fold(e))
	v := h.profile.View(e)
	assert.True(t, added.In(v).New)
	assert.Equal(t, baseline.Age{Since: e.Time}, added.Age(v))
}

func TestRestrictedFeature(t *testing.T) {
	all := baseline.FirstSeen("agent", agent, nil)
	some := all.On("sts:AssumeRole")
	assert.NotEqual(t, all.ID(), some.ID())
	assert.Empty(t, all.Events())
	assert.Equal(t, []string{"sts:AssumeRole"}, some.Events())
	h := newHistory(t, all, some)
	h.add(on(1, "10:00:00"), "a")
	v := h.add(on(2, "10:00:00"), "b")
	assert.Equal(t, 1, all.In(v).Known)
	assert.Zero(t, some.In(v).Known, "the events were none of its")
}

func TestDecodeRefuses(t *testing.T) {
	f := baseline.FirstSeen("agent", agent, nil)
	h := newHistory(t, f)
	h.daily(1, 3, "a")
	good, err := h.profile.AppendBinary(nil)
	require.NoError(t, err)
	edit := func(change func(b []byte) []byte) []byte { return change([]byte(string(good))) }
	// lists makes a record without events that ends in these lists of features.
	id := binary.BigEndian.AppendUint64(nil, baseline.Hash(f.ID()))[:3]
	lists := func(parts ...[]byte) []byte {
		return withChecksum(append(append(good[:4:4], 0, 0, 0, 0, 0), slices.Concat(parts...)...))
	}
	_, err = h.layout.Decode(lists([]byte{1}, id, []byte{0}))
	require.NoError(t, err, "lists")

	tests := []struct {
		name   string
		record []byte
		want   error
	}{
		{"text", []byte(strings.Repeat("hello ", 10)), baseline.ErrCorrupt},
		{"one byte", []byte("c"), baseline.ErrCorrupt},
		{"the beginning only", good[:6], baseline.ErrCorrupt},
		{"the end is missing", good[:len(good)-1], baseline.ErrCorrupt},
		{"a byte too many", append([]byte(string(good)), 0), baseline.ErrCorrupt},
		{"a bit has flipped", edit(func(b []byte) []byte { b[len(b)/2] ^= 1; return b }), baseline.ErrCorrupt},
		{"a newer version", edit(func(b []byte) []byte { b[2] = 3; return b }), baseline.ErrVersion},
		{"a length that overflows", withChecksum(append(good[:4:4],
			0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01)), baseline.ErrCorrupt},
		{"a forged number of ids", withChecksum(binary.AppendUvarint(append(good[:4:4], 0, 0, 0, 0), 1<<62)), baseline.ErrCorrupt},
		{"a forged number of features", withChecksum(binary.AppendUvarint(append(good[:4:4], 0, 0, 0, 0, 0), 1<<15)), baseline.ErrCorrupt},
		{"a feature named twice, without bytes", lists([]byte{2}, id, id, []byte{0}), baseline.ErrCorrupt},
		{"a feature named twice, with bytes", lists([]byte{0, 2}, id, []byte{0, 0}, id, []byte{0, 0}), baseline.ErrCorrupt},
		{"a feature in both lists", lists([]byte{1}, id, []byte{1}, id, []byte{0, 0}), baseline.ErrCorrupt},
		{"a feature that joined before any event", lists([]byte{0, 1}, id, []byte{1, 0}), baseline.ErrCorrupt},
		{"a time beyond all", withChecksum(binary.AppendVarint(good[:4:4], 1<<60)), baseline.ErrCorrupt},
		{"a time before all", withChecksum(binary.AppendVarint(good[:4:4], -1)), baseline.ErrCorrupt},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := h.layout.Decode(tt.record)
			require.ErrorIs(t, err, tt.want)
			assert.Nil(t, p)
		})
	}
	for i := range len(good) - 4 {
		_, err := h.layout.Decode(withChecksum(good[:i:i]))
		assert.Error(t, err, "cut after %d bytes, with a valid checksum", i)
	}
}

// A large record is deflated, and says no more than what it was.
func TestLargeRecords(t *testing.T) {
	f := baseline.FirstSeen("agent", agent, &baseline.FirstSeenOptions{Cap: 1024})
	h := newHistory(t, f)
	for i := range 500 {
		h.add(on(1, "10:00:00").Add(time.Duration(i)*time.Minute), fmt.Sprintf("the agent of number %d", i))
	}
	record, err := h.profile.AppendBinary([]byte("before"))
	require.NoError(t, err)
	record = bytes.TrimPrefix(record, []byte("before"))
	assert.Less(t, len(record), 10_000)
	p, err := h.layout.Decode(record)
	require.NoError(t, err)
	again, err := p.AppendBinary(nil)
	require.NoError(t, err)
	assert.Equal(t, record, again)

	for i := 4; i < len(record)-4; i += 97 {
		_, err := h.layout.Decode(withChecksum(record[:i:i]))
		assert.ErrorIs(t, err, baseline.ErrCorrupt, "cut after %d bytes", i)
	}
	_, err = h.layout.Decode(withChecksum(append(record[:len(record)-4:len(record)-4], 0)))
	require.ErrorIs(t, err, baseline.ErrCorrupt, "a byte too many")
	var bomb bytes.Buffer
	bomb.Write(record[:4])
	w, err := flate.NewWriter(&bomb, flate.BestCompression)
	require.NoError(t, err)
	_, err = w.Write(make([]byte, 64<<20))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	_, err = h.layout.Decode(withChecksum(bomb.Bytes()))
	require.ErrorIs(t, err, baseline.ErrCorrupt, "more than a record may have")
}

// withChecksum completes a record's body.
func withChecksum(body []byte) []byte {
	return binary.BigEndian.AppendUint32(body, crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
}

// A record is a function of what was folded: it does not tell how often, or
// when, the profile was saved and loaded meanwhile.
func TestRecordsDoNotTellOfReloads(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		features := every()
		kept, often := newHistory(t, features...), newHistory(t, features...)
		at := on(1, "00:00:00")
		for range 300 {
			at = at.Add(time.Duration(random.ExpFloat64() * float64(random.IntN(8)) * float64(10*time.Minute)))
			late := at.Add(-time.Duration(random.Int64N(int64(baseline.Lateness))))
			value := fmt.Sprint(random.IntN(12))
			kept.add(late, value)
			often.add(late, value)
			if random.IntN(4) == 0 {
				often.reload()
			}
		}
		want, err := kept.profile.AppendBinary(nil)
		require.NoError(t, err)
		got, err := often.profile.AppendBinary(nil)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

func TestDecodeNothing(t *testing.T) {
	h := newHistory(t, baseline.FirstSeen("agent", agent, nil))
	for _, record := range [][]byte{nil, {}} {
		p, err := h.layout.Decode(record)
		require.NoError(t, err)
		assert.Zero(t, p.Clock())
		h.profile = p
		h.reload()
	}
}

func TestDecodeKeepsNoReference(t *testing.T) {
	f := baseline.FirstSeen("agent", agent, nil)
	h := newHistory(t, f)
	h.daily(1, 3, "a")
	record, err := h.profile.AppendBinary(nil)
	require.NoError(t, err)
	h.profile, err = h.layout.Decode(record)
	require.NoError(t, err)
	clear(record)
	assert.Equal(t, []string{"a"}, f.In(h.add(on(4, "10:00:00"), "a")).Examples(3))
}

func TestAppendBinaryAppends(t *testing.T) {
	h := newHistory(t, baseline.FirstSeen("agent", agent, nil))
	h.daily(1, 3, "a")
	alone, err := h.profile.AppendBinary(nil)
	require.NoError(t, err)
	behind, err := h.profile.AppendBinary([]byte("before"))
	require.NoError(t, err)
	assert.Equal(t, "before"+string(alone), string(behind))
}

// A cell that breaks its contract fails the record, not the process.
func TestAppendBinaryOfABadCell(t *testing.T) {
	tests := []struct {
		name string
		cell badCell
		want string
	}{
		{"too large", badCell{size: 11}, "MaxBytes"},
		{"an error", badCell{err: fmt.Errorf("cannot")}, "cannot"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := baseline.Custom("bad", 10, func() *badCell { c := tt.cell; return &c },
				func(*badCell, *baseline.View) int { return 0 })
			h := newHistory(t, f)
			h.add(on(1, "10:00:00"), "a")
			b, err := h.profile.AppendBinary([]byte("before"))
			require.ErrorContains(t, err, tt.want)
			assert.Equal(t, "before", string(b))
		})
	}
}

type badCell struct {
	size int
	err  error
}

func (c *badCell) Fold(*event.Event, time.Time) {}
func (c *badCell) AppendBinary(b []byte) ([]byte, error) {
	return append(b, make([]byte, c.size)...), c.err
}
func (c *badCell) UnmarshalBinary([]byte) error { return nil }

// Whatever a key does, its record stays within bounds.
func TestMaxBytesIsHonoured(t *testing.T) {
	features := every()
	h := newHistory(t, features...)
	for i := range 50_000 {
		value := sha256.Sum256(fmt.Append(nil, i)) // nothing to deflate
		e := newEvent(i, on(1, "00:00:00").Add(time.Duration(i)*2*time.Minute), string(value[:])+"é")
		if i%2 == 0 {
			e.ID = fmt.Sprintf("%15d", i)
		}
		h.profile.Fold(e)
	}
	record, err := h.profile.AppendBinary(nil)
	require.NoError(t, err)
	assert.LessOrEqual(t, len(record), h.layout.MaxBytes())
	assert.Greater(t, len(record), h.layout.MaxBytes()/8, "a bound that is far off promises nothing")
}

func TestNewLayoutRefuses(t *testing.T) {
	f := baseline.FirstSeen("agent", agent, nil)
	none := func() *badCell { return &badCell{} }
	answer := func(*badCell, *baseline.View) int { return 0 }
	tests := []struct {
		name     string
		features []baseline.Feature
	}{
		{"nil", []baseline.Feature{f, nil}},
		{"twice", []baseline.Feature{f, f}},
		{"two with the same id", []baseline.Feature{f, baseline.FirstSeen("agent", agent, nil)}},
		{"no id", []baseline.Feature{anonymous{baseline.Custom("x", 1, none, answer)}}},
		{"bad patterns", []baseline.Feature{f.On("sts")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := baseline.NewLayout(0, tt.features...)
			assert.ErrorIs(t, err, baseline.ErrFeature)
		})
	}
}

// Records name features by three bytes. Two that have the same are told apart
// from two that are the same.
func TestCollidingIDs(t *testing.T) {
	known := make(map[uint64]baseline.Feature)
	for i := 0; ; i++ {
		f := baseline.LastSeen(fmt.Sprint(i), step("a"))
		start := baseline.Hash(f.ID()) >> 40
		if other := known[start]; other != nil {
			_, err := baseline.NewLayout(0, other, f)
			require.ErrorIs(t, err, baseline.ErrFeature)
			assert.ErrorContains(t, err, fmt.Sprintf("%q and %q", f.ID(), other.ID()))
			return
		}
		known[start] = f
	}
}

type anonymous struct{ baseline.Feature }

func (anonymous) ID() string { return "" }

func TestLateness(t *testing.T) {
	for given, allowed := range map[time.Duration]time.Duration{
		0: baseline.Lateness, time.Hour: time.Hour, 100 * day: baseline.MaxLateness,
	} {
		l, err := baseline.NewLayout(given)
		require.NoError(t, err)
		p := l.NewProfile()
		now := on(9, "12:00:00")
		p.Fold(newEvent(1, now, ""))
		assert.Equal(t, baseline.Late, p.Fold(newEvent(2, now.Add(-allowed-time.Second), "")))
		assert.Equal(t, baseline.Evaluated, p.Fold(newEvent(2, now.Add(-allowed), "")))
	}
}

func TestUndeclaredFeaturePanics(t *testing.T) {
	h := newHistory(t, baseline.FirstSeen("declared", agent, nil))
	other := baseline.FirstSeen("other", agent, nil)
	v := h.add(on(1, "10:00:00"), "a")
	assert.Panics(t, func() { other.In(v) })
	assert.Panics(t, func() { other.Age(v) })
	assert.Panics(t, func() { h.profile.Cell(other) })
}

// The configuration is part of a feature's id, so that cells of another
// configuration are never read as its own.
func TestIDsTellConfigurationsApart(t *testing.T) {
	ids := make(map[string]bool)
	features := []baseline.Feature{
		baseline.FirstSeen("x", agent, nil),
		baseline.FirstSeen("y", agent, nil),
		baseline.FirstSeen("x", agent, &baseline.FirstSeenOptions{Cap: 10}),
		baseline.FirstSeen("x", agent, &baseline.FirstSeenOptions{Retain: day}),
		baseline.FirstSeen("x", agent, &baseline.FirstSeenOptions{Learn: day}),
		baseline.FirstSeen("x", agent, &baseline.FirstSeenOptions{Days: 1}),
		baseline.FirstSeen("x", agent, &baseline.FirstSeenOptions{Span: day}),
		baseline.FirstSeen("x", agent, nil).On("sts:*"),
		baseline.Distinct("x", agent, 10, time.Hour),
		baseline.Distinct("x", agent, 11, time.Hour),
		baseline.Distinct("x", agent, 10, day),
		baseline.Rate("x", amount, time.Hour),
		baseline.Rate("x", amount, time.Minute),
		baseline.Sequence("x", time.Hour, step("a"), step("b")),
		baseline.Sequence("x", day, step("a"), step("b")),
		baseline.Sequence("x", time.Hour, step("a"), step("b"), step("c")),
		baseline.LastSeen("x", step("a")),
		baseline.Custom("x", 1, func() *badCell { return &badCell{} }, func(*badCell, *baseline.View) int { return 0 }),
	}
	for _, f := range features {
		assert.False(t, ids[f.ID()], f.ID())
		ids[f.ID()] = true
	}
}

// every returns a feature of each kind.
func every() []baseline.Feature {
	return []baseline.Feature{
		baseline.FirstSeen("agent", agent, nil),
		baseline.Distinct("agent", agent, 20, time.Hour),
		baseline.Rate("calls", func(*event.Event) int64 { return 1 << 40 }, time.Minute),
		baseline.Sequence("steps", time.Hour, func(*event.Event) bool { return true }, step("b")),
		baseline.LastSeen("agent", func(e *event.Event) bool { return e.UserAgent != "" }),
	}
}

// Where shows cells only what concerns them, and spares keys that have no such
// events the cell.
func TestWhere(t *testing.T) {
	known := baseline.FirstSeen("agent", agent, nil)
	some := known.Where(func(e *event.Event) bool { return e.UserAgent != "b" })
	h := newHistory(t, some)
	for d := range 20 {
		h.daily(d+1, d+1, "a")
		h.daily(d+1, d+1, "b")
	}
	assert.False(t, some.In(h.add(on(21, "10:00:00"), "a")).New)
	assert.True(t, some.In(h.add(on(21, "10:00:00"), "b")).New, "never shown")

	size := func(f baseline.Feature) int {
		other := newHistory(t, f)
		other.daily(1, 20, "b")
		record, err := other.profile.AppendBinary(nil)
		require.NoError(t, err)
		return len(record)
	}
	assert.Less(t, size(some), size(known), "no cell")
}

// A letters cell counts the letters of the values that it is given, and what it is
// given besides.
type letters struct{ of, other uint32 }

func (c *letters) Fold(*event.Event, time.Time) { c.other++ }

func (c *letters) FoldValue(value string, hash uint64, _ *event.Event, _ time.Time) {
	if hash == baseline.Hash(value) {
		c.of += uint32(len(value))
	}
}

func (c *letters) AppendBinary(b []byte) ([]byte, error) {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, c.of), c.other), nil
}

func (c *letters) UnmarshalBinary(b []byte) error {
	c.of, c.other = binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	return nil
}

// WhereValue gives cells the value and its hash, and shows them no event without
// one; a feature without WhereValue gives them all events.
func TestWhereValue(t *testing.T) {
	counts := func(c *letters, _ *baseline.View) letters { return *c }
	all := baseline.Custom("all", 8, func() *letters { return &letters{} }, counts)
	valued := baseline.Custom("valued", 8, func() *letters { return &letters{} }, counts).WhereValue(agent)
	h := newHistory(t, all, valued)
	for _, value := range []string{"a", "", "bcd", "a"} {
		h.add(on(1, "10:00:00"), value)
	}
	view := h.add(on(1, "10:00:00"), "")
	assert.Equal(t, letters{other: 5}, all.In(view))
	assert.Equal(t, letters{of: 5}, valued.In(view))
}

// A feature without WhereValue gets no values that another layout's feature has
// left in a scratch, and one with Where keeps that.
func TestWhereValueOnly(t *testing.T) {
	counts := func(c *letters, _ *baseline.View) letters { return *c }
	all := baseline.Custom("all", 8, func() *letters { return &letters{} }, counts)
	notB := func(e *event.Event) bool { return e.UserAgent != "b" }
	both := baseline.Custom("both", 8, func() *letters { return &letters{} }, counts).Where(notB).WhereValue(agent)
	agents, err := baseline.NewLayout(0, baseline.FirstSeen("agent", agent, nil), baseline.FirstSeen("again", agent, nil), both)
	require.NoError(t, err)
	layout, err := baseline.NewLayout(0, all, all.Where(notB).On("*"), both)
	require.NoError(t, err)
	scratch, first, second := baseline.NewScratch(), agents.NewProfile(), layout.NewProfile()
	for i, value := range []string{"a", "b", "cc"} {
		e := newEvent(i, on(1, "10:00:00"), value)
		require.Equal(t, baseline.Evaluated, first.FoldIn(scratch, e))
		require.Equal(t, baseline.Evaluated, second.FoldIn(scratch, e))
	}
	cells := func(i int) letters { return *second.Cell(layout.Features()[i]).(*letters) }
	assert.Equal(t, letters{other: 3}, cells(0))
	assert.Equal(t, letters{other: 2}, cells(1))
	assert.Equal(t, letters{of: 3}, cells(2))
}

// What Where keeps out is not unusual to the feature, like what On does.
func TestWhereAndUnusual(t *testing.T) {
	f := baseline.FirstSeen("agent", agent, nil).Where(func(e *event.Event) bool { return e.UserAgent != "b" })
	h := newHistory(t, f)
	for _, value := range []string{"a", "b", "a"} {
		var unusual []string
		for _, u := range baseline.UnusualIn(h.add(on(1, "10:00:00"), value), []baseline.Feature{f}) {
			unusual = append(unusual, u.Value)
		}
		assert.Equal(t, value == "a", slices.Contains(unusual, value), value)
	}
}

// Profiles that share a scratch answer like those that have their own.
func TestFoldIn(t *testing.T) {
	agents, window := baseline.FirstSeen("agent", agent, nil), baseline.Distinct("agent", agent, 8, time.Hour)
	l, err := baseline.NewLayout(0, agents, window)
	require.NoError(t, err)
	scratch := baseline.NewScratch()
	var shared, own [2]*baseline.Profile
	for i := range shared {
		shared[i], own[i] = l.NewProfile(), l.NewProfile()
	}
	for n := range 400 {
		e := newEvent(n, on(1, "10:00:00").Add(time.Duration(n)*time.Hour), fmt.Sprint("agent ", n*n%11))
		i := n / 3 % 2
		require.Equal(t, baseline.Evaluated, shared[i].FoldIn(scratch, e))
		require.Equal(t, baseline.Evaluated, own[i].Fold(e))
		a, b := shared[i].View(e), own[i].View(e)
		for range 2 { // asked again
			x, y := agents.In(a), agents.In(b)
			require.Equal(t, [...]any{y.Value, y.New, y.Days, y.Known, y.Unseen}, [...]any{x.Value, x.New, x.Days, x.Known, x.Unseen})
			require.Equal(t, window.In(b).Values(), window.In(a).Values())
		}
		if n%50 == 0 {
			scratch.Clear()
		}
	}
}

// What a profile says it remembers, it does: whenever it takes an event for new
// that it has folded before, it did not claim to remember its time.
func TestRemembers(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	forgotten, trusted := 0, 0
	for range 20 {
		h := newHistory(t, baseline.FirstSeen("agent", agent, nil))
		start, seen := on(1, "12:00:00"), []time.Time{}
		for id := 1; id <= 3000; id++ {
			// Bursts and pauses, out of order by up to a quarter of an hour.
			start = start.Add(time.Duration(random.IntN(1+random.IntN(2000))) * time.Millisecond)
			at := start.Add(-time.Duration(random.Int64N(int64(1 + random.Int64N(int64(baseline.Lateness))))))
			h.profile.Fold(newEvent(id, at, "a"))
			seen = append(seen, at)
			if random.IntN(500) == 0 {
				h.reload()
			}
			again := random.IntN(len(seen))
			claimed := h.profile.Remembers(seen[again])
			switch h.profile.Fold(newEvent(again+1, seen[again], "a")) {
			case baseline.Evaluated:
				forgotten++
				require.False(t, claimed, "event %d of %s", again+1, seen[again])
			case baseline.Duplicate:
				if claimed {
					trusted++
				}
			}
		}
	}
	assert.Positive(t, forgotten)
	assert.Greater(t, trusted, 1000)
}

// An event that is read into the memory of the one before is another event.
func TestFoldAnEventInTheSamePlace(t *testing.T) {
	name := event.Derive(func(e *event.Event) string { return e.UserAgent })
	agents := baseline.FirstSeen("agent", name.Of, nil)
	h := newHistory(t, agents)
	var e event.Event
	for i, want := range []string{"a", "b"} {
		e = *newEvent(i, on(1, "10:00:00"), want)
		require.Equal(t, baseline.Evaluated, h.profile.Fold(&e))
		assert.Equal(t, want, agents.In(h.profile.View(&e)).Value)
	}
	e = *newEvent(3, on(1, "10:00:00"), "c")
	view := h.profile.View(new(e))
	assert.Equal(t, "c", agents.In(view).Value, "a view of what was not folded")
	require.Equal(t, baseline.Evaluated, h.profile.Fold(view.Event), "a view's own event")
	view = h.profile.View(&e)
	assert.Equal(t, "c", agents.In(view).Value)
	assert.Equal(t, "c", agents.In(h.profile.View(view.Event)).Value)
}

// What panics does not keep other features from folding the event.
func TestFoldOfAPanickingFeature(t *testing.T) {
	before, behind := baseline.FirstSeen("before", agent, nil), baseline.FirstSeen("behind", agent, nil)
	oops := baseline.FirstSeen("oops", func(e *event.Event) string { panic("oh dear") }, nil)
	h := newHistory(t, before, oops, behind)
	e := newEvent(1, on(1, "10:00:00"), "a")
	func() {
		defer func() {
			p, ok := recover().(*baseline.PanicError)
			require.True(t, ok)
			assert.Equal(t, oops.ID(), p.Feature)
			assert.Equal(t, "oh dear", p.Value)
			assert.Contains(t, p.Error(), "oh dear")
			assert.Contains(t, string(p.Stack), "TestFoldOfAPanickingFeature")
		}()
		h.profile.Fold(e)
	}()
	assert.Equal(t, baseline.Duplicate, h.profile.Fold(e))
	for _, f := range []*baseline.Of[baseline.Novelty]{before, behind} {
		cell, err := h.profile.Cell(f).AppendBinary(nil)
		require.NoError(t, err)
		assert.NotEmpty(t, cell)
	}
}

// An event on which a feature panics has no values to it, not those of the one
// before.
func TestAnswerOfAPanickingFeature(t *testing.T) {
	oops := baseline.FirstSeen("agent", agent, nil).Where(func(e *event.Event) bool {
		if e.UserAgent == "b" {
			panic("oh dear")
		}
		return true
	})
	h := newHistory(t, oops)
	h.add(on(1, "10:00:00"), "a")
	e := newEvent(7, on(1, "10:00:00"), "b")
	require.Panics(t, func() { h.profile.Fold(e) })
	assert.NotEqual(t, "a", oops.In(h.profile.View(e)).Value)
	assert.Equal(t, "c", oops.In(h.add(on(1, "10:00:00"), "c")).Value)
}

// A profile keeps no event that it folded before the last one, not even a part.
func TestFoldLetsGo(t *testing.T) {
	h := newHistory(t, baseline.FirstSeen("agent", agent, nil).On("sts:GetCallerIdentity"))
	text := func() weak.Pointer[byte] {
		e := newEvent(1, on(1, "10:00:00"), strings.Repeat("a", 100))
		require.Equal(t, baseline.Evaluated, h.profile.Fold(e))
		return weak.Make(unsafe.StringData(e.UserAgent))
	}()
	other := newEvent(2, on(1, "10:00:00"), "b")
	other.Operation = "GetSessionToken"
	require.Equal(t, baseline.Evaluated, h.profile.Fold(other))
	runtime.GC()
	assert.Nil(t, text.Value())
	runtime.KeepAlive(h)
}

// A scratch says the same of a value as Hash, whatever came before.
func TestScratchHash(t *testing.T) {
	known, unknowing := baseline.NewScratch(), new(baseline.Scratch)
	values := []string{"", "a", "b", strings.Repeat("long ", 10), strings.Repeat("too long to be kept ", 10)}
	for i := range 10_000 { // more than it knows
		values = append(values, fmt.Sprint(i))
	}
	for range 2 {
		for _, v := range values {
			require.Equal(t, baseline.Hash(v), known.Hash(v))
			require.Equal(t, baseline.Hash(v), known.Hash(v))
			require.Equal(t, baseline.Hash(v), unknowing.Hash(v))
		}
	}
}
