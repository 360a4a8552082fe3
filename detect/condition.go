package detect

import (
	"fmt"
	"slices"

	"github.com/cloudtell/cloudtell/event"
)

// A Condition is something that an event alone decides. Rules share conditions
// by pointer: each is looked at once for an event, however many rules have it,
// and a rule whose conditions do not hold is not run. They are part of findings
// and explanations like what a rule itself requires and excuses.
type Condition struct {
	// Text says what is looked at, as in [Pass.Require] and [Pass.Excuse].
	Text string
	// Guard says that the rule is excused if Is reports true; otherwise it
	// requires it.
	Guard bool
	// Is must depend on nothing but the event, which may be one that is none of
	// the rule's own.
	Is func(*event.Event) bool
}

// maxConditions is the number of different ones in a scope.
const maxConditions = 64

// bits returns the bits of a rule's conditions, adding those that are new to
// the group.
func (g *group) bits(conditions []*Condition) (mask uint64, err error) {
	for _, c := range conditions {
		if c == nil || c.Text == "" || c.Is == nil {
			return 0, fmt.Errorf("%w: a condition is nil, or without text or function", ErrDetector)
		}
		i := slices.Index(g.conditions, c)
		if i < 0 {
			i = len(g.conditions)
			g.conditions = append(g.conditions, c)
			g.tests = append(g.tests, test{c.Is, !c.Guard})
		}
		if i == maxConditions {
			return 0, fmt.Errorf("%w: scope %q has over %d different conditions", ErrDetector, g.scope.Name, maxConditions)
		}
		mask |= 1 << i
	}
	return mask, nil
}

// A test is what each event costs of a condition.
type test struct {
	is   func(*event.Event) bool
	pass bool // the answer that lets an event pass
}

// hold returns the bits of the conditions that let an event pass. One that panics
// does not.
func (st *step) hold(g *group, e *event.Event) (mask uint64) {
	for i := 0; i < len(g.tests); {
		i = st.holdFrom(i, g, e, &mask)
	}
	return mask
}

// holdFrom adds the bits of the conditions from the given one on, up to one that
// panics, and returns which is to follow.
func (st *step) holdFrom(i int, g *group, e *event.Event, mask *uint64) (next int) {
	defer func() {
		if v := recover(); v != nil {
			st.panicked(&g.rules[slices.IndexFunc(g.gates, func(r gate) bool { return r.needs>>i&1 != 0 })], v)
			next = i + 1
		}
	}()
	for ; i < len(g.tests); i++ {
		if t := &g.tests[i]; t.is(e) == t.pass {
			*mask |= 1 << i
		}
	}
	return i
}

// meets reports whether the event meets a rule's conditions.
func (st *step) meets(r *rule) bool {
	defer func() {
		if v := recover(); v != nil {
			st.panicked(r, v)
		}
	}()
	return st.pass.meets(r.info.Conditions)
}

// meets looks at conditions one by one, up to the first that stands in the way.
func (p *Pass) meets(conditions []*Condition) bool {
	for _, c := range conditions {
		passed := c.Is(p.Event) != c.Guard
		p.checks = append(p.checks, Check{Condition: c.Text, Passed: passed, Guard: c.Guard})
		if !passed {
			return false
		}
	}
	return true
}
