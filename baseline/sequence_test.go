package baseline_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/event"
)

func step(name string) baseline.Step {
	return func(e *event.Event) bool { return e.UserAgent == name }
}

func TestSequence(t *testing.T) {
	type at struct {
		clock string
		step  string
	}
	tests := []struct {
		name   string
		events []at
		steps  int
		done   bool
	}{
		{"nothing happened", []at{{"10:00:00", "x"}}, 0, false},
		{"the first step", []at{{"10:00:00", "a"}}, 1, false},
		{"a later step alone is none", []at{{"10:00:00", "b"}}, 0, false},
		{"in order", []at{{"10:00:00", "a"}, {"10:10:00", "b"}, {"10:20:00", "c"}}, 3, true},
		{"other events between", []at{{"10:00:00", "a"}, {"10:05:00", "x"}, {"10:10:00", "b"}, {"10:15:00", "x"}, {"10:20:00", "c"}}, 3, true},
		{"out of order", []at{{"10:00:00", "c"}, {"10:20:00", "b"}, {"10:40:00", "a"}}, 1, false},
		{"a step is missing", []at{{"10:00:00", "a"}, {"10:20:00", "c"}}, 1, false},
		{"in order of time, not of arrival", []at{{"10:20:00", "c"}, {"10:10:00", "b"}, {"10:06:00", "a"}}, 3, true},
		{"longer than the window", []at{{"10:00:00", "a"}, {"10:30:00", "b"}, {"11:05:00", "c"}}, 0, false},
		{"begun again within the window", []at{{"10:00:00", "a"}, {"10:30:00", "a"}, {"10:40:00", "b"}, {"11:05:00", "c"}}, 3, true},
		{"closer than a granule counts as in order", []at{{"10:00:02", "a"}, {"10:00:01", "b"}, {"10:00:00", "c"}}, 3, true},
		{"done before the event", []at{{"10:00:00", "a"}, {"10:10:00", "b"}, {"10:20:00", "c"}, {"12:00:00", "x"}}, 0, false},
	}
	for _, tt := range tests {
		for _, reload := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/reload=%t", tt.name, reload), func(t *testing.T) {
				f := baseline.Sequence("abc", time.Hour, step("a"), step("b"), step("c"))
				h := newHistory(t, f)
				var p baseline.Progress
				for _, e := range tt.events {
					p = f.In(h.add(on(1, e.clock), e.step))
					if reload {
						h.reload()
					}
				}
				assert.Equal(t, tt.steps, p.Steps)
				assert.Equal(t, tt.done, p.Done)
				assert.Len(t, p.EventIDs(), tt.steps)
			})
		}
	}
}

func TestSequenceLength(t *testing.T) {
	assert.Panics(t, func() { baseline.Sequence("one", time.Hour, step("a")) })
	assert.Panics(t, func() { baseline.Sequence("nine", time.Hour, make([]baseline.Step, 9)...) })
	assert.Empty(t, baseline.Progress{}.EventIDs())
}
