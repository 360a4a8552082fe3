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
	"github.com/cloudtell/cloudtell/detect/detecttest"
	"github.com/cloudtell/cloudtell/event"
)

// dayOne is midnight.
var dayOne = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)

// userAgentBursts takes an event's user agent for its value.
var userAgentBursts = bursts("test", func(e *event.Event) string { return e.UserAgent }, 25, 5*time.Minute)

// at makes n events of different values, a second apart.
func at(t time.Time, n int) []*event.Event {
	var events []*event.Event
	for i := range n {
		events = append(events, &event.Event{Time: t.Add(time.Duration(i) * time.Second), UserAgent: fmt.Sprint("v", i)})
	}
	return events
}

func TestBursts(t *testing.T) {
	onDays := func(n int, days ...int) (events []*event.Event) {
		for _, d := range days {
			events = append(events, at(dayOne.AddDate(0, 0, d).Add(10*time.Hour), n)...)
		}
		return events
	}
	tests := []struct {
		name   string
		events []*event.Event
		asked  time.Time
		want   burstHabit
	}{
		{"nothing", nil, dayOne, burstHabit{}},
		{"today does not count", onDays(40, 0), dayOne.Add(23 * time.Hour), burstHabit{}},
		{"yesterday counts when it has ended for good", onDays(40, 0), dayOne.Add(24*time.Hour + 14*time.Minute), burstHabit{}},
		{"and then it does", onDays(40, 0), dayOne.Add(24*time.Hour + 15*time.Minute), burstHabit{Days: 1}},
		{"too few values", onDays(20, 0, 1, 2, 3, 4, 5, 6, 7), dayOne.AddDate(0, 0, 9), burstHabit{}},
		{"three days within a week", onDays(40, 0, 1, 2), dayOne.AddDate(0, 0, 6), burstHabit{Days: 3}},
		{"three days, a week ago", onDays(40, 0, 1, 2), dayOne.AddDate(0, 0, 8), burstHabit{Days: 3, Normal: true}},
		{"two days, a week ago", onDays(40, 0, 1), dayOne.AddDate(0, 0, 8), burstHabit{Days: 2}},
		{"weekly", onDays(40, 0, 7, 14, 21), dayOne.AddDate(0, 0, 28), burstHabit{Days: 4, Normal: true}},
		{"forgotten after 30 days", onDays(40, 0, 1, 2), dayOne.AddDate(0, 0, 40), burstHabit{}},
		{"after a year of silence", onDays(40, 0, 1, 2, 400), dayOne.AddDate(0, 0, 402), burstHabit{Days: 1}},
		{"an event from before all that", onDays(40, 10, 11, 12), dayOne, burstHabit{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := userAgentBursts.NewCell().(*burstCell)
			for _, e := range test.events {
				c.Fold(e, e.Time)
			}
			assert.Equal(t, test.want, c.habit(test.asked))
		})
	}

	t.Run("no value", func(t *testing.T) {
		c := userAgentBursts.NewCell().(*burstCell)
		c.Fold(&event.Event{Time: dayOne}, dayOne)
		assert.Zero(t, c.answer(dayOne))
	})
	t.Run("later than is kept, or almost", func(t *testing.T) {
		for slices := range int64(20) {
			c := userAgentBursts.NewCell().(*burstCell)
			for _, e := range append(at(dayOne, 1), at(dayOne.Add(-time.Duration(slices*c.slice)*time.Second), 1)...) {
				c.Fold(e, dayOne)
			}
			assert.Equal(t, 1, c.answer(dayOne).Now)
		}
	})
	t.Run("one value again and again", func(t *testing.T) {
		c := userAgentBursts.NewCell().(*burstCell)
		for i := range 1000 {
			e := at(dayOne, 1)[0]
			e.Time = e.Time.Add(time.Duration(i) * 100 * time.Millisecond)
			c.Fold(e, e.Time)
		}
		assert.Zero(t, c.habit(dayOne.AddDate(0, 0, 2)))
	})
}

// The estimate by marks stays near the truth.
func TestBurstsCountValues(t *testing.T) {
	for name, test := range map[string]struct {
		n    int
		want int
	}{"clearly fewer": {20, 0}, "clearly more": {30, 1}} {
		t.Run(name, func(t *testing.T) {
			for salt := range 50 {
				c := userAgentBursts.NewCell().(*burstCell)
				for _, e := range at(dayOne, test.n) {
					e.UserAgent += fmt.Sprint(" ", salt)
					c.Fold(e, e.Time)
				}
				require.Equal(t, test.want, c.habit(dayOne.AddDate(0, 0, 2)).Days, "salt %d", salt)
			}
		})
	}
}

// What comes together is counted as one window, wherever in it one asks.
func TestBurstsNow(t *testing.T) {
	objects := bursts("test", func(e *event.Event) string { return e.UserAgent }, 250, 10*time.Minute)
	folded := func(events []*event.Event) *burstCell {
		c := objects.NewCell().(*burstCell)
		for _, e := range events {
			c.Fold(e, e.Time)
		}
		return c
	}
	for _, n := range []int{0, 1, 50, 250, 500, 1000, 2000} {
		t.Run(fmt.Sprint(n, " values"), func(t *testing.T) {
			for salt := range 20 {
				events := at(dayOne, n)
				for i, e := range events {
					e.UserAgent += fmt.Sprint(" ", salt)
					e.Time = dayOne.Add(2*time.Minute + time.Duration(i)*5*time.Minute/time.Duration(n))
				}
				c := folded(events)
				for _, asked := range []time.Duration{2, 4, 7} {
					assert.InDelta(t, n, c.answer(dayOne.Add(asked*time.Minute)).Now, float64(n)*0.1, "salt %d", salt)
				}
			}
		})
	}
	t.Run("what is further apart than the window", func(t *testing.T) {
		early, late := at(dayOne, 300), at(dayOne.Add(15*time.Minute), 200)
		for i, e := range late {
			e.UserAgent = fmt.Sprint("w", i)
		}
		c := folded(append(early, late...))
		assert.InDelta(t, 300, c.answer(dayOne).Now, 20)
		assert.InDelta(t, 200, c.answer(dayOne.Add(15*time.Minute)).Now, 15)
		assert.Zero(t, c.answer(dayOne.Add(time.Hour)).Now)
	})
	t.Run("more than can be told apart", func(t *testing.T) {
		assert.Greater(t, folded(at(dayOne, 100_000)[:500]).answer(dayOne).Now, 400)
		events := at(dayOne, 100_000)
		for _, e := range events {
			e.Time = dayOne
		}
		assert.Greater(t, folded(events).answer(dayOne).Now, 2000)
	})
}

// The order of arrival leaves no trace.
func TestBurstsShuffled(t *testing.T) {
	var events []*event.Event
	for _, minutes := range []int{0, 4, 9, 16, 60, 1437, 1441, 1500} {
		events = append(events, at(dayOne.Add(time.Duration(minutes)*time.Minute), 24)...)
	}
	encode := func(events []*event.Event) []byte {
		c := userAgentBursts.NewCell()
		for _, e := range events {
			c.Fold(e, e.Time)
		}
		b, err := c.AppendBinary(nil)
		require.NoError(t, err)
		return b
	}
	want := encode(events)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		shuffled := slices.Clone(events)
		arrival := make(map[*event.Event]time.Time)
		for _, e := range events {
			arrival[e] = e.Time.Add(time.Duration(rng.Int64N(int64(15 * time.Minute))))
		}
		slices.SortFunc(shuffled, func(a, b *event.Event) int { return arrival[a].Compare(arrival[b]) })
		require.Equal(t, want, encode(shuffled))
	}
}

func TestBurstsKeepTheContract(t *testing.T) {
	s, err := detecttest.Parse("bursts", `rule none
principal app = role app session app-1 from 198.51.100.7 agent "aws-sdk-go-v2/1.25.3"
case reads over midnight
  day 1-3 23:50 app s3:GetObject {"bucketName":"data","key":"{day}/{n}.csv"} times 120 every 10s
  expect nothing
`)
	require.NoError(t, err)
	baselinetest.Feature(t, bursts("test", objectRead, 25, 10*time.Minute), s.Cases[0].Events())
}

func TestBurstsRecord(t *testing.T) {
	c := userAgentBursts.NewCell().(*burstCell)
	empty, err := c.AppendBinary(nil)
	require.NoError(t, err)
	assert.Empty(t, empty)
	for _, e := range at(dayOne, 40) {
		c.Fold(e, e.Time)
	}
	b, err := c.AppendBinary(nil)
	require.NoError(t, err)
	assert.LessOrEqual(t, len(b), userAgentBursts.MaxBytes())

	again := userAgentBursts.NewCell().(*burstCell)
	require.NoError(t, again.UnmarshalBinary(b))
	assert.Equal(t, c.habit(dayOne.AddDate(0, 0, 2)), again.habit(dayOne.AddDate(0, 0, 2)))
	b2, err := again.AppendBinary(nil)
	require.NoError(t, err)
	assert.Equal(t, b, b2)

	for name, bad := range map[string][]byte{
		"short":           b[:len(b)-1],
		"long":            append(slices.Clone(b), 0),
		"no slice":        make([]byte, len(b)),
		"header cut":      b[:burstHeader-1],
		"slices unknown":  slices.Concat(b[:burstHeader-4], []byte{0xff}, b[burstHeader-3:]),
		"beyond all time": slices.Concat([]byte{0xff}, b[1:]),
		"beyond all days": slices.Concat(b[:8], []byte{0xff}, b[9:]),
	} {
		t.Run(name, func(t *testing.T) {
			assert.Error(t, again.UnmarshalBinary(bad))
			unchanged, err := again.AppendBinary(nil)
			require.NoError(t, err)
			assert.Equal(t, b, unchanged)
		})
	}
}
