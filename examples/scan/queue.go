package main

// A queue gives the least of its items first: it is a binary heap.
type queue[T any] struct {
	less  func(a, b T) bool
	items []T // items[i] is not less than items[(i-1)/2]
}

func (q *queue[T]) len() int { return len(q.items) }

// min returns the least item, which stays.
func (q *queue[T]) min() T { return q.items[0] }

func (q *queue[T]) push(item T) {
	q.items = append(q.items, item)
	for i := len(q.items) - 1; i > 0; {
		parent := (i - 1) / 2
		if !q.less(q.items[i], q.items[parent]) {
			break
		}
		q.items[i], q.items[parent] = q.items[parent], q.items[i]
		i = parent
	}
}

// pop removes the least item.
func (q *queue[T]) pop() {
	last := len(q.items) - 1
	q.items[0] = q.items[last]
	clear(q.items[last:])
	q.items = q.items[:last]
	q.fix()
}

// fix restores the order after the least item has grown.
func (q *queue[T]) fix() {
	for i := 0; ; {
		child := 2*i + 1
		if child >= len(q.items) {
			return
		}
		if right := child + 1; right < len(q.items) && q.less(q.items[right], q.items[child]) {
			child = right
		}
		if !q.less(q.items[child], q.items[i]) {
			return
		}
		q.items[i], q.items[child] = q.items[child], q.items[i]
		i = child
	}
}
