// Package baselinetest holds stores and features to their contracts: each
// numbered line of [baseline.Store] and of [baseline.Cell] is a case, and its
// sentence is what a failure says.
package baselinetest

import "fmt"

// A line is one line of a contract.
type line[T any] struct {
	number   int
	sentence string
	holds    func(T) error
}

func (l *line[T]) check(t T) error {
	if err := l.holds(t); err != nil {
		return fmt.Errorf("%d. %s: %w", l.number, l.sentence, err)
	}
	return nil
}
