// Package tenants shows detection for many customers in one process: a set and
// an engine for each, one store for all of them, coverage, incidents and
// verdicts. The guide product.md goes through it.
package tenants

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/coverage"
	"github.com/cloudtell/cloudtell/detect/incident"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/techniques"
)

// A Tenant is one customer: what is known about his organisation, and what was
// learnt about his principals. One goroutine at a time may use it.
type Tenant struct {
	engine   *detect.Engine
	joiner   *incident.Joiner
	coverage *coverage.Coverage
}

// Open returns the tenant of a name, whose records are those of the store that
// bear it.
func Open(name string, config *techniques.Config, store baseline.Store) (*Tenant, error) {
	detectors, err := techniques.All(config)
	if err != nil {
		return nil, fmt.Errorf("tenant %s: %w", name, err)
	}
	set, err := detect.NewSet(detectors, nil)
	if err != nil {
		return nil, fmt.Errorf("tenant %s: %w", name, err)
	}
	engine, err := detect.NewEngine(set, Prefixed(store, name+"/"), &detect.EngineOptions{
		Shards:  1,      // tenants run beside each other
		Cache:   1_000,  // profiles; the others are in the store
		Dedup:   10_000, // ids, beside the 512 in each record
		Updates: true,
	})
	if err != nil {
		return nil, err
	}
	joiner, err := incident.NewJoiner(nil)
	if err != nil {
		return nil, err
	}
	seen, err := coverage.New(set.Infos())
	if err != nil {
		return nil, err
	}
	return &Tenant{engine: engine, joiner: joiner, coverage: seen}, nil
}

// Process evaluates events that were delivered together, and returns what is
// new. What was learnt is in the store when it returns.
func (t *Tenant) Process(ctx context.Context, events []*event.Event, delivered time.Time) ([]detect.Finding, error) {
	for _, e := range events {
		t.joiner.Observe(e)
		t.coverage.Observe(e, delivered)
	}
	findings, err := t.engine.Process(ctx, events)
	var tell []detect.Finding
	for _, f := range findings {
		t.joiner.Add(f)
		t.coverage.Found(&f, delivered)
		if f.Revision == 0 || f.Raised {
			tell = append(tell, f)
		}
	}
	return tell, errors.Join(err, t.engine.Flush(ctx))
}

// Judge learns what an analyst decided about a finding, which comes back as the
// JSON that was told.
func (t *Tenant) Judge(ctx context.Context, finding []byte, verdict baseline.Verdict) error {
	var f detect.Finding
	if err := json.Unmarshal(finding, &f); err != nil {
		return err
	}
	return errors.Join(t.engine.Judge(ctx, &f, verdict), t.engine.Flush(ctx))
}

// Incidents returns the tenant's incidents, those of most concern first.
func (t *Tenant) Incidents() []incident.Incident { return t.joiner.Incidents() }

// Coverage says what the tenant's logs let the rules see.
func (t *Tenant) Coverage() *coverage.Report { return t.coverage.Report() }

// Stats returns what became of the tenant's events.
func (t *Tenant) Stats() detect.Stats { return t.engine.Stats() }
