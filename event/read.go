package event

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"
)

// ReadOptions bound what [Read] accepts. Nil, and the zero value, are the
// defaults.
type ReadOptions struct {
	// MaxRecord is the size in bytes of the largest record, or wrapper around
	// records, that is decoded; a larger one is skipped with [ErrTooLarge]. The
	// memory that Read needs is a small multiple of it. The default is 1 MiB,
	// four times as much as CloudTrail hands to other services in one event.
	MaxRecord int
	// MaxDepth is how deep a record's values may nest. The default is 64.
	MaxDepth int
	// MaxDecompressed is how many bytes may come out of decompressing one
	// input, inner layers included, before Read gives up with [ErrTooLarge].
	// The default is 8 GiB; a negative number means no limit.
	MaxDecompressed int64
	// NotAfter refuses records dated later with [ErrTime]: one wrong clock must
	// not make every other record look late. The default is no such check.
	NotAfter time.Time
	// Gzip opens the decompressor of a gzip stream. The default is that of
	// compress/gzip; a faster one does the same, as that of
	// github.com/klauspost/compress:
	//
	//	func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }
	//
	// The module github.com/cloudtell/cloudtell/event/libdeflate has one that is
	// more than twice as fast, if its C library is installed.
	//
	// A decompressor that has a Close method is closed when Read is done with
	// it, so Close may keep it for the next call of Gzip. Where gzip is inside
	// gzip, several are open at once. What comes out counts for MaxDecompressed,
	// whoever decompresses.
	Gzip func(io.Reader) (io.Reader, error)
	// Reuse makes an event's strings last no longer than the event: until the
	// next iteration or the end of the loop, which overwrite the memory of both.
	// That makes reading half as fast again. It is for code that keeps nothing of
	// an event but by [Event.Clone], [Batch] or [strings.Clone]: what it keeps
	// otherwise changes without a sign. A detect.Engine and its findings keep
	// nothing of it. By default only the event is reused, and its strings are
	// safe to keep.
	Reuse bool
}

const (
	defaultMaxRecord       = 1 << 20
	defaultMaxDepth        = 64
	defaultMaxDecompressed = 8 << 30

	// maxWrappers is how many wrappers may lie around a record: a message in a
	// notification in a queue and so on, and each layer of compression.
	maxWrappers = 8
)

// Read decodes the records of one input. It finds out by looking in which of
// these shapes they come:
//
//   - a CloudTrail log file ({"Records":[…]}), however large, or a bare array
//   - records one after the other, one a line or pretty-printed
//   - LookupEvents pages, their events, or the strings inside
//   - EventBridge events
//   - CloudWatch Logs subscription data, as Lambda, Kinesis and Firehose get it
//   - messages of SQS, SNS, Kinesis and Firehose that hold any of these
//   - the lines of an S3 server access log
//
// Findings of GuardDuty may be among them: each is yielded as a [*DecodeError]
// with [ErrGuardDuty] and its text.
//
// Any of these may be compressed with gzip, several times and in several
// members, may begin with a byte order mark, and may nest.
//
// A yielded event is valid until the next iteration, which reuses it; to keep
// it, [Event.Clone] it. A plain copy of a CloudTrail record's Event will do where it
// does not matter that it keeps the 128 KiB around its record in memory, as when
// all events are kept; of an access log's line, Access would be overwritten. What
// cannot be read is yielded as a [*DecodeError] in its place, with a nil event, and
// reading goes on behind it. If the reader itself fails, its error comes last,
// wrapped, and is not a DecodeError. An input without records yields nothing.
//
// Read holds a few megabytes at most, and takes time in proportion to the
// input's size, whatever the input. Each iteration over the result reads on
// from r, so it is of use once. It belongs to one goroutine.
func Read(r io.Reader, o *ReadOptions) iter.Seq2[*Event, error] {
	return func(yield func(*Event, error) bool) {
		newStream(func(one []*Event, err error) bool {
			if err != nil {
				return yield(nil, err)
			}
			return yield(one[0], nil)
		}, o).all(r)
	}
}

// ReadBatches is [Read] by the batch: decoding some events in a row and then
// working on them in a row takes less time than doing both by turns
// (examples/benchmarks). The events of a batch, and the slice, are valid until
// the next iteration or the end of the loop, which reuse them. An error comes
// alone, in the place of its record, with a nil batch. There are 1 to 32 events
// in a batch: none waits for input that is yet to come.
func ReadBatches(r io.Reader, o *ReadOptions) iter.Seq2[[]*Event, error] {
	return func(yield func([]*Event, error) bool) {
		s := newStream(yield, o)
		s.inBatches()
		s.all(r)
	}
}

// maxBatch events are most of what the first cache of a processor has room for.
const maxBatch = 32

// newStream returns a stream that yields one event at a time.
func newStream(yield func([]*Event, error) bool, o *ReadOptions) *stream {
	s := &stream{yield: yield, options: o.withDefaults()}
	s.decoder.memory = takeMemory(s.options.MaxDepth)
	s.slots, s.batch = s.oneSlot[:], s.oneEvent[:0]
	s.decoder.event = &s.slots[0]
	return s
}

// inBatches makes a new stream yield more events at a time.
func (s *stream) inBatches() {
	m := s.decoder.memory
	if m.slots == nil {
		m.slots, m.batch = make([]Event, maxBatch), make([]*Event, 0, maxBatch)
	}
	s.slots, s.batch = m.slots, m.batch
	s.decoder.event = &s.slots[0]
}

// all reads everything.
func (s *stream) all(r io.Reader) {
	defer s.close()
	s.source.r = r
	s.read(&s.source, 0, false, 0)
	if s.flush(); s.source.err != nil && !s.done {
		s.yield(nil, fmt.Errorf("event: reading: %w", s.source.err))
	}
}

// close lets the next stream have the memory of this one. A single event stays.
func (s *stream) close() {
	s.decoder.bufs.trim()
	if len(s.slots) > 1 {
		clear(s.slots[:min(s.filled+1, len(s.slots))]) // and what a broken record has left in the next
	}
	memories.Put(s.decoder.memory)
	s.decoder.memory = nil
}

func (o *ReadOptions) withDefaults() ReadOptions {
	var d ReadOptions
	if o != nil {
		d = *o
	}
	if d.MaxRecord <= 0 {
		d.MaxRecord = defaultMaxRecord
	}
	if d.MaxDepth <= 0 {
		d.MaxDepth = defaultMaxDepth
	}
	if d.MaxDecompressed == 0 {
		d.MaxDecompressed = defaultMaxDecompressed
	}
	if d.Gzip == nil {
		d.Gzip = gunzip
	}
	return d
}

// A source remembers how the caller's reader failed, to tell that from faults
// in the data.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

var gzipMagic = []byte{0x1f, 0x8b}

// read decodes an input, decompressing it first if it is compressed.
func (s *stream) read(r io.Reader, base int64, fixed bool, level int) {
	start := &beginning{r: r}
	if !bytes.Equal(start.peek(), gzipMagic) {
		w := newWindow(start, base, fixed)
		w.reuse, w.stream = s.options.Reuse, s
		w.bufs, s.decoder.bufs = s.decoder.bufs, w.bufs // an input inside this one needs its own
		w.chunk = min(max(w.chunk, cap(w.bufs.next)*8/9), maxChunk)
		s.values(w, level)
		if !s.done { // otherwise the caller may look at the last event
			s.decoder.bufs = w.bufs
		}
		return
	}
	if level >= maxWrappers {
		s.fail(base, ErrTooDeep)
		return
	}
	b := buffered.Get().(*bufio.Reader)
	b.Reset(start)
	defer func() {
		b.Reset(nil)
		buffered.Put(b)
	}()
	z, err := s.options.Gzip(b)
	if err != nil {
		s.failInput(base, err)
		return
	}
	s.read(&decompressed{z, s}, base, fixed, level+1)
	if c, ok := z.(io.Closer); ok {
		c.Close() // what there was to read has been read
	}
}

// A beginning reads an input of which the first bytes have been looked at.
type beginning struct {
	bytes  [2]byte
	unread []byte
	r      io.Reader
	err    error // that came with the first bytes
}

// peek returns the first two bytes, or what there is.
func (b *beginning) peek() []byte {
	n := 0
	for tries := 0; n < len(b.bytes) && b.err == nil; tries++ {
		if tries == 100 { // as many as bufio makes
			b.err = io.ErrNoProgress
			break
		}
		var m int
		m, b.err = b.r.Read(b.bytes[n:])
		n += m
	}
	b.unread = b.bytes[:n]
	return b.unread
}

func (b *beginning) Read(p []byte) (int, error) {
	n := copy(p, b.unread)
	b.unread = b.unread[n:]
	switch {
	case n == len(p):
		return n, nil
	case b.err != nil:
		return n, b.err
	}
	m, err := b.r.Read(p[n:])
	return n + m, err
}

// buffered are the readers that compressed inputs were read through.
var buffered = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 32<<10) }}

// gunzip opens a decompressor of compress/gzip, which is used again.
func gunzip(r io.Reader) (io.Reader, error) {
	z, _ := decompressors.Get().(*decompressor)
	if z == nil {
		z = new(decompressor)
	}
	return z, z.Reset(r)
}

type decompressor struct{ gzip.Reader }

var decompressors sync.Pool

func (d *decompressor) Close() error {
	decompressors.Put(d)
	return nil
}

// errBudget stops the decompression of an input that grows beyond the limit.
var errBudget = fmt.Errorf("%w: decompressed input", ErrTooLarge)

// decompressed counts what comes out of a decompressor against the input's
// budget.
type decompressed struct {
	r io.Reader
	s *stream
}

func (d *decompressed) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	d.s.decompressed += int64(n)
	if limit := d.s.options.MaxDecompressed; limit > 0 && d.s.decompressed > limit {
		return n, errBudget
	}
	return n, err
}

// failInput reports what ended an input before its end, unless it was the
// caller's reader: Read reports that.
func (s *stream) failInput(offset int64, err error) {
	switch {
	case s.source.err != nil:
	case errors.Is(err, errBudget):
		s.fail(offset, err)
		s.done = true
	default:
		s.fail(offset, fmt.Errorf("%w: %w", ErrSyntax, err))
	}
}
