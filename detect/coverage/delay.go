package coverage

import (
	"math"
	"time"
)

// A histogram counts durations in steps that grow by a twelfth or so, from a
// second to three years, so that a quantile is exact to that.
type histogram struct {
	steps  [steps]int64
	total  int64
	max    time.Duration
	hour   int64 // within an hour
	day    int64
	week   int64
	before int64 // negative: a clock is wrong
}

const (
	steps    = 240
	perTwice = 9 // steps to double
)

func (h *histogram) add(d time.Duration) {
	if d < 0 {
		h.before++
		d = 0
	}
	h.total++
	h.max = max(h.max, d)
	h.steps[stepOf(d)]++
	switch {
	case d <= time.Hour:
		h.hour++
	case d <= 24*time.Hour:
		h.day++
	case d <= 7*24*time.Hour:
		h.week++
	}
}

// stepOf returns the step of a duration: step 0 ends at a second.
func stepOf(d time.Duration) int {
	if d <= time.Second {
		return 0
	}
	return min(steps-1, int(math.Ceil(perTwice*math.Log2(d.Seconds())-1e-9)))
}

// quantile returns the end of the step in which a share of the durations ends.
func (h *histogram) quantile(share float64) time.Duration {
	rank := int64(math.Ceil(share * float64(h.total)))
	var sum int64
	for i, n := range h.steps {
		if sum += n; sum >= rank && n > 0 {
			end := time.Duration(math.Exp2(float64(i)/perTwice) * float64(time.Second))
			return min(end.Round(time.Second), h.max)
		}
	}
	return 0
}

func (h *histogram) merge(o *histogram) {
	for i := range h.steps {
		h.steps[i] += o.steps[i]
	}
	h.total += o.total
	h.max = max(h.max, o.max)
	h.hour, h.day, h.week, h.before = h.hour+o.hour, h.day+o.day, h.week+o.week, h.before+o.before
}

// A Delay sums up how long something took.
type Delay struct {
	// Count is the number of durations known.
	Count int64 `json:"count"`
	// P50 and P95 are quantiles, exact to a twelfth; Max is the longest.
	P50 Seconds `json:"p50_seconds"`
	P95 Seconds `json:"p95_seconds"`
	Max Seconds `json:"max_seconds"`
	// Hour, Day and Week are the shares, from 0 to 1, that took at most so
	// long.
	Hour float64 `json:"within_hour"`
	Day  float64 `json:"within_day"`
	Week float64 `json:"within_week"`
	// Negative counts events dated after their delivery: a wrong clock.
	Negative int64 `json:"negative,omitempty"`
}

// Seconds is a duration that JSON shows in seconds.
type Seconds time.Duration

// String writes the duration in whole seconds: "3m20s".
func (s Seconds) String() string { return time.Duration(s).Round(time.Second).String() }

// MarshalJSON implements [encoding/json.Marshaler].
func (s Seconds) MarshalJSON() ([]byte, error) {
	return appendSeconds(nil, time.Duration(s)), nil
}

func (h *histogram) delay() Delay {
	d := Delay{Count: h.total, Max: Seconds(h.max), Negative: h.before}
	if h.total > 0 {
		d.P50, d.P95 = Seconds(h.quantile(0.5)), Seconds(h.quantile(0.95))
		n := float64(h.total)
		d.Hour, d.Day, d.Week = float64(h.hour)/n, float64(h.hour+h.day)/n, float64(h.hour+h.day+h.week)/n
	}
	return d
}
