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
	"math"
	"os"
	"path/filepath"
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
	lag      time.Duration // see read
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

// A job is a few inputs to read.
type job struct {
	inputs  []input
	batches chan *batch // what was read; closed at the end
}

// maxJob is the number of inputs in a job. Most of CloudTrail's files are small.
const maxJob = 8

// read reads everything that the paths name, several files at once on all
// processors. It gives sorted batches of events to add, and tells when all
// events before a time have been added: a file whose name says when CloudTrail
// delivered it holds no event from more than the lag before that, and such files
// are read in the order of delivery; of other files and of standard input, which
// are read first, nothing is known. A few batches for each processor are the
// memory that it needs, besides the names of folders. Of large files not much more
// than one for each processor has to be held until it is complete.
//
// Its error is one that ends the scan: the context's, or one of the functions'.
// What is wrong with the input itself is noted in the reading.
func (in *intake) read(ctx context.Context, paths []string, add func(*batch) error, complete func(before int64) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel(nil)
	todo := make(chan *job)
	order := make(chan *job, 2*workers()) // the same jobs
	for range workers() {
		wg.Go(func() {
			r := in.newReader()
			for j := range todo {
				r.do(ctx, j)
			}
			r.close()
		})
	}
	wg.Go(func() {
		defer close(order)
		defer close(todo)
		in.jobs(ctx, paths, func(j *job) bool {
			for _, c := range []chan *job{order, todo} {
				select {
				case c <- j:
				case <-ctx.Done():
					return false
				}
			}
			return true
		})
	})
	for j := range order {
		for open := true; open; {
			var b *batch
			select {
			case b, open = <-j.batches:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			if !open {
				break
			}
			if err := complete(b.earliest); err != nil {
				return err
			}
			if err := add(b); err != nil {
				return err
			}
		}
	}
	return context.Cause(ctx)
}

// workers is the number of files to read at once.
func workers() int { return runtime.GOMAXPROCS(0) }

// jobs puts the inputs into jobs, in the order in which they are to be read, until
// the context ends or yield returns false.
func (in *intake) jobs(ctx context.Context, paths []string, yield func(*job) bool) {
	var next *job
	flush := func() bool {
		j := next
		next = nil
		return j == nil || yield(j)
	}
	in.inputs(ctx, paths, func(i input) bool {
		if next == nil {
			next = &job{batches: make(chan *batch, 1)}
		}
		next.inputs = append(next.inputs, i)
		return len(next.inputs) < maxJob || flush()
	})
	flush()
}

// An input is a file, or standard input.
type input struct {
	name      string
	delivered int64 // when it was, Unix seconds; 0 if its name does not tell
	trail     bool  // a file that CloudTrail delivered, and its name tells when
	regular   bool  // a regular file: reading it does not block
}

// inputs yields the inputs that paths stand for, until the context ends or yield
// returns false: first those whose events may be from any time, then CloudTrail's
// in the order of delivery.
func (in *intake) inputs(ctx context.Context, paths []string, yield func(input) bool) {
	dated := newDeliveries()
	for _, path := range paths {
		stopped := false
		folders := make(map[string]int64) // of CloudTrail's files, with the first delivery
		in.walk(path, func(i input) bool {
			if stopped = ctx.Err() != nil; stopped {
				return false
			}
			folder := filepath.Dir(i.name)
			first, known := folders[folder]
			switch {
			case !i.trail:
				stopped = !yield(i)
			case i.name == path:
				dated.push(&stretch{files: []input{i}, next: i.delivered})
			case !known || i.delivered < first:
				folders[folder] = i.delivered
			}
			return !stopped
		})
		if stopped {
			return
		}
		for folder, first := range folders {
			dated.push(&stretch{folder: folder, next: first})
		}
	}
	for i, err := range inOrder(dated) {
		if err != nil {
			in.note(&in.reading.failed, i.name, err)
		} else if !yield(i) {
			return
		}
	}
}

// earliest returns the time of the first event that may be in an input, or in
// those that follow it, in Unix nanoseconds.
func (in *intake) earliest(i input) int64 {
	if !i.trail {
		return math.MinInt64
	}
	return time.Unix(i.delivered, 0).Add(-in.lag).UnixNano()
}

// walk yields the files that a path stands for, until yield returns false.
func (in *intake) walk(path string, yield func(input) bool) {
	if path == "-" {
		yield(input{name: path})
		return
	}
	info, err := os.Stat(path)
	if err != nil {
		in.note(&in.reading.failed, path, err)
		return
	}
	if !info.IsDir() {
		yield(newInput(path, info.Mode().IsRegular()))
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
		switch why, err := notAFile(name, entry); {
		case err != nil:
			in.note(&in.reading.failed, name, err)
		case why != nil:
			in.note(&in.reading.skipped, name, why)
		case !yield(newInput(name, true)):
			return fs.SkipAll
		}
		return nil
	})
}

// notAFile says why an entry of a folder is not read: it is neither a regular
// file nor a symbolic link to one.
func notAFile(name string, entry fs.DirEntry) (why, err error) {
	mode := entry.Type()
	if mode&fs.ModeSymlink != 0 {
		info, err := os.Stat(name)
		if err != nil {
			return nil, err
		}
		if mode = info.Mode(); mode.IsDir() {
			return errLink, nil
		}
	}
	if !mode.IsRegular() {
		return errIrregular, nil
	}
	return nil, nil
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
func (in *intake) open(i input) (io.ReadCloser, error) {
	if i.regular {
		return os.Open(i.name)
	}
	// Standard input may keep a reader waiting for ever, and a named pipe even
	// him who opens it; closing them does not end that, closing this pipe does.
	// The copying goroutine ends with the input, or with the process.
	r, w := io.Pipe()
	go func() { w.CloseWithError(in.copyTo(w, i.name)) }()
	return r, nil
}

// copyTo writes all of an input.
func (in *intake) copyTo(w io.Writer, name string) error {
	from := in.stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		from = file
	}
	_, err := io.Copy(w, from)
	return err
}

// maxInflated is the most that one compressed file may hold. It ends the
// reading of a file made to keep a scan busy for ever.
const maxInflated = 8 << 30

var errInflated = errors.New("over 8 GiB after decompression; if that is right, decompress it first")

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

// A reader does jobs, one after the other in the same memory.
type reader struct {
	intake  *intake
	options event.ReadOptions
	watch   *coverage.Coverage
	buffer  *bufio.Reader
	zip     gzip.Reader
	batch   *batch // being filled; nil if there is none
}

func (in *intake) newReader() *reader {
	r := &reader{intake: in, options: in.options, buffer: bufio.NewReaderSize(nil, 64<<10)}
	r.options.Reuse = true // batches copy
	if in.watch != nil {
		r.watch = in.watch.Empty()
	}
	return r
}

// close adds what the reader has seen to what the intake has.
func (r *reader) close() {
	if r.watch != nil {
		r.intake.mu.Lock()
		defer r.intake.mu.Unlock()
		r.intake.watch.Merge(r.watch)
	}
}

// do does a job, unless the context ends.
func (r *reader) do(ctx context.Context, j *job) {
	defer close(j.batches)
	for _, i := range j.inputs {
		if !r.file(ctx, i, j) {
			return
		}
	}
	r.send(ctx, j)
}

// file reads one file, and reports whether to go on.
func (r *reader) file(ctx context.Context, i input, j *job) bool {
	if ctx.Err() != nil {
		return false
	}
	in := r.intake
	file, err := in.open(i)
	if err != nil {
		in.note(&in.reading.failed, i.name, err)
		return true
	}
	defer file.Close()
	if !i.regular {
		defer context.AfterFunc(ctx, func() { file.Close() })()
	}
	text, err := r.inflate(file)
	if err != nil {
		in.note(&in.reading.failed, i.name, err)
		return true
	}
	var f fileReading
	earliest, large := in.earliest(i), false
	for e, err := range event.Read(text, &r.options) {
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
		var delivered uint32 // matters to the coverage only
		if r.watch != nil {
			r.watch.Observe(e, i.deliveryTime())
			delivered = uint32(max(0, i.delivered))
		}
		if r.batch == nil {
			r.batch = batches.Get().(*batch)
			r.batch.earliest = earliest
		}
		earliest = math.MinInt64 // a file is put in order as a whole, even if it breaks the promise
		r.batch.add(e, delivered)
		if r.batch.full() {
			large = true
			if !r.send(ctx, j) {
				return false
			}
		}
	}
	// The next file begins a batch, and lets go what is before it.
	if ctx.Err() != nil || large && !r.send(ctx, j) {
		return false
	}
	in.progress.files.Add(1)
	in.enter(i.name, &f)
	return true
}

// send gives the batch away, and reports whether somebody took it.
func (r *reader) send(ctx context.Context, j *job) bool {
	b := r.batch
	if b == nil {
		return true
	}
	r.batch = nil
	r.intake.progress.records.Add(int64(len(b.entries)))
	b.sort()
	select {
	case j.batches <- b:
		return true
	case <-ctx.Done():
		return false
	}
}

// inflate decompresses what is compressed. [event.Read] would, too, but could
// not tell a damaged file from damaged records, which matters here.
func (r *reader) inflate(file io.Reader) (io.Reader, error) {
	r.buffer.Reset(file)
	if magic, _ := r.buffer.Peek(2); string(magic) != "\x1f\x8b" {
		return r.buffer, nil
	}
	return &bounded{&r.zip, maxInflated}, r.zip.Reset(r.buffer)
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
