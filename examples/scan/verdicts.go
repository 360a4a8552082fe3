package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
)

// A verdict is a line that -format json printed, with what a person decided
// about it.
type verdict struct {
	detect.Finding
	Verdict *baseline.Verdict `json:"verdict"`
}

// readVerdicts reads a file of verdicts, one JSON value after the other.
func readVerdicts(name string) ([]verdict, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d := json.NewDecoder(f)
	var all []verdict
	for {
		var v verdict
		err := d.Decode(&v)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err == nil && (v.ID == "" || v.Verdict == nil) {
			err = errors.New(`not a finding with a "verdict": benign, malicious or undecided`)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: value %d: %w", name, len(all)+1, err)
		}
		all = append(all, v)
	}
}

// judge tells the engine what was decided. A finding about an amount has nothing
// that could be learnt: that is worth a note, and no failure.
func (s *scanner) judge(ctx context.Context, verdicts []verdict) {
	for i := range verdicts {
		if f := &verdicts[i]; len(f.Unusual) == 0 {
			s.unlearnt.add(f.ID, f.Rule+" is about an amount; a suppression can keep it back")
			continue
		}
		s.problem(s.engine.Judge(ctx, &verdicts[i].Finding, *verdicts[i].Verdict))
	}
}
