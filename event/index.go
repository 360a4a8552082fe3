package event

import (
	"fmt"
	"slices"
	"strings"
)

// An Index finds, for an event, which of many subscribers asked for its kind,
// without trying them one by one. Subscribers are numbered in the order given
// to [NewIndex]. An Index never changes, so any number of goroutines may use it.
type Index struct {
	services map[string]serviceIndex
	any      []int
}

type serviceIndex struct {
	operations map[string][]int
	any        []int
}

// NewIndex compiles one list of patterns per subscriber. A pattern is
// "service:Operation", such as "s3:GetObject" or "lambda:GetFunction"; the
// operation may be "*" for all of the service's, and "*" alone stands for
// every event. A subscriber without patterns gets every event.
func NewIndex(subscribers ...[]string) (*Index, error) {
	wants := make([][]pattern, len(subscribers))
	for i, texts := range subscribers {
		for _, text := range texts {
			p, err := parsePattern(text)
			if err != nil {
				return nil, err
			}
			wants[i] = append(wants[i], p)
		}
	}
	matching := func(service, operation string) []int {
		var list []int
		for i, patterns := range wants {
			if len(patterns) == 0 || slices.ContainsFunc(patterns, func(p pattern) bool { return p.matches(service, operation) }) {
				list = append(list, i)
			}
		}
		return slices.Clip(list)
	}
	x := &Index{services: make(map[string]serviceIndex), any: matching("", "")}
	for _, p := range slices.Concat(wants...) {
		if p.service == "*" {
			continue
		}
		si, ok := x.services[p.service]
		if !ok {
			si = serviceIndex{operations: make(map[string][]int), any: matching(p.service, "")}
			x.services[p.service] = si
		}
		if _, ok := si.operations[p.operation]; !ok && p.operation != "*" {
			si.operations[p.operation] = matching(p.service, p.operation)
		}
	}
	return x, nil
}

// A pattern is of the events of a service, or "*" for all events; and of one of
// the service's operations, or "*" for all.
type pattern struct{ service, operation string }

func parsePattern(s string) (pattern, error) {
	if s == "*" {
		return pattern{"*", "*"}, nil
	}
	service, operation, ok := strings.Cut(s, ":")
	if !ok || service == "" || operation == "" || strings.ContainsAny(service, "*. ") {
		return pattern{}, fmt.Errorf("event: pattern %q is not of the form service:Operation", s)
	}
	return pattern{service, operation}, nil
}

// matches reports whether the pattern is of an operation; "" is one that no
// pattern names, or a service that none names.
func (p pattern) matches(service, operation string) bool {
	return p.service == "*" || p.service == service && (p.operation == "*" || p.operation == operation)
}

// Lookup returns the numbers of the subscribers that want the event, in
// ascending order. The caller must not modify the slice. It does not allocate.
func (x *Index) Lookup(e *Event) []int {
	si, ok := x.services[e.Service()]
	if !ok {
		return x.any
	}
	if list, ok := si.operations[e.Operation]; ok {
		return list
	}
	return si.any
}
