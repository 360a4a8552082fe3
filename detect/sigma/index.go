package sigma

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/cloudtell/cloudtell/event"
)

// A kind is a kind of event that a rule may match: its eventSource and its
// eventName, of which "" is any.
type kind struct{ source, name string }

// A kinds is a set of kinds, too large rather than too small; nil is every
// event.
type kinds []kind

// maxKinds bounds the kinds that a rule is indexed by.
const maxKinds = 256

// kinds returns the kinds of events that the expression can match.
func (x *expr) kinds() kinds {
	switch x.op {
	case 's':
		var all kinds
		for _, alternative := range x.of.alternatives {
			var k kinds
			for _, it := range alternative {
				k = k.and(it.kinds())
			}
			if k == nil {
				return nil
			}
			all = append(all, k...)
		}
		return all.bounded()
	case '&':
		var k kinds
		for _, p := range x.part {
			k = k.and(p.kinds())
		}
		return k
	case '|':
		var all kinds
		for _, p := range x.part {
			k := p.kinds()
			if k == nil {
				return nil
			}
			all = append(all, k...)
		}
		return all.bounded()
	}
	return nil // a negation says nothing about what does match
}

func (k kinds) bounded() kinds {
	if k == nil {
		return kinds{}
	}
	slices.SortFunc(k, func(a, b kind) int { return strings.Compare(a.source+" "+a.name, b.source+" "+b.name) })
	if k = slices.Compact(k); len(k) > maxKinds {
		return nil
	}
	return k
}

// and returns the kinds in both sets.
func (k kinds) and(l kinds) kinds {
	switch {
	case k == nil:
		return l
	case l == nil:
		return k
	}
	both := kinds{}
	for _, a := range k {
		for _, b := range l {
			source, ok := agreed(a.source, b.source)
			name, ok2 := agreed(a.name, b.name)
			if ok && ok2 {
				both = append(both, kind{source, name})
			}
		}
	}
	if both = both.bounded(); both == nil { // either will do
		return k
	}
	return both
}

func agreed(a, b string) (string, bool) {
	switch {
	case a == "":
		return b, true
	case b == "" || strings.EqualFold(a, b):
		return a, true
	}
	return "", false
}

// kinds returns the kinds of events that the item can match.
func (it *item) kinds() kinds {
	name := it.field.name
	if name != "eventSource" && name != "eventName" || it.negate || it.null || it.exists != nil {
		return nil
	}
	k := kinds{}
	for _, t := range it.tests {
		g, ok := t.(*glob)
		if !ok || !g.isExact || g.exact == "" {
			return nil
		}
		if name == "eventSource" {
			k = append(k, kind{source: strings.ToLower(g.exact)})
		} else {
			k = append(k, kind{name: g.exact})
		}
	}
	return k.bounded()
}

// patterns returns the kinds as an [event.Index] takes them. That knows no call
// of just any service, and only names as CloudTrail writes them.
func (k kinds) patterns() []string {
	var list []string
	for _, k := range k {
		service := strings.TrimSuffix(k.source, ".amazonaws.com")
		if service == "" || strings.ContainsAny(service, "*. :") {
			return nil
		}
		p := service + ":" + operation(k)
		if !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	return list
}

// operation returns a kind's [event.Event.Operation]; "*" if that is any, or if
// the name is not in CloudTrail's spelling.
func operation(k kind) string {
	if k.name == "" || k.name[0] < 'A' || k.name[0] > 'Z' || len(k.name) > 1 && strings.ToUpper(k.name) == k.name || strings.Contains(k.name, "*") {
		return "*"
	}
	// The event knows how versions are cut off.
	text, _ := json.Marshal(map[string]string{"eventTime": "2026-01-05T09:00:00Z", "eventSource": k.source, "eventName": k.name})
	e, err := event.Parse(string(text))
	if err != nil {
		return "*"
	}
	return e.Operation
}

// An index finds the rules that may match an event.
type index struct {
	names, sources map[string][]*rule // in lower case
	rest           []*rule            // those that ask for no kind of event
}

func newIndex(rules []*rule) *index {
	x := &index{names: make(map[string][]*rule), sources: make(map[string][]*rule)}
	add := func(m map[string][]*rule, key string, r *rule) {
		key = strings.ToLower(key)
		if list := m[key]; len(list) == 0 || list[len(list)-1] != r {
			m[key] = append(list, r)
		}
	}
	for _, r := range rules {
		if r.kinds == nil {
			x.rest = append(x.rest, r)
			continue
		}
		for _, k := range r.kinds {
			if k.name != "" {
				add(x.names, k.name, r)
			} else {
				add(x.sources, k.source, r)
			}
		}
	}
	return x
}

// maxKey is the length of the longest name that is looked up without
// allocation. The longest of AWS's have some eighty bytes.
const maxKey = 128

// named returns the rules that ask for events of the name or the source.
func (x *index) named(e *event.Event) (byName, bySource []*rule) {
	return lookup(x.names, e.Name), lookup(x.sources, e.Source)
}

// lookup finds a key in any case.
func lookup(m map[string][]*rule, key string) []*rule {
	if len(m) == 0 {
		return nil
	}
	var buf [maxKey]byte
	if len(key) > maxKey {
		return m[strings.ToLower(key)]
	}
	lower := append(buf[:0], key...)
	for i, c := range lower {
		if 'A' <= c && c <= 'Z' {
			lower[i] = c | 0x20
		} else if c >= 0x80 {
			return m[strings.ToLower(key)]
		}
	}
	return m[string(lower)]
}

// concerns reports whether a rule may match the event: one that asks for events
// of its kind, or one that asks for no kind and does match. So events have a key
// only where they may lead to a finding, or be asked about.
func (x *index) concerns(e *event.Event) bool {
	byName, bySource := x.named(e)
	return len(byName) > 0 || len(bySource) > 0 || slices.ContainsFunc(x.rest, func(r *rule) bool { return r.match(e) })
}

// match returns the first of the rules that matches the event, in the order of
// the index; nil if none does.
func (x *index) match(e *event.Event) *rule {
	byName, bySource := x.named(e)
	for _, list := range [...][]*rule{byName, bySource, x.rest} {
		for _, r := range list {
			if r.match(e) {
				return r
			}
		}
	}
	return nil
}
