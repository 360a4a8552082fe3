package awstrail_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/event/awstrail"
	"github.com/cloudtell/cloudtell/event/eventtest"
)

var (
	start = eventtest.Start
	days  = func(n int) time.Time { return start.AddDate(0, 0, n) }
	// fast reads as fast as the server answers.
	fast = awstrail.HistoryOptions{CallsPerSecond: 1e6}
)

// call is an event of the history.
func call(at time.Time, region string, n int) historyEvent {
	id := fmt.Sprintf("%s-%d", region, n)
	return historyEvent{at, id, eventtest.Record{Call: "ec2:DescribeInstances", At: at, ID: id, More: map[string]any{"awsRegion": region}}.JSON()}
}

// collect reads a history and returns its events, apart from its errors.
func collect(t *testing.T, s *server, from, to time.Time, o awstrail.HistoryOptions) (events []*event.Event, errs []error) {
	t.Helper()
	for e, err := range awstrail.History(context.Background(), s.cloudtrail(), from, to, &o) {
		require.True(t, (e == nil) != (err == nil))
		if err != nil {
			errs = append(errs, err)
		} else {
			events = append(events, e)
		}
	}
	require.True(t, slices.IsSortedFunc(events, func(a, b *event.Event) int { return a.Time.Compare(b.Time) }), "events are in order")
	return events, errs
}

func ids(events []*event.Event) []string {
	list := []string{}
	for _, e := range events {
		list = append(list, e.ID)
	}
	slices.Sort(list)
	return list
}

// Every event of the time asked for comes once and in order, whatever the
// history looks like, and no more is held than allowed.
func TestHistory(t *testing.T) {
	steady := func(of *[]historyEvent, region string, n int) {
		for i := range n {
			*of = append(*of, call(start.Add(time.Duration(i)*(90*24*time.Hour/time.Duration(n))).Truncate(time.Second), region, i))
		}
	}
	burst := func(of *[]historyEvent, region string, at time.Time, over time.Duration, n int) {
		random := rand.New(rand.NewPCG(1, 2))
		for range n {
			*of = append(*of, call(at.Add(time.Duration(random.Int64N(int64(over)))).Truncate(time.Second), region, len(*of)))
		}
	}
	record := len(call(start, "eu-west-1", 1000).record)
	tests := []struct {
		name  string
		fill  func(of *[]historyEvent, region string)
		most  int // calls, beyond one for 50 events
		waste float64
	}{
		{"nothing", func(*[]historyEvent, string) {}, 7, 0},
		{"few", func(of *[]historyEvent, r string) { steady(of, r, 90) }, 8, 0},
		{"many", func(of *[]historyEvent, r string) { steady(of, r, 4000) }, 20, 0.5},
		{"one second", func(of *[]historyEvent, r string) { burst(of, r, days(40), time.Second, 1000) }, 40, 1},
		{"a burst among few", func(of *[]historyEvent, r string) {
			steady(of, r, 500)
			burst(of, r, days(60), 10*time.Minute, 1500)
		}, 80, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t)
			var want []historyEvent
			tt.fill(&want, "eu-west-1")
			s.history = map[string][]historyEvent{"eu-west-1": want}
			o := fast
			o.MaxHeld = 200 * record
			events, errs := collect(t, s, start, days(90), o)
			require.Empty(t, errs)
			got, wanted := ids(events), []string{}
			for _, e := range want {
				wanted = append(wanted, e.id)
			}
			slices.Sort(wanted)
			require.Equal(t, wanted, got)
			t.Logf("%d events, %d calls", len(want), len(s.asked))
			assert.LessOrEqual(t, len(s.asked), tt.most+int(float64(len(want)/50)*(1+tt.waste)))
			if tt.name != "one second" {
				assert.LessOrEqual(t, s.largest, 250+1, "records held, a page more than allowed at most")
			}
		})
	}
}

func TestHistoryRegions(t *testing.T) {
	s := newServer(t)
	s.history = make(map[string][]historyEvent)
	regions := []string{"eu-west-1", "us-east-1", "ap-southeast-2"}
	for i, region := range regions {
		for n := range 300 {
			s.history[region] = append(s.history[region], call(start.Add(time.Duration(3*n+i)*time.Minute), region, n))
		}
	}
	o := fast
	o.Regions = regions
	events, errs := collect(t, s, start, days(1), o)
	require.Empty(t, errs)
	require.Len(t, events, 900)
	for i, e := range events {
		require.Equal(t, regions[i%3], e.Region)
	}

	events, errs = collect(t, s, start.Add(time.Minute), start.Add(3*time.Minute), o)
	require.Empty(t, errs)
	assert.Equal(t, []string{"ap-southeast-2-0", "us-east-1-0"}, ids(events), "from counts, to does not")
	_, errs = collect(t, s, days(1), start, o)
	assert.Empty(t, errs)
	_, errs = collect(t, s, start, time.Time{}, o)
	assert.Len(t, errs, 1)

	// Without a beginning, all that AWS keeps: the oldest event is a second too old.
	s.history = map[string][]historyEvent{"eu-west-1": {call(days(-90).Add(-time.Second), "eu-west-1", 1), call(days(-90), "eu-west-1", 2)}}
	events, errs = collect(t, s, time.Time{}, start, fast)
	require.Empty(t, errs)
	assert.Equal(t, []string{"eu-west-1-2"}, ids(events))
}

func TestHistoryFaults(t *testing.T) {
	const region = "eu-west-1"
	tests := []struct {
		name  string
		fault func(call, region string, n int, w http.ResponseWriter, r *http.Request) bool
		want  string // of the error; none if the call is tried again
	}{
		{"throttled", func(_, r string, n int, w http.ResponseWriter, _ *http.Request) bool {
			if n%3 != 0 {
				fail(w, http.StatusBadRequest, "ThrottlingException", "Rate exceeded")
			}
			return n%3 != 0
		}, ""},
		{"throttled for good", func(_, r string, n int, w http.ResponseWriter, _ *http.Request) bool {
			if r == region {
				fail(w, http.StatusBadRequest, "ThrottlingException", "Rate exceeded")
			}
			return r == region
		}, "ThrottlingException: Rate exceeded"},
		{"cut off", func(_, _ string, n int, w http.ResponseWriter, _ *http.Request) bool {
			if n%2 == 1 {
				cutOff(w, nil, []byte(`{"Events":[],"NextToken":"abcdefghijklmnopqrstuvwxyz"}`))
			}
			return false
		}, ""},
		{"half a document", func(_, _ string, n int, w http.ResponseWriter, _ *http.Request) bool {
			if n%2 == 1 {
				w.Write([]byte(`{"Events":[{"EventId":"`))
			}
			return n%2 == 1
		}, ""},
		{"no body", func(_, r string, n int, w http.ResponseWriter, _ *http.Request) bool {
			return r == region
		}, "an empty answer: unexpected EOF"},
		{"server error", func(_, _ string, n int, w http.ResponseWriter, _ *http.Request) bool {
			if n%2 == 1 {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			return n%2 == 1
		}, ""},
		{"expired credentials", func(_, r string, n int, w http.ResponseWriter, _ *http.Request) bool {
			if r == region {
				fail(w, http.StatusBadRequest, "ExpiredTokenException", "The security token included in the request is expired")
			}
			return r == region
		}, "ExpiredTokenException"},
		{"expired page", func(_, r string, n int, w http.ResponseWriter, _ *http.Request) bool {
			if r == region {
				fail(w, http.StatusBadRequest, "InvalidNextTokenException", "expired")
			}
			return r == region
		}, "InvalidNextTokenException"},
		{"the same page for ever", func(_, r string, n int, w http.ResponseWriter, _ *http.Request) bool {
			if r == region {
				respond(w, http.StatusOK, map[string]any{"Events": []any{}, "NextToken": "again"})
			}
			return r == region
		}, "this one again"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t)
			s.history = map[string][]historyEvent{}
			for n := range 120 {
				for _, r := range []string{region, "us-east-1"} {
					s.history[r] = append(s.history[r], call(start.Add(time.Duration(n)*time.Minute), r, n))
				}
			}
			s.fault = tt.fault
			o := fast
			o.Regions = []string{region, "us-east-1"}
			events, errs := collect(t, s, start, days(1), o)
			if tt.want == "" {
				require.Empty(t, errs)
				require.Len(t, events, 240)
				return
			}
			require.Len(t, events, 120, "the other region is read to its end")
			require.Len(t, errs, 1)
			assert.ErrorContains(t, errs[0], tt.want)
			var failed *awstrail.RegionError
			require.ErrorAs(t, errs[0], &failed)
			assert.Equal(t, region, failed.Region)
			assert.Equal(t, start, failed.From)
		})
	}
}

// A region that failed goes on where its error says.
func TestHistoryGoesOn(t *testing.T) {
	s := newServer(t)
	var all []historyEvent
	for n := range 2000 {
		all = append(all, call(start.Add(time.Duration(n)*time.Minute), "eu-west-1", n))
	}
	s.history = map[string][]historyEvent{"eu-west-1": all}
	s.fault = func(_, _ string, n int, w http.ResponseWriter, _ *http.Request) bool {
		if n == 25 {
			fail(w, http.StatusForbidden, "AccessDeniedException", "not any more")
		}
		return n == 25
	}
	o := fast
	o.MaxHeld = 300 * len(all[1000].record)
	first, errs := collect(t, s, start, days(2), o)
	require.Len(t, errs, 1)
	var failed *awstrail.RegionError
	require.ErrorAs(t, errs[0], &failed)
	assert.NotEmpty(t, first)
	assert.True(t, first[len(first)-1].Time.Before(failed.From))
	rest, errs := collect(t, s, failed.From, days(2), o)
	require.Empty(t, errs)
	assert.Equal(t, 2000, len(first)+len(rest))
}

// A broken record stays in its place and takes no other with it.
func TestHistoryBrokenRecord(t *testing.T) {
	s := newServer(t)
	broken := call(start.Add(time.Minute), "eu-west-1", 1)
	broken.record = broken.record[:100]
	missing := call(start.Add(2*time.Minute), "eu-west-1", 2)
	missing.record = ""
	s.history = map[string][]historyEvent{"eu-west-1": {call(start, "eu-west-1", 0), broken, missing, call(start.Add(3*time.Minute), "eu-west-1", 3)}}
	var got []string
	for e, err := range awstrail.History(context.Background(), s.cloudtrail(), start, days(1), &fast) {
		if err != nil {
			var bad *event.DecodeError
			require.ErrorAs(t, err, &bad)
			require.ErrorIs(t, err, event.ErrSyntax)
			got = append(got, err.Error()[:len("awstrail: event eu-west-1-1")])
			continue
		}
		got = append(got, e.ID)
	}
	assert.Equal(t, []string{"eu-west-1-0", "awstrail: event eu-west-1-1", "awstrail: event eu-west-1-2", "eu-west-1-3"}, got)
}

// Whoever stops early leaves nothing behind, and a context that ends is
// reported.
func TestHistoryStops(t *testing.T) {
	s := newServer(t)
	s.history = make(map[string][]historyEvent)
	for n := range 500 {
		s.history["eu-west-1"] = append(s.history["eu-west-1"], call(start.Add(time.Duration(n)*time.Hour), "eu-west-1", n))
	}
	for range awstrail.History(context.Background(), s.cloudtrail(), start, days(90), &fast) {
		break
	}
	calls := s.count("LookupEvents")
	time.Sleep(20 * time.Millisecond)
	assert.LessOrEqual(t, s.count("LookupEvents"), calls+1, "one was under way")

	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	reason := errors.New("the shift is over")
	n := 0
	var last error
	for _, err := range awstrail.History(ctx, s.cloudtrail(), start, days(90), &fast) {
		if n++; n == 10 {
			cancel(reason)
		}
		last = err
	}
	assert.Equal(t, 11, n)
	assert.ErrorIs(t, last, reason)
}

// Each region is asked at its own pace.
func TestHistoryPace(t *testing.T) {
	s := newServer(t)
	began := time.Now()
	_, errs := collect(t, s, start, days(1), awstrail.HistoryOptions{Regions: []string{"eu-west-1", "us-east-1"}, CallsPerSecond: 20})
	require.Empty(t, errs)
	require.Len(t, s.asked, 8)
	assert.GreaterOrEqual(t, time.Since(began), 3*time.Second/20)
}
