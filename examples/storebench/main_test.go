//go:build unix

package main

import (
	"os"
	"testing"
)

// Both commands run on every store that is installed. What they check: records
// come back as they were saved.
func TestCommands(t *testing.T) {
	places, stop, err := startAll()
	defer stop()
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("CI") == "true" && len(places) != 5 {
		t.Fatalf("%d stores, want 5", len(places))
	}
	b := bench{days: 2, scale: 1, batch: 2000, rounds: 1, records: 2500, size: 100, batches: 5}
	if testing.Short() {
		b.days = 1
	}
	if err := b.fill(t.Context(), places); err != nil {
		t.Error(err)
	}
	if err := b.engine(t.Context(), places); err != nil {
		t.Error(err)
	}
}
