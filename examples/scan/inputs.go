package main

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cloudtell/cloudtell/detect/coverage"
	"github.com/cloudtell/cloudtell/event"
)

// An intake reads logs from files, folders and standard input.
type intake struct {
	stdin    io.Reader
	options  event.ReadOptions
	progress progress

	watch *coverage.Coverage // what the logs let the rules see; nil if nobody asks

	foreign foreign // findings among the records

	mu      sync.Mutex
	reading reading
}

// A reading says what was read, and what not.
type reading struct {
	files      int   // that held records, or nothing at all
	records    int64 // that could be read
	skipped    notes // files and folders that hold no log
	unreadable notes // records
	failed     notes // files and folders; of some, a part was read
}

// unread says in one line what is missing, or "".
func (c *reading) unread() string {
	if c.failed.total+c.unreadable.total == 0 {
		return ""
	}
	return count(int64(c.failed.total), "path") + " and " + count(int64(c.unreadable.total), "record") + " could not be read"
}

// The kinds of text that a sorter's records hold.
const (
	cloudTrailRecord = 'c'
	accessLogLine    = 'a'
)

// decode returns the event that a sorted record holds.
func (r record) decode() (*event.Event, error) {
	_, kind, text := r.content()
	if kind == accessLogLine {
		return event.ParseAccessLog(string(text))
	}
	return event.Parse(string(text))
}

// gather reads everything that the paths name into the sorter, files at once
// on all processors. Its error is one that ends the scan: the context's, or
// the sorter's. What is wrong with the input itself is noted in the reading.
func (in *intake) gather(ctx context.Context, paths []string, s *sorter) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	names := make(chan string)
	var wg sync.WaitGroup
	for range workers() {
		w := s.writer()
		wg.Go(func() {
			var watch *coverage.Coverage
			if in.watch != nil {
				watch = in.watch.Empty()
			}
			for name := range names {
				if err := in.readFile(ctx, name, w, watch); err != nil {
					cancel(err)
				}
			}
			if watch != nil {
				in.mu.Lock()
				defer in.mu.Unlock()
				in.watch.Merge(watch)
			}
		})
	}
	for _, path := range paths {
		in.walk(path, func(name string) bool {
			select {
			case names <- name:
				return true
			case <-ctx.Done():
				return false
			}
		})
	}
	close(names)
	wg.Wait()
	return context.Cause(ctx)
}

// workers is the number of files to read at once.
func workers() int { return runtime.GOMAXPROCS(0) }

// walk yields the names of the files that a path stands for, until yield
// returns false.
func (in *intake) walk(path string, yield func(name string) bool) {
	if path == "-" {
		yield(path)
		return
	}
	info, err := os.Stat(path)
	if err != nil {
		in.note(&in.reading.failed, path, err)
		return
	}
	if !info.IsDir() {
		yield(path)
		return
	}
	root := path + string(filepath.Separator) // follows a symbolic link
	filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			in.note(&in.reading.failed, name, err)
			return nil
		}
		if entry.IsDir() {
			if why := noLogs(entry.Name()); why != nil && name != root {
				in.note(&in.reading.skipped, name, why)
				return fs.SkipDir
			}
			return nil
		}
		info, err := os.Stat(name) // follows a symbolic link
		switch {
		case err != nil:
			in.note(&in.reading.failed, name, err)
		case info.IsDir():
			in.note(&in.reading.skipped, name, errLink)
		case !info.Mode().IsRegular():
			in.note(&in.reading.skipped, name, errIrregular)
		case !yield(name):
			return fs.SkipAll
		}
		return nil
	})
}

// Reasons to skip a file or folder.
var (
	errLink      = errors.New("a symbolic link to a folder")
	errIrregular = errors.New("not a regular file")
	errHidden    = errors.New("a hidden folder")
	errSibling   = errors.New("not CloudTrail events")
)

// noLogs says why a folder of that name is not searched, or nil: among them
// the folders that CloudTrail writes beside its events.
func noLogs(folder string) error {
	switch folder {
	case "CloudTrail-Digest", "CloudTrail-Insight", "CloudTrail-Aggregated":
		return errSibling
	}
	if strings.HasPrefix(folder, ".") {
		return errHidden
	}
	return nil
}

// open opens a file or standard input.
func (in *intake) open(name string) (io.ReadCloser, error) {
	if name != "-" {
		return os.Open(name)
	}
	// A read of standard input may wait for ever, and closing it does not end
	// that; closing a pipe does. The copying goroutine ends with the input, or
	// with the process.
	r, w := io.Pipe()
	go func() {
		_, err := io.Copy(w, in.stdin)
		w.CloseWithError(err)
	}()
	return r, nil
}

// maxInflated is the most that one compressed file may hold. It ends the
// reading of a file made to keep a scan busy for ever.
const maxInflated = 8 << 30

var errInflated = errors.New("over 8 GiB after decompression; if that is right, decompress it first")

// inflate decompresses what is compressed. [event.Read] would, too, but could
// not tell a damaged file from damaged records, which matters here.
func inflate(r io.Reader) (io.Reader, error) {
	b := bufio.NewReader(r)
	if magic, _ := b.Peek(2); string(magic) != "\x1f\x8b" {
		return b, nil
	}
	z, err := gzip.NewReader(b)
	return &bounded{z, maxInflated}, err
}

// A bounded reader fails with errInflated after rest bytes.
type bounded struct {
	r    io.Reader
	rest int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.rest -= int64(n); b.rest < 0 {
		return 0, errInflated
	}
	return n, err
}

// readFile reads one file into w. Its error is one that ends the scan.
func (in *intake) readFile(ctx context.Context, name string, w *writer, watch *coverage.Coverage) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	r, err := in.open(name)
	if err != nil {
		in.note(&in.reading.failed, name, err)
		return nil
	}
	defer r.Close()
	defer context.AfterFunc(ctx, func() { r.Close() })()
	text, err := inflate(r)
	if err != nil {
		in.note(&in.reading.failed, name, err)
		return nil
	}
	var f fileReading
	delivered := deliveryTime(name)
	for e, err := range event.Read(text, &in.options) {
		if errors.Is(err, event.ErrGuardDuty) {
			if err = in.foreign.add(err); err == nil {
				f.records++
				in.progress.records.Add(1)
				continue
			}
		}
		if err != nil {
			f.fault(err)
			continue
		}
		f.records++
		in.progress.records.Add(1)
		kind := byte(cloudTrailRecord)
		if e.Category == event.AccessLog {
			kind = accessLogLine
		}
		var arrived uint32 // matters to the coverage only
		if watch != nil {
			watch.Observe(e, delivered)
			arrived = uint32(max(0, delivered.Unix()))
		}
		if err := w.add(e.Time.UnixNano(), e.ID, arrived, kind, e.Text); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	in.progress.files.Add(1)
	in.enter(name, &f)
	return nil
}

// The names of log files tell when they were delivered: CloudTrail's to the
// minute, those of access logs to the second.
var deliveryNames = []struct {
	form   *regexp.Regexp
	layout string
}{
	{regexp.MustCompile(`_CloudTrail_.*_(\d{8}T\d{4}Z)_`), "20060102T1504Z"},
	{regexp.MustCompile(`(?:^|[^0-9])(\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d)-[0-9A-F]{16}`), "2006-01-02-15-04-05"},
}

// deliveryTime returns when a log file of that name was delivered; the zero
// time if the name does not tell.
func deliveryTime(name string) time.Time {
	for _, d := range deliveryNames {
		if m := d.form.FindStringSubmatch(filepath.Base(name)); m != nil {
			if t, err := time.Parse(d.layout, m[1]); err == nil {
				return t
			}
		}
	}
	return time.Time{}
}

// A fileReading is what was read of one file.
type fileReading struct {
	records int64
	faults  int
	first   []*event.DecodeError // the first few
	noLog   bool                 // all faults say that this is something else than a log
	failed  error                // why the file could not be read to its end
}

func (f *fileReading) fault(err error) {
	var d *event.DecodeError
	if !errors.As(err, &d) {
		f.failed = err
		return
	}
	f.noLog = (f.faults == 0 || f.noLog) && (errors.Is(err, event.ErrNotRecord) || errors.Is(err, event.ErrSyntax))
	f.faults++
	if len(f.first) < maxNotes {
		f.first = append(f.first, d)
	}
}

// enter adds what was read of a file to the whole.
func (in *intake) enter(name string, f *fileReading) {
	if f.failed != nil {
		in.note(&in.reading.failed, name, f.failed)
	}
	if f.noLog && f.records == 0 {
		if f.failed == nil {
			in.note(&in.reading.skipped, name, fmt.Errorf("no log in it: %w", f.first[0].Err))
		}
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if f.failed == nil || f.records > 0 {
		in.reading.files++
	}
	in.reading.records += f.records
	for _, d := range f.first {
		in.reading.unreadable.add(name, fmt.Sprintf("record %d, at byte %d: %v", d.Record, d.Offset, d.Err))
	}
	in.reading.unreadable.total += f.faults - len(f.first)
}

// note puts a file or folder on one of the reading's lists.
func (in *intake) note(list *notes, name string, why error) {
	var pathError *fs.PathError
	if errors.As(why, &pathError) {
		why = pathError.Err // the name is there already
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	list.add(filepath.Clean(name), why.Error())
}

// maxNotes is the number of notes of one kind that are kept, and printed.
const maxNotes = 10

// notes counts what is noted and keeps the first by name, whatever order they
// come in.
type notes struct {
	total int
	kept  []note
}

type note struct{ name, why string }

func (n *notes) add(name, why string) {
	n.total++
	if slices.Contains(n.kept, note{name, why}) {
		return
	}
	n.kept = append(n.kept, note{name, why})
	if len(n.kept) >= 4*maxNotes {
		n.kept = n.first()
	}
}

// first returns the first few notes in the order of their names.
func (n *notes) first() []note {
	slices.SortStableFunc(n.kept, func(a, b note) int { return cmp.Compare(a.name, b.name) })
	return n.kept[:min(maxNotes, len(n.kept))]
}
