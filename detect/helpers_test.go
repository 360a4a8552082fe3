package detect_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

const day = baseline.Day

// on returns the time of a clock reading on a day; day 1 is a Monday.
func on(day int, clock string) time.Time {
	c, err := time.Parse("15:04:05", clock)
	if err != nil {
		panic(err)
	}
	return time.Date(2026, 1, 4+day, c.Hour(), c.Minute(), c.Second(), 0, time.UTC)
}

// agent is the value that features under test remember.
func agent(e *event.Event) string { return e.UserAgent }

// newEvent returns an event of a principal. Its id is that of n.
func newEvent(n int, at time.Time, principal, agent string) *event.Event {
	return &event.Event{
		ID: fmt.Sprintf("%08x-0000-4000-8000-%012x", n, n), Category: event.Management, Time: at,
		Source: "sts.amazonaws.com", Name: "GetCallerIdentity", Operation: "GetCallerIdentity",
		AccountID: "111122223333", Region: "us-east-1", SourceAddress: "198.51.100.7", UserAgent: agent,
		Principal: event.Principal{Kind: event.User, Key: principal, Name: principal, Session: "session"},
		Identity:  event.Identity{AccessKeyID: "AKIAEXAMPLE"},
	}
}

// info returns an acceptable info.
func info(name string, features ...baseline.Feature) detect.Info {
	return detect.Info{
		Name: name, Doc: "Reports what the test wants.", Technique: "T1078", Tactic: detect.InitialAccess,
		Severity: detect.Medium, Uses: features,
	}
}

// echo reports every event, with the user agent as the subject; none for "".
func echo(i detect.Info) detect.Detector {
	return detect.New(i, func(p *detect.Pass) {
		if p.Event.UserAgent != "" {
			p.Report(p.Event.UserAgent, "seen: "+p.Event.UserAgent)
		}
	})
}

// novel reports user agents that are new to the principal.
func novel(f *baseline.Of[baseline.Novelty], i detect.Info) detect.Detector {
	i.Uses = append(i.Uses, f)
	return detect.New(i, func(p *detect.Pass) {
		if n := f.In(p); n.New {
			p.Report(n.Value, "new: "+n.Value)
		}
	})
}

func newSet(t testing.TB, detectors ...detect.Detector) *detect.Set {
	t.Helper()
	set, err := detect.NewSet(detectors, nil)
	require.NoError(t, err)
	return set
}

func newEngine(t testing.TB, set *detect.Set, store baseline.Store, o *detect.EngineOptions) *detect.Engine {
	t.Helper()
	engine, err := detect.NewEngine(set, store, o)
	require.NoError(t, err)
	return engine
}

func process(t testing.TB, en *detect.Engine, events ...*event.Event) []detect.Finding {
	t.Helper()
	findings, err := en.Process(context.Background(), events)
	require.NoError(t, err)
	requireAccounted(t, en)
	return findings
}

func requireAccounted(t testing.TB, en *detect.Engine) {
	t.Helper()
	s := en.Stats()
	require.Equal(t, s.Events, s.Evaluated+s.Duplicate+s.Late+s.Rejected, "nothing vanishes: %+v", s)
}

func subjects(findings []detect.Finding) []string {
	var list []string
	for _, f := range findings {
		list = append(list, f.Subject)
	}
	return list
}

// A faultyStore is a memory that fails when it is told to.
type faultyStore struct {
	baseline.Memory
	loadErr, saveErr error
	afterSaving      bool // fail although the records are stored
	saves            atomic.Int64
}

var errDown = errors.New("the store is down")

func (s *faultyStore) Load(ctx context.Context, keys []string) ([]baseline.Record, error) {
	if s.loadErr != nil {
		return nil, s.loadErr
	}
	return s.Memory.Load(ctx, keys)
}

func (s *faultyStore) Save(ctx context.Context, records []baseline.Record) error {
	s.saves.Add(1)
	if s.saveErr != nil && !s.afterSaving {
		return s.saveErr
	}
	if err := s.Memory.Save(ctx, records); err != nil {
		return err
	}
	return s.saveErr
}
