package detecttest

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// practice are the events that detectors are tried on here: three weeks of
// two users and a bucket, then a burst.
func practice(t *testing.T) []*event.Event {
	t.Helper()
	s, err := Parse("practice.txt", `
rule none
principal alice = user alice from 198.51.100.7 agent "aws-cli/2.15.30"
principal bob = role deploy session ci from 203.0.113.9 agent "Boto3/1.34"
case practice
  day 1-20 weekdays 10:00 alice s3:GetObject {"bucketName":"data","key":"{day}/{n}"} times 4 every 2m
  day 1-20 11:00 bob ec2:DescribeInstances times 2 every 10m
  day 21 10:00 alice s3:GetObject {"bucketName":"data","key":"burst/{n}"} times 40 every 20s
  day 21 10:05 alice iam:ListUsers from 192.0.2.200 agent "curl/8" times 3 every 30s
  day 21 10:06 bob iam:ListUsers from 192.0.2.200 agent "curl/8" error AccessDenied
  expect nothing
`)
	require.NoError(t, err)
	return s.Cases[0].Events()
}

func info(name string, features ...baseline.Feature) detect.Info {
	return detect.Info{
		Name: name, Doc: "Reports what the test wants.", Technique: "T1078", Tactic: detect.InitialAccess,
		Severity: detect.Medium, Uses: features,
	}
}

func key(e *event.Event) string   { return e.ObjectKey() }
func agent(e *event.Event) string { return e.UserAgent }

var (
	keys   = baseline.Distinct("object key", key, 60, 10*time.Minute)
	agents = baseline.FirstSeen("agent", agent, nil)
	calls  = baseline.Rate("calls", func(*event.Event) int64 { return 1 }, time.Minute)
	steps  = baseline.Sequence("get, then list", time.Hour,
		func(e *event.Event) bool { return e.Operation == "GetObject" },
		func(e *event.Event) bool { return e.Operation == "ListUsers" })
)

// good are detectors that keep every law.
func good() []detect.Detector {
	novel := info("novel-agent", agents)
	novel.Learn, novel.Cold = 14*baseline.Day, detect.Low
	buckets := info("bucket-burst", keys)
	buckets.Scope = detect.ByBucket
	return []detect.Detector{
		detect.New(info("key-burst", keys), func(p *detect.Pass) {
			if w := keys.In(p); w.Count >= 20 {
				p.Report("", fmt.Sprintf("%d keys", w.Count), detect.Evidence{Name: "keys", Observed: strings.Join(w.Values(), " "), EventIDs: w.EventIDs()})
			}
		}),
		detect.New(buckets, func(p *detect.Pass) {
			if w := keys.In(p); w.Count >= 20 {
				p.Report("", fmt.Sprintf("%d keys", w.Count))
			}
		}),
		detect.New(novel, func(p *detect.Pass) {
			if n := agents.In(p); n.New {
				p.Report(n.Value, "new: "+n.Value, detect.Evidence{Name: "agent", Observed: n.Value, Expected: strings.Join(n.Examples(3), " ")})
			}
		}),
		detect.New(info("call-rate", calls), func(p *detect.Pass) {
			if r := calls.In(p); r.Now >= 4 && r.Past().Days > 3 {
				p.Report("", "many calls")
			}
		}),
		detect.New(info("get-then-list", steps), func(p *detect.Pass) {
			if steps.In(p).Done {
				p.Report("", "list after get")
			}
		}),
	}
}

func TestLaws(t *testing.T) {
	Laws(t, good(), practice(t))
}

func TestTestDetector(t *testing.T) {
	require.NoError(t, TestDetector(good()[:1], practice(t)))
}

// Without findings, a law would be easy to keep.
func TestPracticeMakesTheDetectorsReport(t *testing.T) {
	tr, err := newTrial(good(), practice(t))
	require.NoError(t, err)
	for _, stream := range [][]*event.Event{tr.given, tr.random} {
		findings, err := tr.process(stream)
		require.NoError(t, err)
		rules := make(map[string]bool)
		for _, f := range findings {
			rules[f.Rule] = true
		}
		assert.Len(t, rules, len(good()))
	}
}

// always reports every event, with a title made by the function.
func always(name string, title func(p *detect.Pass) string, features ...baseline.Feature) detect.Detector {
	return detect.New(info(name, features...), func(p *detect.Pass) { p.Report("", title(p)) })
}

// Each law is broken by a detector or a feature, and the kit must say so.
func TestPlantedMistakes(t *testing.T) {
	tests := []struct {
		law  string
		make func() detect.Detector
	}{
		{"Frozen", func() detect.Detector {
			// A cell that does not save all that it answers with.
			f := baseline.Custom("forgetful", 8, func() *forgetfulCell { return &forgetfulCell{} },
				func(c *forgetfulCell, _ *baseline.View) int { return c.events })
			return always("forgetful", func(p *detect.Pass) string { return fmt.Sprint(f.In(p)) }, f)
		}},
		{"Frozen", func() detect.Detector {
			// A cell that is not empty when it is new.
			shared := &countCell{}
			f := baseline.Custom("shared", 10, func() *countCell { return shared },
				func(c *countCell, _ *baseline.View) uint64 { return c.events })
			return always("shared", func(p *detect.Pass) string { return fmt.Sprint(f.In(p)) }, f)
		}},
		{"Alone", func() detect.Detector {
			// A detector with a memory of its own, over all keys.
			var last atomic.Pointer[string]
			return always("gossip", func(p *detect.Pass) string {
				who := strings.Clone(p.Event.Principal.Key)
				if before := last.Swap(&who); before != nil {
					return "after " + *before
				}
				return "first"
			})
		}},
		{"Sharded", func() detect.Detector {
			var n atomic.Int64
			return always("counting", func(p *detect.Pass) string { return fmt.Sprint(n.Add(1)) })
		}},
		{"Shuffled", func() detect.Detector {
			// A detector that counts on one event to come after the other.
			i := info("impatient", steps)
			i.Events = []string{"iam:ListUsers"}
			got := baseline.Distinct("gets", func(e *event.Event) string {
				if e.Operation != "GetObject" {
					return ""
				}
				return e.ObjectKey()
			}, 60, time.Minute)
			i.Uses = []baseline.Feature{got}
			return detect.New(i, func(p *detect.Pass) {
				if got.In(p).Count >= 4 {
					p.Report(p.Event.ID, "list after get")
				}
			})
		}},
		{"Shuffled", func() detect.Detector {
			// A cell to which the latest is what came last.
			f := baseline.Custom("last", 8, func() *lastCell { return &lastCell{} },
				func(c *lastCell, _ *baseline.View) int64 { return c.gap })
			return detect.New(info("gap", f), func(p *detect.Pass) {
				if gap := f.In(p); gap < 0 {
					p.Report("", "time runs backwards")
				}
			})
		}},
		{"Duplicated", func() detect.Detector {
			// A key that differs in the copies of a record.
			i := info("regional", calls)
			i.Scope = &detect.Scope{Name: "region", Key: func(e *event.Event) string { return e.Region }}
			return detect.New(i, func(p *detect.Pass) { p.Report("", fmt.Sprint(calls.In(p).Now)) })
		}},
		{"Bounded", func() detect.Detector {
			f := baseline.Custom("hoard", 1<<10, func() *hoardCell { return &hoardCell{} },
				func(c *hoardCell, _ *baseline.View) int { return len(c.values) })
			return always("hoard", func(p *detect.Pass) string { return fmt.Sprint(f.In(p)) }, f)
		}},
		{"Untouched", func() detect.Detector {
			return always("editor", func(p *detect.Pass) string {
				p.Event.UserAgent = strings.ToUpper(p.Event.UserAgent)
				return ""
			})
		}},
		{"Untouched", func() detect.Detector {
			var kept *event.Event
			return always("keeper", func(p *detect.Pass) string {
				if kept == nil {
					kept = p.Event
				}
				return kept.Name
			})
		}},
		{"Resumed", func() detect.Detector {
			var n atomic.Int64
			return always("uncrashed", func(p *detect.Pass) string { return fmt.Sprint(n.Add(1)) })
		}},
		{"Clock", func() detect.Detector {
			return always("watch", func(p *detect.Pass) string { return time.Now().String() })
		}},
		{"Clock", func() detect.Detector {
			return detect.New(info("stale"), func(p *detect.Pass) {
				if time.Since(p.Event.Time) > 0 {
					p.Report("", "in the past")
				}
			})
		}},
		{"Joined", func() detect.Detector {
			seen := make(map[string]bool)
			return detect.New(info("omniscient"), func(p *detect.Pass) {
				if !seen[p.Event.Principal.Key] {
					seen[p.Event.Principal.Key] = true
					p.Report("", "first event of all")
				}
			})
		}},
	}
	for _, tt := range tests {
		d := tt.make()
		t.Run(tt.law+"/"+d.Info().Name, func(t *testing.T) {
			tr, err := newTrial([]detect.Detector{d}, practice(t))
			require.NoError(t, err)
			tr.elsewhen = func(f func()) { synctest.Test(t, func(*testing.T) { f() }) }
			for _, l := range laws {
				if l.name == tt.law {
					err := tr.check(l)
					require.Error(t, err)
					assert.True(t, strings.HasPrefix(err.Error(), l.name+": "+l.sentence+": "), err)
					return
				}
			}
			t.Fatal("no such law")
		})
	}
}

// The mistakes are found by the exported function too.
func TestTestDetectorNamesTheLaw(t *testing.T) {
	d := always("editor", func(p *detect.Pass) string {
		p.Event.Region = "nowhere"
		return ""
	})
	err := TestDetector([]detect.Detector{d}, practice(t))
	require.ErrorContains(t, err, "Untouched: a detector never modifies or keeps the event")
	require.ErrorContains(t, err, "was modified")
}

func TestTestDetectorRefuses(t *testing.T) {
	events := practice(t)
	var n int
	tests := []struct {
		name      string
		detectors []detect.Detector
		events    []*event.Event
		want      string
	}{
		{"no events", good(), nil, "no events"},
		{"a bad detector", []detect.Detector{detect.New(detect.Info{Name: "x"}, nil)}, events, "no doc"},
		{"an info that changes", []detect.Detector{fickle{&n}}, events, "same value"},
		{"a panic", []detect.Detector{always("bad", func(*detect.Pass) string { panic("oh dear") })}, events, "oh dear"},
		{"an undeclared feature", []detect.Detector{always("bad", func(p *detect.Pass) string { return agents.In(p).Value })}, events, "must declare it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.ErrorContains(t, TestDetector(tt.detectors, tt.events), tt.want)
		})
	}
}

func TestAddsUp(t *testing.T) {
	good := detect.Stats{Events: 10, Evaluated: 4, Duplicate: 3, Late: 2, Rejected: 1}
	require.NoError(t, addsUp(good, 10))
	require.Error(t, addsUp(good, 11), "an event was not counted")
	good.Late--
	require.Error(t, addsUp(good, 10), "an event vanished")
}

type fickle struct{ n *int }

func (f fickle) Info() detect.Info {
	*f.n++
	return info(fmt.Sprint("name-", *f.n))
}
func (fickle) Detect(*detect.Pass) {}

type forgetfulCell struct{ events int }

func (c *forgetfulCell) Fold(*event.Event, time.Time)          { c.events++ }
func (c *forgetfulCell) AppendBinary(b []byte) ([]byte, error) { return append(b, 1), nil }
func (c *forgetfulCell) UnmarshalBinary([]byte) error          { return nil }

type countCell struct{ events uint64 }

func (c *countCell) Fold(*event.Event, time.Time) { c.events++ }
func (c *countCell) AppendBinary(b []byte) ([]byte, error) {
	return binary.AppendUvarint(b, c.events), nil
}
func (c *countCell) UnmarshalBinary(b []byte) error { return nil }

type lastCell struct{ last, gap int64 }

func (c *lastCell) Fold(e *event.Event, _ time.Time) {
	c.last, c.gap = e.Time.Unix(), e.Time.Unix()-c.last
}

func (c *lastCell) AppendBinary(b []byte) ([]byte, error) {
	return binary.BigEndian.AppendUint64(b, uint64(c.last)), nil
}

func (c *lastCell) UnmarshalBinary(b []byte) error {
	c.last = int64(binary.BigEndian.Uint64(b))
	return nil
}

type hoardCell struct{ values []byte }

func (c *hoardCell) Fold(e *event.Event, _ time.Time) {
	c.values = append(c.values, e.UserAgent[:1]...)
}
func (c *hoardCell) AppendBinary(b []byte) ([]byte, error) { return append(b, c.values...), nil }
func (c *hoardCell) UnmarshalBinary(b []byte) error {
	c.values = append([]byte(nil), b...)
	return nil
}
