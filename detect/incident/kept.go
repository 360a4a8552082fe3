package incident

import (
	"cmp"
	"container/heap"
	"iter"
)

// kept keeps the greatest values, at most max of them, each under its key. What
// it holds does not depend on the order of puts, if the values put under one
// key only grow.
type kept[K comparable, V any] struct {
	max     int
	key     func(V) K
	compare func(a, b V) int // a total order
	entries map[K]*entry[V]
	heap    []*entry[V] // the least first
}

type entry[V any] struct {
	value V
	at    int // in the heap
}

func newKept[K comparable, V any](max int, key func(V) K, compare func(a, b V) int) *kept[K, V] {
	return &kept[K, V]{max: max, key: key, compare: compare, entries: make(map[K]*entry[V])}
}

func (k *kept[K, V]) len() int { return len(k.heap) }

// all yields the values in no particular order.
func (k *kept[K, V]) all() iter.Seq[V] {
	return func(yield func(V) bool) {
		for _, e := range k.heap {
			if !yield(e.value) {
				return
			}
		}
	}
}

// get returns the value under a key.
func (k *kept[K, V]) get(key K) (v V, ok bool) {
	e, ok := k.entries[key]
	if ok {
		v = e.value
	}
	return v, ok
}

// put keeps a value in place of the one under the same key.
func (k *kept[K, V]) put(v V) {
	key, h := k.key(v), (*byValue[K, V])(k)
	if e, ok := k.entries[key]; ok {
		e.value = v
		heap.Fix(h, e.at)
		return
	}
	if len(k.heap) < k.max {
		e := &entry[V]{value: v}
		k.entries[key] = e
		heap.Push(h, e)
		return
	}
	least := k.heap[0]
	if k.compare(v, least.value) <= 0 {
		return
	}
	delete(k.entries, k.key(least.value))
	k.entries[key] = least
	least.value = v
	heap.Fix(h, 0)
}

// byValue is kept as a [heap.Interface].
type byValue[K comparable, V any] kept[K, V]

func (h *byValue[K, V]) Len() int           { return len(h.heap) }
func (h *byValue[K, V]) Less(i, j int) bool { return h.compare(h.heap[i].value, h.heap[j].value) < 0 }

func (h *byValue[K, V]) Swap(i, j int) {
	h.heap[i], h.heap[j] = h.heap[j], h.heap[i]
	h.heap[i].at, h.heap[j].at = i, j
}

func (h *byValue[K, V]) Push(e any) {
	e.(*entry[V]).at = len(h.heap)
	h.heap = append(h.heap, e.(*entry[V]))
}

// Pop is not called: what makes way is replaced.
func (h *byValue[K, V]) Pop() any { panic("incident: not called") }

// A link says that a session obtained an access key, and when.
type link struct {
	millis    int64
	issued    string // the access key
	session   string // the principal and session name that it is for, or ""
	issuer    string // the principal that obtained it, or ""
	issuerKey string // the access key it did so with, or ""
}

func compareLinks(a, b link) int {
	return cmp.Or(
		cmp.Compare(a.millis, b.millis), cmp.Compare(a.issued, b.issued), cmp.Compare(a.session, b.session),
		cmp.Compare(a.issuer, b.issuer), cmp.Compare(a.issuerKey, b.issuerKey))
}
