package main

import (
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/guardduty"
	"github.com/cloudtell/cloudtell/event"
)

// foreign holds the findings of GuardDuty that are read among the logs, by their
// ids: of each the last revision. GuardDuty does not count up what it archives,
// so of two with the same count the archived one is the later. Many goroutines
// may use it.
type foreign struct {
	mu       sync.Mutex
	findings map[string]detect.Finding
}

// add takes in the finding that an error of reading stands for. It returns an
// error in its place if it cannot be read.
func (o *foreign) add(err error) error {
	var d *event.DecodeError
	if !errors.As(err, &d) {
		return err
	}
	f, err := guardduty.Parse([]byte(d.Text))
	if err != nil {
		return &event.DecodeError{Record: d.Record, Offset: d.Offset, Err: err}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.findings == nil {
		o.findings = make(map[string]detect.Finding)
	}
	old, ok := o.findings[f.ID]
	if !ok || f.Revision > old.Revision || f.Revision == old.Revision && f.Suppressed != "" {
		o.findings[f.ID] = f
	}
	return nil
}

// list returns the findings that GuardDuty has not archived, in the order of
// their time.
func (o *foreign) list() []detect.Finding {
	return slices.DeleteFunc(slices.SortedFunc(maps.Values(o.findings), byTime), func(f detect.Finding) bool { return f.Suppressed != "" })
}
