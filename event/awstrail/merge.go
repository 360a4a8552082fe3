package awstrail

import "container/heap"

// merge yields the items of several sorted streams in one order. A stream
// returns its next item, or false at its end.
func merge[T any](streams []func() (T, bool), before func(a, b T) bool, yield func(T) bool) {
	h := &heads[T]{before: before}
	for _, next := range streams {
		if item, ok := next(); ok {
			h.list = append(h.list, head[T]{item, next})
		}
	}
	heap.Init(h)
	for len(h.list) > 0 {
		first := &h.list[0]
		if !yield(first.item) {
			return
		}
		if item, ok := first.next(); ok {
			first.item = item
			heap.Fix(h, 0)
		} else {
			heap.Pop(h)
		}
	}
}

// A head is the next item of a stream.
type head[T any] struct {
	item T
	next func() (T, bool)
}

// heads is a heap of streams by their next items.
type heads[T any] struct {
	list   []head[T]
	before func(a, b T) bool
}

func (h *heads[T]) Len() int           { return len(h.list) }
func (h *heads[T]) Less(i, j int) bool { return h.before(h.list[i].item, h.list[j].item) }
func (h *heads[T]) Swap(i, j int)      { h.list[i], h.list[j] = h.list[j], h.list[i] }
func (h *heads[T]) Push(x any)         { h.list = append(h.list, x.(head[T])) }

func (h *heads[T]) Pop() any {
	last := h.list[len(h.list)-1]
	h.list = h.list[:len(h.list)-1]
	return last
}
