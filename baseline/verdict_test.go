package baseline_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/event"
)

// decide gives a verdict about the unusual values of the event in view.
func (h *history) decide(f baseline.Feature, v *baseline.View, verdict baseline.Verdict) {
	h.t.Helper()
	list := baseline.UnusualIn(v, []baseline.Feature{f})
	require.NotEmpty(h.t, list)
	for _, u := range list {
		require.NoError(h.t, h.profile.Decide(u, verdict, v.Event.Time))
	}
}

func TestVerdicts(t *testing.T) {
	f := baseline.FirstSeen("agent", agent, nil)
	isNew := func(h *history, at time.Time, value string) bool {
		return f.In(h.add(at, value)).New
	}
	t.Run("benign makes a value normal at once, the same day", func(t *testing.T) {
		h := newHistory(t, f)
		h.daily(1, 20, "a")
		v := h.add(on(21, "10:00:00"), "b")
		require.True(t, f.In(v).New)
		h.decide(f, v, baseline.Benign)
		h.reload()
		assert.False(t, isNew(h, on(21, "10:05:00"), "b"))
		assert.True(t, isNew(h, on(21, "10:06:00"), "c"), "but no other value")
	})
	t.Run("also for the event in view", func(t *testing.T) {
		h := newHistory(t, f)
		h.daily(1, 20, "a")
		v := h.add(on(21, "10:00:00"), "b")
		require.True(t, f.In(v).New)
		h.decide(f, v, baseline.Benign)
		assert.False(t, f.In(v).New)
		h.decide(f, h.profile.View(newEvent(0, on(21, "10:00:00"), "c")), baseline.Benign)
		assert.False(t, f.In(h.profile.View(newEvent(0, on(21, "10:00:00"), "c"))).New)
	})
	t.Run("benign outlives the time a value is remembered for", func(t *testing.T) {
		h := newHistory(t, f)
		h.daily(1, 20, "a")
		h.decide(f, h.add(on(21, "10:00:00"), "b"), baseline.Benign)
		h.daily(22, 70, "a")
		h.reload()
		assert.False(t, isNew(h, on(71, "10:00:00"), "b"))
	})
	t.Run("malicious keeps a value new, however often it comes", func(t *testing.T) {
		h := newHistory(t, f)
		h.daily(1, 20, "a")
		h.decide(f, h.add(on(21, "09:00:00"), "b"), baseline.Malicious)
		h.daily(21, 50, "b")
		h.reload()
		assert.True(t, isNew(h, on(51, "10:00:00"), "b"))
	})
	t.Run("malicious undoes what was learnt", func(t *testing.T) {
		h := newHistory(t, f)
		v := h.add(on(1, "09:00:00"), "b")
		u := baseline.UnusualIn(v, []baseline.Feature{f})[0]
		h.daily(1, 20, "b")
		require.False(t, isNew(h, on(21, "10:00:00"), "b"))
		require.NoError(t, h.profile.Decide(u, baseline.Malicious, on(21, "10:00:00")))
		assert.True(t, isNew(h, on(21, "10:01:00"), "b"))
	})
	t.Run("a verdict can be replaced and taken back", func(t *testing.T) {
		h := newHistory(t, f)
		h.daily(1, 20, "a")
		v := h.add(on(21, "09:00:00"), "b")
		u := baseline.UnusualIn(v, []baseline.Feature{f})[0]
		for i, step := range []struct {
			verdict baseline.Verdict
			isNew   bool
		}{{baseline.Benign, false}, {baseline.Malicious, true}, {baseline.Benign, false}, {baseline.Undecided, true}} {
			require.NoError(t, h.profile.Decide(u, step.verdict, on(21, "09:00:00")))
			assert.Equal(t, step.isNew, isNew(h, on(21, fmt.Sprintf("10:%02d:00", i)), "b"), step.verdict)
		}
	})
	t.Run("a flood does not push verdicts out", func(t *testing.T) {
		h := newHistory(t, f)
		h.daily(1, 20, "a")
		good, bad := h.add(on(21, "09:00:00"), "good"), on(21, "09:01:00")
		h.decide(f, good, baseline.Benign)
		h.decide(f, h.add(bad, "bad"), baseline.Malicious)
		for i := range 5000 {
			h.add(on(22, "00:00:00").Add(time.Duration(i)*time.Minute), fmt.Sprint("flood ", i))
		}
		h.reload()
		assert.False(t, isNew(h, on(26, "10:00:00"), "good"))
		assert.True(t, isNew(h, on(26, "10:01:00"), "bad"))
	})
	t.Run("a value that made way can be judged by its finding", func(t *testing.T) {
		h := newHistory(t, f)
		v := h.add(on(1, "09:00:00"), "b")
		u := baseline.UnusualIn(v, []baseline.Feature{f})[0]
		for i := range 200 {
			h.add(on(2, "00:00:00").Add(time.Duration(i)*time.Minute), fmt.Sprint("flood ", i))
		}
		require.NoError(t, h.profile.Decide(u, baseline.Benign, on(1, "09:00:00")))
		h.reload()
		assert.False(t, isNew(h, on(3, "10:00:00"), "b"))
	})
	t.Run("verdicts are bounded, and leave room for what is learnt", func(t *testing.T) {
		small := baseline.FirstSeen("agent", agent, &baseline.FirstSeenOptions{Cap: 4})
		h := newHistory(t, small)
		var last error
		kept := 0
		for i := range 10 {
			u := baseline.Unusual{Feature: small.ID(), Value: fmt.Sprint(i), Hash: baseline.Hash(fmt.Sprint(i))}
			if last = h.profile.Decide(u, baseline.Verdict(1+i%2), on(1, "10:00:00")); last == nil {
				kept++
			}
		}
		assert.Equal(t, 2, kept)
		assert.ErrorIs(t, last, baseline.ErrVerdict)
		for d := 1; d <= 20; d++ { // regular ones and a flood, in the room that is left
			h.add(on(d, "10:00:00"), "a")
			h.add(on(d, "11:00:00"), fmt.Sprint("flood ", d))
			h.reload()
		}
		assert.False(t, small.In(h.add(on(21, "10:00:00"), "a")).New)
	})
	t.Run("a benign value does not make a key look unsteady", func(t *testing.T) {
		h := newHistory(t, f)
		h.daily(1, 20, "a")
		h.decide(f, h.add(on(21, "10:00:00"), "b"), baseline.Benign)
		assert.Zero(t, f.In(h.add(on(22, "10:00:00"), "a")).Unseen)
	})
}

func TestVerdictsRefused(t *testing.T) {
	f := baseline.FirstSeen("agent", agent, nil)
	other := baseline.Distinct("agent", agent, 8, time.Hour)
	h := newHistory(t, f, other)
	h.add(on(1, "10:00:00"), "a")
	before, err := h.profile.AppendBinary(nil)
	require.NoError(t, err)
	u := baseline.Unusual{Feature: f.ID(), Value: "a", Hash: baseline.Hash("a")}
	elsewhere, counted := u, u
	elsewhere.Feature, counted.Feature = "another feature", other.ID()
	for name, err := range map[string]error{
		"no such feature":          h.profile.Decide(elsewhere, baseline.Benign, on(1, "10:00:00")),
		"a feature that counts":    h.profile.Decide(counted, baseline.Benign, on(1, "10:00:00")),
		"no such verdict":          h.profile.Decide(u, 3, on(1, "10:00:00")),
		"a time before all events": h.profile.Decide(u, baseline.Benign, time.Time{}),
		"a time after all events":  h.profile.Decide(u, baseline.Benign, on(1000*365, "10:00:00")),
	} {
		assert.ErrorIs(t, err, baseline.ErrVerdict, name)
	}
	after, err := h.profile.AppendBinary(nil)
	require.NoError(t, err)
	assert.Equal(t, before, after, "what is refused changes nothing")

	layout, err := baseline.NewLayout(0, f, other)
	require.NoError(t, err)
	fresh, empty := layout.NewProfile(), layout.NewProfile()
	require.ErrorIs(t, fresh.Decide(counted, baseline.Benign, on(1, "10:00:00")), baseline.ErrVerdict)
	after, err = fresh.AppendBinary(nil)
	require.NoError(t, err)
	before, err = empty.AppendBinary(nil)
	require.NoError(t, err)
	assert.Equal(t, before, after, "nor in a profile without cells")
}

// What is unusual about an event is its own new value, and those of a window
// that the feature remembers too; nothing that is normal.
func TestUnusualIn(t *testing.T) {
	f := baseline.FirstSeen("agent", agent, nil)
	w := baseline.Distinct("agent", agent, 8, time.Hour)
	features := []baseline.Feature{f, w}
	values := func(v *baseline.View, features ...baseline.Feature) []string {
		var list []string
		for _, u := range baseline.UnusualIn(v, features) {
			assert.Equal(t, baseline.Hash(u.Value), u.Hash)
			assert.Equal(t, f.ID(), u.Feature)
			list = append(list, u.Value)
		}
		return list
	}
	h := newHistory(t, features...)
	h.daily(1, 20, "a")
	h.add(on(21, "10:00:00"), "b")
	h.add(on(21, "10:01:00"), "a")
	v := h.add(on(21, "10:02:00"), "c")
	assert.Equal(t, []string{"c", "b"}, values(v, features...))
	assert.Equal(t, []string{"c"}, values(v, f))
	assert.Empty(t, values(v, w))
	v = h.add(on(21, "10:03:00"), "a")
	assert.Equal(t, []string{"b", "c"}, values(v, features...), "the event's own value is normal")
	v = h.add(on(21, "12:03:00"), "")
	assert.Empty(t, values(v, features...))
}

// A feature of other events has nothing to say about the event: a verdict about
// a thing read must not make it one that was written.
func TestUnusualToWhomItConcerns(t *testing.T) {
	here := baseline.FirstSeen("agent", agent, nil).On("sts:GetCallerIdentity")
	elsewhere := baseline.FirstSeen("agent elsewhere", agent, nil).On("sts:AssumeRole")
	composed := baseline.Custom("novelty", 1, func() baseline.Cell { return &noCell{} },
		func(baseline.Cell, *baseline.View) baseline.Novelty { return baseline.Novelty{Value: "x", New: true} })
	w := baseline.Distinct("agent", agent, 8, time.Hour)
	h := newHistory(t, here, elsewhere, composed, w)
	h.add(on(1, "09:59:00"), "a")
	v := h.add(on(1, "10:00:00"), "b")
	list := baseline.UnusualIn(v, []baseline.Feature{here, elsewhere, composed, w})
	require.Len(t, list, 2)
	for i, want := range []string{"b", "a"} {
		assert.Equal(t, baseline.Unusual{Feature: here.ID(), Value: want, Hash: baseline.Hash(want)}, list[i])
	}
}

type noCell struct{}

func (*noCell) Fold(*event.Event, time.Time)          {}
func (*noCell) AppendBinary(b []byte) ([]byte, error) { return b, nil }
func (*noCell) UnmarshalBinary([]byte) error          { return nil }

// All values of an event that carries several are unusual to it, not the first.
func TestUnusualOfSeveral(t *testing.T) {
	f := baseline.FirstSeenEach("words", func(list []string, e *event.Event) []string { return append(list, strings.Fields(e.UserAgent)...) }, nil)
	h := newHistory(t, f)
	h.daily(1, 20, "b")
	var values []string
	for _, u := range baseline.UnusualIn(h.add(on(21, "10:00:00"), "a b c a"), []baseline.Feature{f}) {
		values = append(values, u.Value)
	}
	assert.Equal(t, []string{"a", "c"}, values)
}

// Forged bytes that fill all room with verdicts would leave none to learn in.
func TestForgedVerdicts(t *testing.T) {
	f := baseline.FirstSeen("agent", agent, &baseline.FirstSeenOptions{Cap: 4})
	for verdicts := range 5 {
		b := []byte{1, 0, 0, 4}
		for i := range 4 {
			verdict := byte(0)
			if i < verdicts {
				verdict = 2
			}
			b = append(b, 33, 0, 0, 0, 0, 0, 0, 0, byte(i), 0, 0, 0, 1, verdict)
		}
		assert.Equal(t, verdicts <= 2, f.NewCell().UnmarshalBinary(b) == nil, verdicts)
	}
}

func TestVerdictText(t *testing.T) {
	for _, v := range []baseline.Verdict{baseline.Undecided, baseline.Benign, baseline.Malicious} {
		text, err := json.Marshal(v)
		require.NoError(t, err)
		var back baseline.Verdict
		require.NoError(t, json.Unmarshal(text, &back))
		assert.Equal(t, v, back)
	}
	var v baseline.Verdict
	assert.Error(t, v.UnmarshalText([]byte("maybe")))
	assert.Equal(t, "Verdict(9)", baseline.Verdict(9).String())
}

// A verdict may name a long value in full: the record keeps which it is about.
func TestVerdictAboutALongValue(t *testing.T) {
	for _, length := range []int{1, 31, 32, 33, 60} {
		agents := baseline.FirstSeen("agent", agent, nil)
		h := newHistory(t, agents)
		value := strings.Repeat("v", length)
		h.add(on(1, "10:00:00"), "other")
		require.NoError(t, h.profile.Decide(baseline.Unusual{Feature: agents.ID(), Value: value, Hash: baseline.Hash(value)}, baseline.Benign, on(1, "10:00:00")))
		assert.True(t, agents.In(h.add(on(1, "11:00:00"), "x")).Established(value), length)
		h.reload()
		assert.True(t, agents.In(h.add(on(1, "11:00:00"), "y")).Established(value), length)
	}
}
