package main

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/backtest"
	"github.com/cloudtell/cloudtell/detect/detecttest"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/examples/account"
)

func TestScenarios(t *testing.T) {
	detecttest.Run(t, os.DirFS("testdata"), func([]byte) ([]detect.Detector, error) {
		return []detect.Detector{newRegion}, nil
	})
}

// TestLaws holds the detector to the laws, on the events of its scenarios.
func TestLaws(t *testing.T) {
	text, err := os.ReadFile("testdata/new-region.txt")
	require.NoError(t, err)
	scenario, err := detecttest.Parse("new-region.txt", string(text))
	require.NoError(t, err)
	detecttest.Laws(t, []detect.Detector{newRegion}, scenario.Cases[1].Events())
}

// Example measures the detector on generated accounts: what it finds of the
// attacks there, which are others, and how much it says about honest work.
func Example() {
	var reports []*backtest.Report
	for seed := range uint64(3) {
		a := account.New(&account.Options{Small: true, Attacks: true, Seed: seed})
		report, err := backtest.Run(context.Background(), []detect.Detector{newRegion}, labelled(a, seed), &backtest.Options{Notify: detect.Medium})
		if err != nil {
			panic(err)
		}
		reports = append(reports, report)
	}
	all := backtest.Merge(reports...)
	medium := all.Level(detect.Medium)
	fmt.Println(medium.Found, "of", len(all.Attacks), "attacks found,", medium.False, "false findings")
	// Output: 3 of 3 attacks found, 0 false findings
}

// labelled are the account's events, with the attacks that they are part of.
func labelled(a *account.Account, seed uint64) iter.Seq2[backtest.Event, error] {
	return func(yield func(backtest.Event, error) bool) {
		for r := range a.Records() {
			e, err := event.Parse(r.JSON)
			if r.Attack != "" {
				r.Attack = fmt.Sprintf("%s of account %d", r.Attack, seed)
			}
			if !yield(backtest.Event{Event: e, Attack: r.Attack}, err) {
				return
			}
		}
	}
}

// TestBesideTheOthers runs the command on a scenario's log.
func TestBesideTheOthers(t *testing.T) {
	text, err := os.ReadFile("testdata/new-region.txt")
	require.NoError(t, err)
	scenario, err := detecttest.Parse("new-region.txt", string(text))
	require.NoError(t, err)
	logs := strings.Join(scenario.Cases[0].Records(), "\n")
	var out bytes.Buffer
	require.NoError(t, run(context.Background(), strings.NewReader(logs), &out))
	assert.Equal(t, 1, strings.Count(out.String(), `"rule":"new-region"`))
}
