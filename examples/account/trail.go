package account

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// A File is one file that CloudTrail delivers.
type File struct {
	// Path is where the file goes, below the bucket's root:
	// AWSLogs/111122223333/CloudTrail/eu-west-1/2026/01/05/….json.gz
	Path string
	Time time.Time // when it is delivered
	// Records are what is in it, not quite in order of time. Some records are
	// in a file of another region, too.
	Records []Record
	region  string
}

// Files returns the files that CloudTrail delivers, in order of delivery. So
// this is the order in which a detector gets the records: up to ten minutes
// late, not quite in order, a fifth of them twice.
func (a *Account) Files() iter.Seq[File] {
	return func(yield func(File) bool) {
		r := a.random("delivery", 0)
		var open []File // files that may still get records, in order of delivery
		deliver := func(before time.Time) bool {
			for len(open) > 0 && open[0].Time.Before(before) {
				shuffle(r, open[0].Records)
				if !yield(open[0]) {
					return false
				}
				open = open[1:]
			}
			return true
		}
		for record := range a.Records() {
			if !deliver(record.Time) {
				return
			}
			regions := []string{record.Region}
			if record.global {
				regions = []string{home, global}
			}
			for _, region := range regions {
				stamp := delivery(r, record.Time)
				i, found := slices.BinarySearchFunc(open, File{Time: stamp, region: region}, inOrder)
				if !found {
					path := trailKey(accountID, region, stamp, a.draw(mixed, region+stamp.String(), 16))
					open = slices.Insert(open, i, File{Path: path, Time: stamp, region: region})
				}
				open[i].Records = append(open[i].Records, record)
			}
		}
		deliver(forever)
	}
}

// forever is later than any event.
var forever = time.Unix(1<<40, 0)

func inOrder(a, b File) int {
	return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.region, b.region))
}

const mixed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// delivery returns the time of the file that a record goes into: files close
// every five minutes, and a record takes up to five to get there.
func delivery(r *rand.Rand, t time.Time) time.Time {
	lag := time.Duration(r.Int64N(int64(150 * time.Second)))
	if r.IntN(10) == 0 {
		lag += time.Duration(r.Int64N(int64(150 * time.Second)))
	}
	const tick = 5 * time.Minute
	return t.Add(lag).Truncate(tick).Add(tick)
}

// shuffle puts about one in seven neighbours in the wrong order.
func shuffle(r *rand.Rand, records []Record) {
	for i := 1; i < len(records); i++ {
		if r.IntN(100) < 18 {
			records[i-1], records[i] = records[i], records[i-1]
		}
	}
}

// trailKey returns where CloudTrail puts a file.
func trailKey(account, region string, t time.Time, unique string) string {
	return "AWSLogs/" + account + "/CloudTrail/" + region + t.Format("/2006/01/02/") +
		account + "_CloudTrail_" + region + "_" + t.Format("20060102T1504Z") + "_" + unique + ".json.gz"
}

// WriteTrail writes all files below a directory, and the truth beside them in
// truth.json. It does not remove what was there before.
func (a *Account) WriteTrail(dir string) error {
	zip, err := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed)
	if err != nil {
		return err
	}
	for f := range a.Files() {
		path := filepath.Join(dir, filepath.FromSlash(f.Path))
		if err := writeFile(path, func(w io.Writer) error {
			zip.Reset(w)
			if err := f.write(zip); err != nil {
				return err
			}
			return zip.Close()
		}); err != nil {
			return err
		}
	}
	return a.WriteTruth(filepath.Join(dir, "truth.json"))
}

// write writes the file's text, not compressed.
func (f *File) write(w io.Writer) error {
	before := `{"Records":[`
	for _, r := range f.Records {
		if _, err := io.WriteString(w, before); err != nil {
			return err
		}
		if _, err := io.WriteString(w, r.JSON); err != nil {
			return err
		}
		before = ","
	}
	_, err := io.WriteString(w, "]}")
	return err
}

// WriteTruth writes [Account.Truth] as indented JSON into a file.
func (a *Account) WriteTruth(path string) error {
	return writeFile(path, func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(append([]Attack{}, a.Truth()...)) // [] rather than null
	})
}

// writeFile makes a file, and its directory if need be.
func writeFile(path string, write func(io.Writer) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	err = write(w)
	if flushed := w.Flush(); err == nil {
		err = flushed
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}
