package main

import (
	"bytes"
	"compress/gzip"
	"iter"

	"github.com/cloudtell/cloudtell/examples/account"
)

// input returns the records of a generated account: as files in the form of
// CloudTrail's with so many records each or, with 0, as one file of lines.
func input(days, perFile int) [][]byte {
	var files [][]byte
	var b bytes.Buffer
	n := 0
	for record := range plainRecords(days) {
		switch {
		case perFile == 0:
		case n%perFile == 0:
			b.WriteString(`{"Records":[`)
		default:
			b.WriteByte(',')
		}
		b.WriteString(record)
		n++
		switch {
		case perFile == 0:
			b.WriteByte('\n')
		case n%perFile == 0:
			b.WriteString("]}")
			files = append(files, bytes.Clone(b.Bytes()))
			b.Reset()
		}
	}
	if b.Len() > 0 {
		if perFile > 0 {
			b.WriteString("]}")
		}
		files = append(files, b.Bytes())
	}
	return files
}

// plainRecords returns the account's records one by one.
func plainRecords(days int) iter.Seq[string] {
	return func(yield func(string) bool) {
		for r := range account.New(&account.Options{Days: days, Attacks: true, Traps: true}).Records() {
			if !yield(r.JSON) {
				return
			}
		}
	}
}

// compressed returns the files as AWS stores them.
func compressed(files [][]byte) [][]byte {
	var all [][]byte
	for _, file := range files {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		z.Write(file) // a Buffer takes everything
		z.Close()
		all = append(all, b.Bytes())
	}
	return all
}
