package incident

import (
	"cmp"
	"maps"
	"slices"
)

// A set holds values other than the zero value.
type set[T cmp.Ordered] map[T]struct{}

func (s *set[T]) add(v T) {
	var zero T
	if v == zero {
		return
	}
	if *s == nil {
		*s = make(set[T])
	}
	(*s)[v] = struct{}{}
}

func (s set[T]) sorted() []T { return slices.Sorted(maps.Keys(s)) }
