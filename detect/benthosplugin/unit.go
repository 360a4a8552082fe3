package benthosplugin

import (
	"encoding/json"
	"slices"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// A unit is the events of one key in a batch, and what became of them.
type unit struct {
	change
	scope    *detect.Scope
	events   []*event.Event
	numbers  []int  // of the events in the batch
	outbox   []sent // as saved
	panicked error  // the first detector or feature that panicked
}

// units sorts events by the keys they have. keyless is told of those whose key a
// scope cannot tell.
func units(set *detect.Set, events []*event.Event, keyless func(number int, err error)) []*unit {
	var all []*unit
	byKey := make(map[string]*unit)
	for _, scope := range set.Scopes() {
		for n, e := range events {
			key, err := scope.Of(e)
			if err != nil {
				keyless(n, err)
			}
			if key == "" {
				continue
			}
			key = scope.Name + "/" + key // as a detect.Engine has it
			u := byKey[key]
			if u == nil {
				u = &unit{change: change{key: key}, scope: scope}
				byKey[key] = u
				all = append(all, u)
			}
			u.events = append(u.events, e)
			u.numbers = append(u.numbers, n)
		}
	}
	return all
}

// step takes the events into an envelope and their findings into its outbox. If
// that has more than room then, the oldest of other events make way.
func (u *unit) step(set *detect.Set, v *envelope, room int) (err error) {
	u.panicked = nil
	v.record, err = u.detect(set, v.record, u.events, func(e *event.Event, f *detect.Finding) error {
		text, err := json.Marshal(f)
		v.outbox = append(v.outbox, sent{
			Event: e.ID, ID: f.ID, Revision: f.Revision, Rule: f.Rule, Severity: f.Severity, Finding: text,
		})
		return err
	})
	if excess := len(v.outbox) - room; excess > 0 {
		own := u.firsts()
		v.outbox = slices.DeleteFunc(v.outbox, func(s sent) bool {
			if _, ok := own[s.Event]; ok || excess == 0 {
				return false
			}
			excess--
			return true
		})
	}
	u.outbox = v.outbox
	return err
}

// detect applies the set to events and tells found which finding is from which
// of them. Apply does not say, so events with findings are halved until there is
// one: the record between two events is as good as the one after both.
func (u *unit) detect(set *detect.Set, record []byte, events []*event.Event, found func(*event.Event, *detect.Finding) error) ([]byte, error) {
	var findings []detect.Finding
	after, err := set.Apply(u.scope, record, events, func(f detect.Finding) {
		if f.Suppressed == "" && (f.Revision == 0 || f.Raised) {
			findings = append(findings, f)
		}
	})
	if after == nil {
		return nil, err
	}
	switch half := len(events) / 2; {
	case len(findings) == 0 || half == 0:
		if u.panicked == nil {
			u.panicked = err
		}
		for i := range findings {
			if err := found(events[0], &findings[i]); err != nil {
				return nil, err
			}
		}
		return after, nil
	default:
		if record, err = u.detect(set, record, events[:half], found); err != nil {
			return nil, err
		}
		return u.detect(set, record, events[half:], found)
	}
}

// findings calls report for what the outbox has of the unit's events, with the
// number of the event.
func (u *unit) findings(report func(number int, s *sent)) {
	if len(u.outbox) == 0 {
		return
	}
	numbers := u.firsts()
	for i := range u.outbox {
		if n, ok := numbers[u.outbox[i].Event]; ok {
			report(n, &u.outbox[i])
		}
	}
}

// firsts returns the number of the first event of each ID.
func (u *unit) firsts() map[string]int {
	numbers := make(map[string]int, len(u.events))
	for i, e := range u.events {
		if _, ok := numbers[e.ID]; !ok {
			numbers[e.ID] = u.numbers[i]
		}
	}
	return numbers
}
