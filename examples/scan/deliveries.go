package main

import (
	"cmp"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Deliveries are CloudTrail's files, by folder, so that not all of their names need
// to be in memory at once.
type deliveries = queue[*stretch]

// A stretch is the files of one folder that CloudTrail delivered, or one file.
type stretch struct {
	folder string  // "" once it has been looked into
	files  []input // then these, in the order of delivery
	next   int64   // when the next file was delivered, Unix seconds
}

func newDeliveries() *deliveries {
	return &deliveries{less: func(a, b *stretch) bool {
		if a.next != b.next {
			return a.next < b.next
		}
		return a.name() < b.name()
	}}
}

func (s *stretch) name() string {
	if s.folder != "" {
		return s.folder
	}
	return s.files[0].name
}

// inOrder yields the files in the order of delivery, and folders that
// cannot be read any more with an error.
func inOrder(t *deliveries) iter.Seq2[input, error] {
	return func(yield func(input, error) bool) {
		for t.len() > 0 {
			s := t.min()
			if s.folder != "" {
				name := s.folder
				if err := s.look(); err != nil && !yield(input{name: name}, err) {
					return
				}
			} else {
				i := s.files[0]
				s.files = s.files[1:]
				if !yield(i, nil) {
					return
				}
			}
			if len(s.files) == 0 {
				t.pop()
				continue
			}
			s.next = s.files[0].delivered
			t.fix()
		}
	}
}

// look reads the names of the files in the stretch's folder.
func (s *stretch) look() error {
	folder := s.folder
	s.folder = ""
	entries, err := os.ReadDir(folder)
	for _, e := range entries {
		i := newInput(filepath.Join(folder, e.Name()), true)
		if !i.trail {
			continue
		}
		if why, err := notAFile(i.name, e); why == nil && err == nil {
			s.files = append(s.files, i)
		}
	}
	slices.SortFunc(s.files, func(a, b input) int {
		return cmp.Or(cmp.Compare(a.delivered, b.delivered), cmp.Compare(a.name, b.name))
	})
	return err
}

func newInput(name string, regular bool) input {
	i := input{name: name, regular: regular}
	t, trail := trailTime(filepath.Base(name))
	if !trail {
		t = accessLogTime(filepath.Base(name))
	}
	if !t.IsZero() {
		i.delivered, i.trail = t.Unix(), trail
	}
	return i
}

// deliveryTime returns when the input was delivered; the zero time if its name
// does not tell.
func (i input) deliveryTime() time.Time {
	if i.delivered == 0 {
		return time.Time{}
	}
	return time.Unix(i.delivered, 0).UTC()
}

// trailTime returns the time of delivery, to the minute, that the name of a file
// of CloudTrail has in it:
//
//	111122223333_CloudTrail_eu-west-1_20260105T0900Z_Qx2Yc1vT0aBdEfGh.json.gz
//
// Those of network activity events may be called after their folder.
func trailTime(name string) (t time.Time, ok bool) {
	const layout = "20060102T1504Z"
	end := strings.LastIndexByte(name, '_')
	if end < len(layout) || !strings.Contains(name, "_CloudTrail_") && !strings.Contains(name, "_CloudTrail-NetworkActivity_") {
		return t, false
	}
	t, err := time.Parse(layout, name[end-len(layout):end])
	return t, err == nil
}

// accessLogName is the end of the name of an access log's file, in which the time
// of delivery is to the second.
var accessLogName = regexp.MustCompile(`(?:^|[^0-9])(\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d)-[0-9A-F]{16}`)

// accessLogTime returns the time of delivery in that name, or the zero time.
func accessLogTime(name string) (t time.Time) {
	if m := accessLogName.FindStringSubmatch(name); m != nil {
		t, _ = time.Parse("2006-01-02-15-04-05", m[1])
	}
	return t
}
