package backtest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/backtest"
)

// calls are one principal's, on ten days after learning; each says one thing.
func calls(says ...call) []call {
	all := []call{{who: "alice", says: "nothing"}}
	for i, c := range says {
		c.who = "alice"
		c.after = 15*day + time.Duration(i)*time.Hour
		c.says = fmt.Sprint(c.says, " ", i) // a subject of its own
		all = append(all, c)
	}
	return append(all, call{after: 24 * day, who: "alice", says: "nothing"})
}

func TestPropose(t *testing.T) {
	const perNotification = 100. / 10 // a day per 100 principals
	tests := []struct {
		name   string
		budget int // notifications
		calls  []call
		want   []backtest.Proposal
	}{
		{"within the budget", 2, calls(call{says: "count 5"}, call{says: "a high"}), nil},
		{
			"a threshold, no higher than needed", 1,
			calls(call{says: "count 5"}, call{says: "count 5"}, call{says: "count 7"}, call{says: "count 9", attack: "x"}),
			[]backtest.Proposal{{Rule: "count", Of: "things", Was: 5, Threshold: 6, Removes: 2, Rate: 1 * perNotification}},
		},
		{
			"never over what finds an attack alone", 0,
			calls(call{says: "count 5"}, call{says: "count 7"}, call{says: "count 7", attack: "x"}),
			[]backtest.Proposal{{Rule: "count", Of: "things", Was: 5, Threshold: 6, Removes: 1, Rate: 1 * perNotification}},
		},
		{
			"over what others find, and says so", 0,
			calls(call{says: "count 5"}, call{says: "count 7"}, call{says: "count 7", attack: "x"}, call{says: "a high", attack: "x"}),
			[]backtest.Proposal{{Rule: "count", Of: "things", Was: 5, Threshold: 8, Removes: 2, Loses: []string{"x"}}},
		},
		{
			"not if the others' findings notify nobody", 0,
			calls(call{says: "count 5"}, call{says: "count 7"}, call{says: "count 7", attack: "x"}, call{says: "a low", attack: "x"}),
			[]backtest.Proposal{{Rule: "count", Of: "things", Was: 5, Threshold: 6, Removes: 1, Rate: 1 * perNotification}},
		},
		{
			"what a person was not told of must still be found", 0,
			calls(call{says: "low 5"}, call{says: "low 5", attack: "x"}, call{says: "a high"}),
			[]backtest.Proposal{{Rule: "a", Floor: detect.Critical, Removes: 1}},
		},
		{
			"a floor, and silence", 0,
			calls(call{says: "a high"}, call{says: "b critical"}, call{says: "a critical", attack: "x"}),
			[]backtest.Proposal{
				{Rule: "a", Floor: detect.Critical, Removes: 1, Rate: 1 * perNotification},
				{Rule: "b", Mute: true, Removes: 1},
			},
		},
		{
			"thresholds no higher than features count", 0,
			calls(call{says: "count 20"}, call{says: "count 19"}),
			[]backtest.Proposal{{Rule: "count", Of: "things", Was: 5, Threshold: 20, Removes: 1, Rate: 1 * perNotification}},
		},
		{
			"several steps of one rule are one proposal", 0,
			calls(call{says: "count 5"}, call{says: "count 5"}, call{says: "a high"}, call{says: "count 15"}),
			[]backtest.Proposal{
				{Rule: "a", Floor: detect.Critical, Removes: 1, Rate: 3 * perNotification},
				{Rule: "count", Of: "things", Was: 5, Threshold: 16, Removes: 3},
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			detectors := func(thresholds map[string]int) []detect.Detector {
				return []detect.Detector{told("a"), told("b"), counting("count", max(5, thresholds["count"])), low("low", 3)}
			}
			r := run(t, detectors(nil), tt.calls...)
			got := r.Propose(float64(tt.budget) * perNotification)
			assert.Empty(t, cmp.Diff(tt.want, got))
			for _, p := range got {
				assert.NotEmpty(t, p.String())
			}

			// Fed back, the proposals do what they say.
			thresholds := backtest.Thresholds(got)
			again := run(t, detectors(thresholds), tt.calls...)
			d := backtest.Compare(r, again)
			assert.Empty(t, d.OnlyA)
			assert.Empty(t, d.NotifiedOnlyA)
			removed := 0
			for _, p := range got {
				if p.Threshold > 0 {
					removed += p.Removes
				}
			}
			assert.Equal(t, r.Level(detect.High).False-removed, again.Level(detect.High).False)
		})
	}
}

// low counts like counting, and notifies nobody.
func low(name string, threshold int) detect.Detector {
	d := counting(name, threshold)
	i := d.Info()
	i.Severity = detect.Low
	return detect.New(i, d.Detect)
}

func TestProposalString(t *testing.T) {
	for _, tt := range []struct {
		proposal backtest.Proposal
		want     string
	}{
		{
			backtest.Proposal{Rule: "r", Of: "things", Was: 5, Threshold: 8, Removes: 2, Rate: 0.5, Loses: []string{"x", "y"}},
			"r: from 8 up rather than from 5 (things); 2 false notifications fewer, 0.50 a day per 100 principals remain; it no longer tells of x, y, which other rules do",
		},
		{backtest.Proposal{Rule: "r", Floor: detect.Critical, Removes: 1}, "r: notification if critical; 1 false notifications fewer, 0.00 a day per 100 principals remain"},
		{backtest.Proposal{Rule: "r", Mute: true, Removes: 1}, "r: no notification; 1 false notifications fewer, 0.00 a day per 100 principals remain"},
	} {
		assert.Equal(t, tt.want, tt.proposal.String())
	}
}
