package baseline_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/event"
)

// amount counts an event, or what its user agent says.
func amount(e *event.Event) int64 {
	var n int64 = 1
	fmt.Sscan(e.UserAgent, &n)
	return n
}

func TestRate(t *testing.T) {
	// activity adds, on a day at the hours from eight o'clock on, so many each.
	activity := func(h *history, d int, amounts ...int) {
		for i, n := range amounts {
			h.add(on(d, "08:00:00").Add(time.Duration(i)*time.Hour), fmt.Sprint(n))
		}
	}
	tests := []struct {
		name   string
		before func(h *history)
		at     time.Time
		amount string
		now    int64
		want   baseline.Past
	}{
		{
			name:   "cold start",
			before: func(*history) {},
			at:     on(1, "10:00:00"), amount: "3", now: 3,
		},
		{
			name:   "today is left out",
			before: func(h *history) { activity(h, 1, 100, 100) },
			at:     on(1, "09:30:00"), amount: "1", now: 101,
		},
		{
			name:   "yesterday is left out until it has settled",
			before: func(h *history) { activity(h, 1, 100, 100) },
			at:     on(2, "00:14:59"), amount: "1", now: 1,
		},
		{
			name:   "one day: no second-highest",
			before: func(h *history) { activity(h, 1, 10, 30) },
			at:     on(2, "00:15:00"), amount: "1", now: 1,
			want: baseline.Past{Days: 1, Typical: 20, Highest: 30},
		},
		{
			name: "median and second-highest shrug off one bad day",
			before: func(h *history) {
				activity(h, 1, 10)
				activity(h, 2, 1_000_000, 1_000_000)
				activity(h, 3, 20, 20)
			},
			at: on(4, "10:00:00"), amount: "1", now: 1,
			want: baseline.Past{Days: 3, Typical: 20, Peak: 20, Highest: 1_000_000},
		},
		{
			name: "an even number of days: the median is the middle of two",
			before: func(h *history) {
				activity(h, 1, 10)
				activity(h, 2, 20)
			},
			at: on(3, "10:00:00"), amount: "1", now: 1,
			want: baseline.Past{Days: 2, Typical: 15, Peak: 10, Highest: 20},
		},
		{
			name: "days older than thirty are forgotten",
			before: func(h *history) {
				activity(h, 1, 1000)
				activity(h, 2, 7)
			},
			at: on(32, "10:00:00"), amount: "1", now: 1,
			want: baseline.Past{Days: 1, Typical: 7, Highest: 7},
		},
		{
			name: "an event without amount adds nothing",
			before: func(h *history) {
				activity(h, 1, 0, -5, 8)
			},
			at: on(2, "10:00:00"), amount: "0", now: 0,
			want: baseline.Past{Days: 1, Typical: 8, Highest: 8},
		},
		{
			name:   "an amount beyond 64 bits saturates",
			before: func(h *history) { activity(h, 1, math.MaxInt64) },
			at:     on(1, "08:59:00"), amount: fmt.Sprint(math.MaxInt64), now: math.MaxInt64,
		},
		{
			name: "a late event counts in its own period",
			before: func(h *history) {
				h.add(on(1, "09:55:00"), "5")
				h.add(on(1, "10:05:00"), "7")
			},
			at: on(1, "09:56:00"), amount: "1", now: 6,
		},
	}
	for _, tt := range tests {
		for _, reload := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/reload=%t", tt.name, reload), func(t *testing.T) {
				f := baseline.Rate("calls", amount, time.Hour)
				h := newHistory(t, f)
				tt.before(h)
				if reload {
					h.reload()
				}
				r := f.In(h.add(tt.at, tt.amount))
				assert.Equal(t, tt.now, r.Now)
				assert.Equal(t, tt.want, r.Past())
			})
		}
	}
	assert.Zero(t, baseline.Rates{}.Past())
}

// A period may span midnight when it is no divisor of the day. It belongs to
// one day whatever the order of its events, and not to a day that has settled.
func TestRateAroundMidnight(t *testing.T) {
	events := []*event.Event{
		newEvent(1, on(1, "23:57:00"), "5"),
		newEvent(2, on(2, "00:01:00"), "6"),
		newEvent(3, on(2, "00:08:00"), "7"),
	}
	for minutes := 1; minutes <= 60; minutes++ {
		var want []byte
		for i, order := range [][]*event.Event{events, reversed(events)} {
			h := newHistory(t, baseline.Rate("calls", amount, time.Duration(minutes)*time.Minute))
			for _, e := range order {
				h.profile.Fold(e)
			}
			record, err := h.profile.AppendBinary(nil)
			require.NoError(t, err)
			if i == 0 {
				want = record
				continue
			}
			require.Equal(t, want, record, "period of %d minutes: the order leaves a trace", minutes)
		}
	}
}

func TestRatePeriodsAreBounded(t *testing.T) {
	for given, used := range map[time.Duration]time.Duration{
		0: time.Minute, time.Second: time.Minute, 90*time.Second + 1: 90 * time.Second, day: time.Hour,
	} {
		assert.Equal(t, baseline.Rate("x", amount, used).ID(), baseline.Rate("x", amount, given).ID())
	}
}

func TestRateBurstDoesNotRaiseItsOwnBar(t *testing.T) {
	f := baseline.Rate("calls", amount, time.Minute)
	h := newHistory(t, f)
	for d := 1; d <= 20; d++ {
		h.add(on(d, "10:00:00"), "4")
	}
	var past baseline.Past
	for i := range 600 {
		past = f.In(h.add(on(21, "10:00:00").Add(time.Duration(i)*time.Second), "1000")).Past()
	}
	assert.Equal(t, baseline.Past{Days: 20, Typical: 4, Peak: 4, Highest: 4}, past)
}
