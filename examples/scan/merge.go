package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"container/heap"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"sync"
)

// A record is one log record while it is put in order.
type record struct {
	time int64  // event time, Unix nanoseconds
	body []byte // see appendBody
}

// appendBody encodes what a record is besides its time. The id comes first, so
// that copies of a record stand beside each other when bodies are compared; then
// the time of delivery, so that the first to be delivered comes first.
func appendBody(b []byte, id string, delivered uint32, kind byte, text string) []byte {
	b = binary.AppendUvarint(b, uint64(len(id)))
	b = append(b, id...)
	b = binary.BigEndian.AppendUint32(b, delivered)
	b = append(b, kind)
	return append(b, text...)
}

// id and content are the reverse of appendBody.
func (r record) id() []byte {
	n, width := binary.Uvarint(r.body)
	return r.body[width : width+int(n)]
}

func (r record) content() (delivered uint32, kind byte, text []byte) {
	n, width := binary.Uvarint(r.body)
	rest := r.body[width+int(n):]
	return binary.BigEndian.Uint32(rest), rest[4], rest[5:]
}

// compare orders records by time and then by all they are. No two different
// records are equal, so the order of the input leaves no trace.
func (r record) compare(other record) int {
	switch {
	case r.time < other.time:
		return -1
	case r.time > other.time:
		return 1
	}
	return bytes.Compare(r.body, other.body)
}

// fanIn is the number of runs that are merged at once, and so of files that
// are open.
const fanIn = 64

// A sorter puts any number of records in the order of time with bounded
// memory. What does not fit is written to a temporary folder as sorted runs,
// compressed; the runs are merged at the end. An input that fits never touches
// the disk. Close removes everything.
//
//	s := newSorter(memory, 1)
//	defer s.close()
//	w := s.writer()
//	w.add(…)
//	for r, err := range s.records(ctx) { … }
type sorter struct {
	share     int // bytes of records that each writer holds
	blockSize int

	mu      sync.Mutex
	dir     string // "" until the first run is written
	created int
	runs    []string // files
	writers []*writer

	duplicates int64 // records that records has dropped
}

// newSorter returns a sorter for a number of writers that hold at most memory
// bytes between them.
func newSorter(memory int64, writers int) *sorter {
	share := int(min(max(memory/int64(writers), 1), 1<<30))
	return &sorter{share: share, blockSize: min(1<<20, share)}
}

// close removes the temporary files. No writer may be in use any more.
func (s *sorter) close() error {
	if s.dir == "" {
		return nil
	}
	return os.RemoveAll(s.dir)
}

// writer returns a new writer, for one goroutine.
func (s *sorter) writer() *writer {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &writer{sorter: s}
	s.writers = append(s.writers, w)
	return w
}

// A writer takes records into memory, copying them, and writes them out as a
// run when its share is full.
type writer struct {
	sorter  *sorter
	held    int // bytes, with what each record costs besides its body
	records []record
	blocks  [][]byte // bodies lie here, so the collector has few things to look at
	block   int      // the block being filled
}

const recordOverhead = 32 // the size of a record value

// add takes in a record. delivered is in Unix seconds, or 0 if it does not
// matter.
func (w *writer) add(time int64, id string, delivered uint32, kind byte, text string) error {
	size := binary.MaxVarintLen64 + len(id) + 4 + 1 + len(text)
	if w.held > 0 && w.held+size+recordOverhead > w.sorter.share {
		if err := w.spill(); err != nil {
			return err
		}
	}
	b := w.room(size)
	start := len(*b)
	*b = appendBody(*b, id, delivered, kind, text)
	w.records = append(w.records, record{time, (*b)[start:len(*b):len(*b)]})
	w.held += size + recordOverhead
	return nil
}

// room returns a block with room for n bytes.
func (w *writer) room(n int) *[]byte {
	for ; w.block < len(w.blocks); w.block++ {
		if b := &w.blocks[w.block]; cap(*b)-len(*b) >= n {
			return b
		}
	}
	w.blocks = append(w.blocks, make([]byte, 0, max(n, w.sorter.blockSize)))
	return &w.blocks[w.block]
}

// sort puts what is in memory in order.
func (w *writer) sort() { slices.SortFunc(w.records, record.compare) }

// spill writes what is in memory to a run and forgets it.
func (w *writer) spill() error {
	w.sort()
	err := w.sorter.writeRun(func(yield func(record, error) bool) {
		for _, r := range w.records {
			if !yield(r, nil) {
				return
			}
		}
	})
	w.records, w.held, w.block = w.records[:0], 0, 0
	// Blocks made for one huge record are not worth keeping.
	w.blocks = slices.DeleteFunc(w.blocks, func(b []byte) bool { return cap(b) > w.sorter.blockSize })
	for i := range w.blocks {
		w.blocks[i] = w.blocks[i][:0]
	}
	return err
}

// writeRun writes sorted records to a new run.
func (s *sorter) writeRun(records iter.Seq2[record, error]) (err error) {
	f, err := s.create()
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			err = fmt.Errorf("writing sorted records to the temporary folder: %w", err)
			return
		}
		s.mu.Lock()
		s.runs = append(s.runs, f.Name())
		s.mu.Unlock()
	}()
	buffer := bufio.NewWriterSize(f, 1<<16)
	z, err := gzip.NewWriterLevel(buffer, gzip.BestSpeed)
	if err != nil {
		return err
	}
	var head [8 + binary.MaxVarintLen64]byte
	for r, err := range records {
		if err != nil {
			return err
		}
		binary.BigEndian.PutUint64(head[:], uint64(r.time))
		n := 8 + binary.PutUvarint(head[8:], uint64(len(r.body)))
		if _, err := z.Write(head[:n]); err != nil {
			return err
		}
		if _, err := z.Write(r.body); err != nil {
			return err
		}
	}
	if err := z.Close(); err != nil {
		return err
	}
	return buffer.Flush()
}

// create opens the file of a new run.
func (s *sorter) create() (*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir == "" {
		dir, err := os.MkdirTemp("", "cloudtell-scan-")
		if err != nil {
			return nil, err
		}
		s.dir = dir
	}
	s.created++
	return os.Create(fmt.Sprintf("%s%crun-%d", s.dir, os.PathSeparator, s.created))
}

// records returns all records in order, without exact duplicates: of those with
// the same time and id only one comes out, always the same one. A record is
// valid until the next one. An error is the last thing to come. The writers
// must be done; the iterator is for one use.
func (s *sorter) records(ctx context.Context) iter.Seq2[record, error] {
	return func(yield func(record, error) bool) {
		for len(s.runs) > fanIn {
			if err := s.compact(ctx); err != nil {
				yield(record{}, err)
				return
			}
		}
		sources, err := openRuns(s.runs)
		defer closeAll(sources)
		if err != nil {
			yield(record{}, err)
			return
		}
		for _, w := range s.writers {
			w.sort()
			sources = append(sources, &memoryRun{rest: w.records})
		}
		s.merge(ctx, sources, yield)
	}
}

// compact merges the oldest runs into one, so that every record is rewritten
// once for each factor of fanIn.
func (s *sorter) compact(ctx context.Context) error {
	oldest := s.runs[:fanIn]
	s.runs = slices.Clone(s.runs[fanIn:])
	sources, err := openRuns(oldest)
	if err == nil {
		err = s.writeRun(func(yield func(record, error) bool) { s.merge(ctx, sources, yield) })
	}
	closeAll(sources)
	for _, name := range oldest {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}

// merge yields the records of sorted sources in order, without duplicates.
func (s *sorter) merge(ctx context.Context, sources []source, yield func(record, error) bool) {
	var h sourceHeap
	for _, src := range sources {
		if err := h.add(src); err != nil {
			yield(record{}, err)
			return
		}
	}
	heap.Init(&h)
	var lastTime int64
	var lastID []byte
	for first := true; len(h) > 0; first = false {
		if err := ctx.Err(); err != nil {
			yield(record{}, err)
			return
		}
		r := h[0].record
		id := r.id()
		if duplicate := !first && r.time == lastTime && bytes.Equal(id, lastID); duplicate {
			s.duplicates++
		} else {
			lastTime, lastID = r.time, append(lastID[:0], id...)
			if !yield(r, nil) {
				return
			}
		}
		if err := h.advance(); err != nil {
			yield(record{}, err)
			return
		}
	}
}

// A source gives the records of one run; io.EOF at its end. A record is valid
// until the next call.
type source interface {
	next() (record, error)
	close()
}

// A sourceHeap has the source with the least current record on top.
type sourceHeap []*current

type current struct {
	record record
	source source
}

func (h sourceHeap) Len() int           { return len(h) }
func (h sourceHeap) Less(i, j int) bool { return h[i].record.compare(h[j].record) < 0 }
func (h sourceHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *sourceHeap) Push(x any)        { *h = append(*h, x.(*current)) }
func (h *sourceHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// add takes in a source that is not empty; heap.Init comes later.
func (h *sourceHeap) add(s source) error {
	r, err := s.next()
	if err == nil {
		h.Push(&current{r, s})
	}
	return ignoreEOF(err)
}

// advance moves the top source to its next record.
func (h *sourceHeap) advance() error {
	top := (*h)[0]
	r, err := top.source.next()
	if err != nil {
		heap.Pop(h)
		return ignoreEOF(err)
	}
	top.record = r
	heap.Fix(h, 0)
	return nil
}

func ignoreEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

type memoryRun struct{ rest []record }

func (m *memoryRun) next() (record, error) {
	if len(m.rest) == 0 {
		return record{}, io.EOF
	}
	r := m.rest[0]
	m.rest = m.rest[1:]
	return r, nil
}

func (m *memoryRun) close() {}

// A fileRun reads what writeRun wrote. The checksum of gzip tells damage.
type fileRun struct {
	file *os.File
	r    *bufio.Reader
	body []byte
}

func openRuns(names []string) ([]source, error) {
	var sources []source
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return sources, err
		}
		sources = append(sources, &fileRun{file: f})
		z, err := gzip.NewReader(bufio.NewReaderSize(f, 1<<16))
		if err != nil {
			return sources, fmt.Errorf("%s: %w", name, err)
		}
		sources[len(sources)-1].(*fileRun).r = bufio.NewReaderSize(z, 1<<16)
	}
	return sources, nil
}

func closeAll(sources []source) {
	for _, s := range sources {
		s.close()
	}
}

func (f *fileRun) close() { f.file.Close() }

func (f *fileRun) next() (record, error) {
	var head [8]byte
	if _, err := io.ReadFull(f.r, head[:]); err != nil {
		return record{}, f.fault(err, true)
	}
	size, err := binary.ReadUvarint(f.r)
	if err != nil {
		return record{}, f.fault(err, false)
	}
	f.body = slices.Grow(f.body[:0], int(size))[:size]
	if _, err := io.ReadFull(f.r, f.body); err != nil {
		return record{}, f.fault(err, false)
	}
	return record{int64(binary.BigEndian.Uint64(head[:])), f.body}, nil
}

// fault names the file in an error; io.EOF is none where a run may end.
func (f *fileRun) fault(err error, mayEnd bool) error {
	if err == io.EOF {
		if mayEnd {
			return io.EOF
		}
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%s: %w", f.file.Name(), err)
}
