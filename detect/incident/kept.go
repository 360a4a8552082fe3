package incident

import (
	"cmp"
	"container/heap"
)

// kept keeps the greatest values, at most max of them, each under its key. What
// it holds does not depend on the order of puts, if the values put under one
// key only grow.
type kept[K comparable, V any] struct {
	max     int
	key     func(V) K
	compare func(a, b V) int // a total order
	heap    []V              // the least first
	index   map[K]int        // of each value in heap
}

func newKept[K comparable, V any](max int, key func(V) K, compare func(a, b V) int) *kept[K, V] {
	return &kept[K, V]{max: max, key: key, compare: compare, index: make(map[K]int)}
}

// get returns the value under a key.
func (k *kept[K, V]) get(key K) (v V, ok bool) {
	i, ok := k.index[key]
	if ok {
		v = k.heap[i]
	}
	return v, ok
}

// admits reports whether a value would be kept now.
func (k *kept[K, V]) admits(v V) bool {
	return len(k.heap) < k.max || k.compare(v, k.heap[0]) > 0
}

// put keeps a value in place of the one under the same key.
func (k *kept[K, V]) put(v V) {
	if i, ok := k.index[k.key(v)]; ok {
		k.heap[i] = v
		heap.Fix((*byValue[K, V])(k), i)
		return
	}
	if !k.admits(v) {
		return
	}
	heap.Push((*byValue[K, V])(k), v)
	if len(k.heap) > k.max {
		heap.Pop((*byValue[K, V])(k))
	}
}

// byValue is kept as a [heap.Interface].
type byValue[K comparable, V any] kept[K, V]

func (h *byValue[K, V]) Len() int           { return len(h.heap) }
func (h *byValue[K, V]) Less(i, j int) bool { return h.compare(h.heap[i], h.heap[j]) < 0 }

func (h *byValue[K, V]) Swap(i, j int) {
	h.heap[i], h.heap[j] = h.heap[j], h.heap[i]
	h.index[h.key(h.heap[i])], h.index[h.key(h.heap[j])] = i, j
}

func (h *byValue[K, V]) Push(v any) {
	h.index[h.key(v.(V))] = len(h.heap)
	h.heap = append(h.heap, v.(V))
}

func (h *byValue[K, V]) Pop() any {
	last := len(h.heap) - 1
	v := h.heap[last]
	clear(h.heap[last:])
	h.heap = h.heap[:last]
	delete(h.index, h.key(v))
	return v
}

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
