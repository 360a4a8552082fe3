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
	x := &Index{services: make(map[string]serviceIndex)}
	wants := func(patterns []string, service, operation string) bool {
		for _, p := range patterns {
			s, o, _ := strings.Cut(p, ":")
			if p == "*" || s == service && (o == "*" || o == operation && operation != "") {
				return true
			}
		}
		return len(patterns) == 0
	}
	matching := func(service, operation string) []int {
		var list []int
		for i, patterns := range subscribers {
			if wants(patterns, service, operation) {
				list = append(list, i)
			}
		}
		return slices.Clip(list)
	}
	x.any = matching("", "")
	for _, patterns := range subscribers {
		for _, p := range patterns {
			if p == "*" {
				continue
			}
			service, operation, ok := strings.Cut(p, ":")
			if !ok || service == "" || operation == "" || strings.ContainsAny(service, "*. ") {
				return nil, fmt.Errorf("event: pattern %q is not of the form service:Operation", p)
			}
			si, ok := x.services[service]
			if !ok {
				si = serviceIndex{operations: make(map[string][]int), any: matching(service, "")}
				x.services[service] = si
			}
			if operation != "*" {
				si.operations[operation] = matching(service, operation)
			}
		}
	}
	return x, nil
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
