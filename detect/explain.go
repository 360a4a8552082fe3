package detect

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/event"
)

// Explain says for each rule of a scope what it makes of an event, given the
// record of the event's key, and which condition decided: the answer to "why
// was this found?" and to "why not?". The record stays as it is.
//
// The event may be one that the record has taken in already, or has not. In
// the former case what came after it is remembered too, so an amount may be
// larger than it was when the event was evaluated. An event so late that it
// would not be evaluated is explained like one that was.
//
// If a detector panics, that is returned as a [*PanicError] together with what
// the others say.
func (s *Set) Explain(scope *Scope, record []byte, e *event.Event) ([]Explanation, error) {
	g, err := s.groupOf(scope)
	if err != nil {
		return nil, err
	}
	key, err := g.scope.Of(e)
	if err != nil {
		return nil, err
	}
	if key == "" {
		return nil, fmt.Errorf("%w: the event is of no concern to scope %q", ErrKey, g.scope.Name)
	}
	profile, err := g.layout.Decode(record)
	if err != nil {
		return nil, err
	}
	return s.explain(g, key, profile, e)
}

func (s *Set) explain(g *group, key string, profile *baseline.Profile, e *event.Event) ([]Explanation, error) {
	var x Explanation
	st := step{set: s, emit: func(f Finding) { x.Findings = append(x.Findings, f) }, scratch: new(baseline.Scratch)}
	st.fold(profile, e)
	looks := make([]bool, len(g.rules))
	for _, i := range g.index.Lookup(e) {
		looks[i] = true
	}
	st.open(g, key, profile, e)
	var all []Explanation
	for i := range g.rules {
		r := &g.rules[i]
		x = Explanation{Rule: r.info.Name, Key: strings.Clone(key), Looked: looks[i]}
		if looks[i] {
			st.begin(r)
			if st.meets(r) {
				x.Checks = append(x.Checks, st.pass.checks...)
				st.runFrom(0, []int{i}, g, math.MaxInt64, math.MaxUint64)
			}
			x.Checks = append(x.Checks, st.pass.checks...)
		} else {
			x.Checks = []Check{{Condition: "the event is one of " + strings.Join(r.info.Events, ", ")}}
		}
		for i := range x.Findings {
			x.Findings[i].detach()
		}
		all = append(all, x)
	}
	return all, st.err
}

// Explain says what every rule makes of an event, but for those of scopes in
// which the event has no key; see [Set.Explain]. It judges by what the engine
// has learnt so far, and changes nothing.
func (en *Engine) Explain(ctx context.Context, e *event.Event) ([]Explanation, error) {
	en.mu.Lock()
	defer en.mu.Unlock()
	var all []Explanation
	var panicked error
	for gi, g := range en.set.groups {
		key, err := g.scope.Of(e)
		if key == "" {
			panicked = errors.Join(panicked, err)
			continue
		}
		record, err := en.shardOf(key).record(ctx, gi, key)
		if err != nil {
			return nil, err
		}
		profile, err := g.layout.Decode(record)
		if err != nil {
			return nil, fmt.Errorf("detect: profile of %q: %w", key, err)
		}
		some, err := en.set.explain(g, key, profile, e)
		all, panicked = append(all, some...), errors.Join(panicked, err)
	}
	return all, panicked
}

// record returns the key's record as it would be saved now.
func (s *shard) record(ctx context.Context, group int, key string) ([]byte, error) {
	if entry := s.cache.peek(group, key); entry != nil {
		return entry.profile.AppendBinary(nil)
	}
	records, err := s.fetch(ctx, []string{s.cache.name(group, key)})
	if err != nil {
		return nil, err
	}
	return records[0].Data, nil
}
