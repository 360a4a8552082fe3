package main

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"unsafe"

	"github.com/cloudtell/cloudtell/event"
)

// An entry is an event on its way to detection.
type entry struct {
	at        int64  // the event's time, Unix nanoseconds
	delivered uint32 // the time of delivery, Unix seconds; 0 if it does not matter
	event     *event.Event
}

// compare orders entries by time and then by all they are. No two different
// ones are equal, so the order of the input leaves no trace. Copies of a record
// stand beside each other, the first to be delivered first.
func (a entry) compare(b entry) int {
	if a.at != b.at {
		return cmp.Compare(a.at, b.at)
	}
	if c := strings.Compare(a.event.ID, b.event.ID); c != 0 {
		return c
	}
	return cmp.Or(cmp.Compare(a.delivered, b.delivered), strings.Compare(a.event.Text, b.event.Text))
}

// A batch is some events in memory.
type batch struct {
	entries []entry // in order, once it is with a sorter
	events  event.Batch
	size    int // bytes of text
	// earliest is the time of the first event that may be in it, or in what is
	// read after it, in Unix nanoseconds, as far as is known where a file begins.
	earliest int64
}

// A batch is full with so many events, or bytes of text: as much as an
// event.Batch has room for at once.
const (
	maxEntries = 32
	maxBytes   = 44 << 10
)

func (b *batch) full() bool { return len(b.entries) >= maxEntries || b.size >= maxBytes }

func (b *batch) add(e *event.Event, delivered uint32) {
	b.entries = append(b.entries, entry{e.Time.UnixNano(), delivered, b.events.Add(e)})
	b.size += len(e.Text)
}

// memory returns the bytes that the batch takes up, about.
func (b *batch) memory() int {
	return max(b.size, maxBytes) + maxEntries*int(unsafe.Sizeof(event.Event{})+unsafe.Sizeof(entry{}))
}

// batches are those that can be used again.
var batches = sync.Pool{New: func() any { return new(batch) }}

func (b *batch) release() {
	clear(b.entries)
	b.entries, b.size = b.entries[:0], 0
	b.events.Reset()
	batches.Put(b)
}

// A sorter puts any number of events in the order of time with bounded memory.
// What does not fit is written to a temporary folder as a sorted run,
// compressed. An input that fits, or that comes nearly in order so that the
// beginning can be taken out before the end is there, never touches the disk.
// Close removes everything.
//
//	s := newSorter(memory)
//	defer s.close()
//	s.add(ctx, batch)
//	for {
//		e, ok, err := s.next(before)
//		…
//	}
type sorter struct {
	memory  int // bytes of events that may be held
	held    int
	sources queue[*source]
	spent   []*batch // of which some events have come out and may still be in use

	dir     string // "" until the first run is written
	created int
	files   int // sources that are files

	last       entry  // the last to come out, but for its event
	lastID     []byte // of its event
	any        bool   // there is one
	duplicates int64  // entries that next has left out
}

// fanIn is the number of runs on disk that are merged at once.
const fanIn = 64

func newSorter(memory int64) *sorter {
	return &sorter{memory: int(memory), sources: newSources()}
}

func newSources() queue[*source] {
	return queue[*source]{less: func(a, b *source) bool { return a.head.compare(b.head) < 0 }}
}

// close removes the temporary files.
func (s *sorter) close() error {
	var errs []error
	for _, src := range s.sources.items {
		if src.file != nil {
			errs = append(errs, src.file.close())
		}
	}
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}

// sort puts a batch in order for a sorter.
func (b *batch) sort() { slices.SortFunc(b.entries, entry.compare) }

// add takes in a sorted batch, which is the sorter's from now on.
func (s *sorter) add(ctx context.Context, b *batch) error {
	if len(b.entries) == 0 {
		b.release()
		return nil
	}
	s.sources.push(&source{head: b.entries[0], batch: b})
	if s.held += b.memory(); s.held > s.memory {
		return s.spill(ctx)
	}
	return nil
}

// next returns the first of the events that are older than a time, and removes
// it; false if there is none. It is valid until recycle. Of events with the same
// time and id only one comes out, always the same one, unless one of them was
// added only after events later than it had come out.
func (s *sorter) next(before int64) (entry, bool, error) {
	for s.sources.len() > 0 {
		src := s.sources.min()
		e := src.head
		if e.at >= before {
			break
		}
		src.out = true
		if err := s.advance(&s.sources); err != nil {
			return entry{}, false, err
		}
		if s.any && e.at == s.last.at && e.event.ID == string(s.lastID) {
			s.duplicates++
			continue
		}
		s.last.at, s.lastID, s.any = e.at, append(s.lastID[:0], e.event.ID...), true
		return e, true, nil
	}
	return entry{}, false, nil
}

// recycle says that events that came out are no longer in use.
func (s *sorter) recycle() {
	for _, b := range s.spent {
		b.release()
	}
	clear(s.spent)
	s.spent = s.spent[:0]
}

// A source has events in order: the rest of a batch, or of a file.
type source struct {
	head  entry
	batch *batch
	used  int  // entries of the batch that come before the head
	out   bool // some of them have come out
	file  *runFile
}

// advance moves on the first of some sources. It drops the source at its end.
func (s *sorter) advance(sources *queue[*source]) error {
	src := sources.min()
	if src.batch != nil {
		if src.used++; src.used < len(src.batch.entries) {
			src.head = src.batch.entries[src.used]
			sources.fix()
			return nil
		}
		s.held -= src.batch.memory()
		if src.out {
			s.spent = append(s.spent, src.batch)
		} else { // all went to the disk
			src.batch.release()
		}
		sources.pop()
		return nil
	}
	head, err := src.file.next()
	switch err {
	case nil:
		src.head = head
		sources.fix()
	case io.EOF:
		sources.pop()
		s.files--
		return src.file.close()
	}
	return ignoreEOF(err)
}

func ignoreEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// spill writes the events in memory to a run. When there are many runs already,
// it merges them too, so that every event is rewritten once for each factor of
// fanIn.
func (s *sorter) spill(ctx context.Context) error {
	out, rest := newSources(), newSources()
	for _, src := range s.sources.items {
		if src.batch != nil || s.files >= fanIn {
			out.push(src)
		} else {
			rest.push(src)
		}
	}
	s.sources = rest
	run, err := s.write(ctx, &out)
	if err != nil {
		return fmt.Errorf("writing sorted records to the temporary folder: %w", err)
	}
	head, err := run.next()
	if err != nil {
		return errors.Join(err, run.close())
	}
	s.files++
	s.sources.push(&source{head: head, file: run})
	return nil
}

// write writes all that sources have to a new run, and opens it.
func (s *sorter) write(ctx context.Context, sources *queue[*source]) (_ *runFile, err error) {
	defer func() {
		for _, src := range sources.items { // after an error
			if src.file != nil {
				err = errors.Join(err, src.file.close())
			}
		}
	}()
	if s.dir == "" {
		if s.dir, err = os.MkdirTemp("", "cloudtell-scan-"); err != nil {
			return nil, err
		}
	}
	s.created++
	f, err := os.Create(filepath.Join(s.dir, fmt.Sprintf("%06d.gz", s.created)))
	if err != nil {
		return nil, err
	}
	w, err := newRunWriter(f)
	for err == nil && sources.len() > 0 {
		if err = ctx.Err(); err != nil {
			break
		}
		if err = w.write(sources.min().head); err == nil {
			err = s.advance(sources)
		}
	}
	if err == nil {
		err = w.flush()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return nil, err
	}
	return openRun(f.Name())
}

// A runWriter writes entries into a file, for a runFile to read.
type runWriter struct {
	buffer *bufio.Writer
	zip    *gzip.Writer
}

func newRunWriter(w io.Writer) (*runWriter, error) {
	buffer := bufio.NewWriterSize(w, 1<<16)
	zip, err := gzip.NewWriterLevel(buffer, gzip.BestSpeed)
	return &runWriter{buffer, zip}, err
}

// The kinds of text that a run holds.
const (
	cloudTrailRecord  = 'c'
	eventBridgeRecord = 'b'
	accessLogLine     = 'a'
)

func (w *runWriter) write(e entry) error {
	kind := byte(cloudTrailRecord)
	switch {
	case e.event.Category == event.AccessLog:
		kind = accessLogLine
	case e.event.EventBridge:
		kind = eventBridgeRecord
	}
	var head [5 + binary.MaxVarintLen64]byte
	binary.BigEndian.PutUint32(head[:], e.delivered)
	head[4] = kind
	n := 5 + binary.PutUvarint(head[5:], uint64(len(e.event.Text)))
	if _, err := w.zip.Write(head[:n]); err != nil {
		return err
	}
	_, err := io.WriteString(w.zip, e.event.Text)
	return err
}

func (w *runWriter) flush() error {
	if err := w.zip.Close(); err != nil {
		return err
	}
	return w.buffer.Flush()
}

// A runFile reads what a runWriter wrote. The checksum of gzip tells damage.
type runFile struct {
	file *os.File
	r    *bufio.Reader
	text []byte
}

func openRun(name string) (*runFile, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(bufio.NewReaderSize(f, 1<<16))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), f.Close())
	}
	return &runFile{file: f, r: bufio.NewReaderSize(z, 1<<16)}, nil
}

// maxRunText is far more than a record has, in bytes.
const maxRunText = 16 << 20

// close removes the file.
func (f *runFile) close() error { return errors.Join(f.file.Close(), os.Remove(f.file.Name())) }

// next returns the next entry; io.EOF at the end.
func (f *runFile) next() (entry, error) {
	var head [5]byte
	_, err := io.ReadFull(f.r, head[:])
	if err == io.EOF {
		return entry{}, err
	}
	var size uint64
	if err == nil {
		size, err = binary.ReadUvarint(f.r)
	}
	if err == nil && size > maxRunText {
		err = errors.New("damaged")
	}
	if err == nil {
		f.text = slices.Grow(f.text[:0], int(size))[:size]
		_, err = io.ReadFull(f.r, f.text)
	}
	var e *event.Event
	switch {
	case err != nil:
	case head[4] == accessLogLine:
		e, err = event.ParseAccessLog(string(f.text))
	default:
		e, err = event.Parse(string(f.text))
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return entry{}, fmt.Errorf("%s: %w", f.file.Name(), err)
	}
	e.EventBridge = head[4] == eventBridgeRecord
	return entry{e.Time.UnixNano(), binary.BigEndian.Uint32(head[:]), e}, nil
}
