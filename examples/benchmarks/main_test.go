package main

import (
	"strings"
	"testing"
)

// All cases find the same records.
func TestCasesAgree(t *testing.T) {
	want := 0
	for range plainRecords(1) {
		want++
	}
	for name, table := range tables {
		files := table.input(1)
		for _, c := range table.cases() {
			t.Run(name+"/"+c.name, func(t *testing.T) {
				n, err := c.run(files)
				if err != nil {
					t.Fatal(err)
				}
				if n != want && !strings.HasSuffix(c.name, "alone") {
					t.Errorf("%d records, want %d", n, want)
				}
			})
		}
	}
}
