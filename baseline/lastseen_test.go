package baseline_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/cloudtell/cloudtell/baseline"
)

func TestLastSeen(t *testing.T) {
	tests := []struct {
		name   string
		before func(h *history)
		at     int
		want   baseline.Absence
	}{
		{"never before", func(*history) {}, 5, baseline.Absence{}},
		{"only today", func(h *history) { h.add(on(5, "09:00:00"), "a") }, 5, baseline.Absence{}},
		{"yesterday", func(h *history) { h.daily(1, 4, "a") }, 5, baseline.Absence{Last: on(4, "00:00:00"), Days: 1}},
		{"long ago", func(h *history) { h.daily(1, 2, "a") }, 200, baseline.Absence{Last: on(2, "00:00:00"), Days: 198}},
		{"other events do not count", func(h *history) { h.daily(1, 2, "a"); h.daily(3, 4, "x") }, 5, baseline.Absence{Last: on(2, "00:00:00"), Days: 3}},
	}
	for _, tt := range tests {
		for _, reload := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/reload=%t", tt.name, reload), func(t *testing.T) {
				f := baseline.LastSeen("a", step("a"))
				h := newHistory(t, f)
				tt.before(h)
				if reload {
					h.reload()
				}
				assert.Equal(t, tt.want, f.In(h.add(on(tt.at, "10:00:00"), "a")))
			})
		}
	}
}

func TestLastSeenOfALateEvent(t *testing.T) {
	f := baseline.LastSeen("a", step("a"))
	h := newHistory(t, f)
	h.add(on(1, "10:00:00"), "a")
	h.add(on(50, "00:05:00"), "a")
	late := f.In(h.add(on(49, "23:55:00"), "a"))
	assert.Equal(t, baseline.Absence{Last: on(1, "00:00:00"), Days: 48}, late, "what came after the event does not count")
}
