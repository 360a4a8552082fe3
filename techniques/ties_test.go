package techniques

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/baseline/baselinetest"
	"github.com/cloudtell/cloudtell/event"
)

// agentTies ties what stands before the slash in a user agent to what stands
// behind it, and shows the error message.
var agentTies = ties("test", func(e *event.Event) tie {
	value, group, _ := strings.Cut(e.UserAgent, "/")
	return tie{group: strings.Clone(group), value: strings.Clone(value), label: strings.Clone(e.ErrorMessage)}
}, 4, 3, 30*time.Minute)

// tied makes an event that ties a value to a group.
func tied(minute int, value, group, label string) *event.Event {
	e := &event.Event{
		Time: dayOne.Add(time.Duration(minute) * time.Minute), UserAgent: value + "/" + group, ErrorMessage: label,
		Category: event.Management, Source: "sts.amazonaws.com", Operation: "GetCallerIdentity",
	}
	e.ID = fmt.Sprintf("%08x-0000-4000-8000-%012x", minute, baseline.Hash(e.UserAgent+label)>>16)
	return e
}

// recent returns what is remembered at the last of the events, however they
// arrive.
func recent(t *testing.T, events ...*event.Event) recentTies {
	t.Helper()
	c := agentTies.NewCell().(*tiesCell)
	for _, e := range events {
		c.Fold(e, e.Time)
	}
	last := events[len(events)-1]
	return recentTies{cell: c, own: c.of(last), since: last.Time.Add(-30 * time.Minute).UnixMilli()}
}

func TestTies(t *testing.T) {
	t.Run("elsewhere", func(t *testing.T) {
		for name, test := range map[string]struct {
			events []*event.Event
			want   []string
		}{
			"another group, another label": {[]*event.Event{tied(0, "key", "as1", "berlin"), tied(5, "key", "as2", "bucharest")}, []string{"as1 berlin"}},
			"a label known already":        {[]*event.Event{tied(0, "key", "as1", "berlin"), tied(5, "key", "as2", "berlin")}, nil},
			"the same group":               {[]*event.Event{tied(0, "key", "as1", "berlin"), tied(5, "key", "as1", "bucharest")}, nil},
			"another value":                {[]*event.Event{tied(0, "key", "as1", "berlin"), tied(5, "yek", "as2", "bucharest")}, nil},
			"at the edge of the window":    {[]*event.Event{tied(0, "key", "as1", "berlin"), tied(30, "key", "as2", "bucharest")}, []string{"as1 berlin"}},
			"beyond the window":            {[]*event.Event{tied(0, "key", "as1", "berlin"), tied(31, "key", "as2", "bucharest")}, nil},
			"later, but here already":      {[]*event.Event{tied(9, "key", "as1", "berlin"), tied(0, "key", "as2", "bucharest")}, []string{"as1 berlin"}},
			"the same group, later":        {[]*event.Event{tied(9, "key", "as1", "berlin"), tied(0, "key", "as1", "bucharest")}, nil},
			"no value":                     {[]*event.Event{tied(0, "", "as1", "berlin"), tied(5, "", "as2", "bucharest")}, nil},
			"an event that ties nothing":   {[]*event.Event{tied(0, "key", "as1", "berlin"), tied(5, "key", "", "bucharest")}, nil},
			"oldest first": {[]*event.Event{tied(2, "key", "as1", "berlin"), tied(1, "key", "as3", "paris"), tied(5, "key", "as2", "bucharest")},
				[]string{"as3 paris", "as1 berlin"}},
		} {
			t.Run(name, func(t *testing.T) {
				var got []string
				for _, p := range recent(t, test.events...).elsewhere() {
					got = append(got, p.group+" "+p.label)
				}
				assert.Equal(t, test.want, got)
			})
		}
	})
	t.Run("together", func(t *testing.T) {
		r := recent(t, tied(0, "a", "as1", "1"), tied(1, "b", "as1", "2"), tied(2, "b", "as1", "3"), tied(3, "c", "as2", "4"), tied(4, "a", "as1", "5"))
		assert.Equal(t, []string{"3", "5"}, labelsOf(r.together()))
		assert.Equal(t, []string{tied(2, "b", "as1", "3").ID, tied(4, "a", "as1", "5").ID}, eventsOf(r.together()))
	})
	t.Run("a busy group does not displace a quiet one", func(t *testing.T) {
		events := []*event.Event{tied(0, "stolen", "as2", "bucharest")}
		for i := range 100 {
			events = append(events, tied(1, fmt.Sprint("key", i), "as1", "berlin"))
		}
		assert.Len(t, recent(t, append(events, tied(2, "stolen", "as1", "berlin"))...).elsewhere(), 1)
	})
	t.Run("long labels are cut between characters", func(t *testing.T) {
		long := strings.Repeat("ü", 20)
		r := recent(t, tied(0, "key", "as1", "x"+long), tied(1, "key", long, "x"+long))
		assert.Empty(t, r.elsewhere(), "cut to the same")
		assert.Equal(t, "x"+strings.Repeat("ü", 15), r.together()[0].label)
		assert.Equal(t, strings.Repeat("ü", 16), r.together()[0].group)
	})
	t.Run("labels as long as can be, and longer ones", func(t *testing.T) {
		most := strings.Repeat("x", maxTieLabel)
		assert.Equal(t, most, tieLabel(most))
		assert.Equal(t, most, tieLabel(most+"x"))
		assert.Empty(t, tieLabel(strings.Repeat("\x80", maxTieLabel+1)), "no character begins there")
	})
	t.Run("ids that are no UUIDs are not kept", func(t *testing.T) {
		e := tied(0, "a", "as1", "1")
		e.ID = "1"
		assert.Empty(t, eventsOf(recent(t, e).together()))
	})
	t.Run("what ties nothing takes no room", func(t *testing.T) {
		assert.Empty(t, recent(t, tied(0, "key", "", "x"), tied(0, "", "as1", "x")).cell.groups)
	})
	t.Run("seeing the same again costs no memory", func(t *testing.T) {
		c := ties("test", func(*event.Event) tie { return tie{"as1", "key", "berlin"} }, 4, 3, time.Hour).NewCell()
		e := tied(0, "key", "as1", "berlin")
		c.Fold(e, e.Time)
		assert.Zero(t, testing.AllocsPerRun(100, func() {
			e.Time = e.Time.Add(time.Second)
			c.Fold(e, e.Time)
		}))
	})
}

func TestTiesKeepTheContract(t *testing.T) {
	var events []*event.Event
	for i := range 400 {
		events = append(events, tied(i*7, fmt.Sprint("key", i%5), fmt.Sprint("as", i/90+i%2), fmt.Sprint("city", i%3)))
	}
	baselinetest.Feature(t, agentTies, events)
}

// The order of arrival leaves no trace, even where not all is kept.
func TestTiesShuffled(t *testing.T) {
	encode := func(events []*event.Event) []byte {
		c := agentTies.NewCell()
		for _, e := range events {
			c.Fold(e, e.Time)
		}
		b, err := c.AppendBinary(nil)
		require.NoError(t, err)
		return b
	}
	events := func(n int, event func(int) *event.Event) (list []*event.Event) {
		for i := range n {
			list = append(list, event(i))
		}
		return list
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for name, events := range map[string][]*event.Event{
		"more values than are kept": events(60, func(i int) *event.Event {
			return tied(i/2, fmt.Sprint("key", i%7), fmt.Sprint("as", i%4), fmt.Sprint("city", i))
		}),
		"more values than are kept, at once": events(6, func(i int) *event.Event { return tied(0, fmt.Sprint("key", i), "as", "city") }),
		"more groups than are kept":          events(6, func(i int) *event.Event { return tied(i, "key", fmt.Sprint("as", i), "city") }),
		"more groups than are kept, at once": events(6, func(i int) *event.Event { return tied(i%2, "key", fmt.Sprint("as", i), "city") }),
		"one value with many labels, at once": events(12, func(i int) *event.Event {
			return tied(i%2, "key", "as", fmt.Sprint("city", i))
		}),
	} {
		t.Run(name, func(t *testing.T) {
			want := encode(events)
			for range 50 {
				rng.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
				require.Equal(t, want, encode(events))
			}
		})
	}
}

func TestTiesRecord(t *testing.T) {
	r := recent(t, tied(0, "a", "as1", "1"), tied(1, "b", "as1", "2"), tied(2, "a", "as2", "3"))
	b, err := r.cell.AppendBinary(nil)
	require.NoError(t, err)
	again := agentTies.NewCell().(*tiesCell)
	require.NoError(t, again.UnmarshalBinary(b))
	assert.Equal(t, r.cell.groups, again.groups)

	// changed encodes what no cell holds.
	changed := func(change func(groups []tieGroup)) []byte {
		c := &tiesCell{groups: slices.Clone(r.cell.groups)}
		for i := range c.groups {
			c.groups[i].values = slices.Clone(c.groups[i].values)
		}
		change(c.groups)
		b, err := c.AppendBinary(nil)
		require.NoError(t, err)
		return b
	}
	two := slices.IndexFunc(r.cell.groups, func(g tieGroup) bool { return len(g.values) == 2 })
	none := make([]byte, 0)
	for name, bad := range map[string][]byte{
		"none":                none,
		"short":               b[:len(b)-1],
		"long":                append(slices.Clone(b), 0),
		"too many groups":     append([]byte{5}, b[1:]...),
		"groups out of order": changed(func(groups []tieGroup) { slices.Reverse(groups) }),
		"a group twice":       changed(func(groups []tieGroup) { groups[1] = groups[0] }),
		"values out of order": changed(func(groups []tieGroup) { slices.Reverse(groups[two].values) }),
		"a value twice":       changed(func(groups []tieGroup) { groups[two].values[1] = groups[two].values[0] }),
		"before all time":     changed(func(groups []tieGroup) { groups[0].values[0].millis = -1 }),
		"a label too long":    changed(func(groups []tieGroup) { groups[0].label = strings.Repeat("x", maxTieLabel+1) }),
		"too many values": changed(func(groups []tieGroup) {
			for i := range uint64(4) {
				groups[0].values = append(groups[0].values, tieValue{hash: math.MaxUint64 - 3 + i})
			}
			groups[0].values = groups[0].values[len(groups[0].values)-4:]
		}),
		"an empty group": append([]byte{1, 0, 0, 0, 0, 0, 0, 0, 1, 0}, 0),
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorIs(t, again.UnmarshalBinary(bad), errTies)
			assert.Equal(t, r.cell.groups, again.groups, "as it was")
		})
	}
}
