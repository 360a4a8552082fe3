// Package libdeflate decompresses gzip with the C library libdeflate, for
// event.ReadOptions.Gzip: more than twice as fast as compress/gzip on
// CloudTrail's files. The program loads the library when it runs; to compile it
// takes neither the library nor a C compiler.
//
// libdeflate decompresses whole members in memory, so that much is read before
// the first byte comes out. What does not fit, and what libdeflate refuses, is
// decompressed by compress/gzip from the start of that member: what comes before
// the damage in a file, and the error behind it, are those of compress/gzip.
//
// There is one difference. libdeflate takes a few streams that break RFC 1951, as
// where the one word of a code is written with its only bit wrong; compress/gzip
// refuses them. Length and checksum must be right all the same.
package libdeflate

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"slices"
	"sync"
)

// ErrUnavailable is wrapped by the error of [Gzip] where the library cannot be
// loaded: it is not installed, or the platform is neither Linux nor macOS on
// amd64 or arm64.
var ErrUnavailable = errors.New("libdeflate: library not loaded")

// Options bound the memory that a decompressor holds. Nil, and the zero value,
// are the defaults.
type Options struct {
	// MaxInput is how many bytes of compressed input are held in memory. So much
	// is read before anything comes out, or all of an input that ends before; one
	// that does not is left to compress/gzip, whatever its members. The default is
	// 16 MiB.
	MaxInput int
	// MaxMember is the size in bytes of the largest member, decompressed, that
	// libdeflate gets memory for. With a larger one, compress/gzip takes over. The
	// default is 64 MiB.
	MaxMember int
}

const (
	defaultMaxInput  = 16 << 20
	defaultMaxMember = 64 << 20

	// minBuffer is the size in bytes that buffers begin with, if they may be so
	// large.
	minBuffer = 64 << 10
	// trusted is how many times its compressed size a member is believed to be
	// large because its trailer says so; CloudTrail's are fifteen to twenty. For
	// more memory it must show that it needs it.
	trusted = 64
	// maxKept is the size in bytes of the largest buffer that a closed
	// decompressor keeps for the next input. CloudTrail's files need less.
	maxKept = 8 << 20
)

// Gzip returns a function that opens a decompressor of a gzip stream, for
// event.ReadOptions.Gzip. Any number of goroutines may call the function; each
// decompressor belongs to one. Closing a decompressor, as event.Read does, lets
// a later call of the same function have its memory, so one function should
// serve all files; reading from a closed one is an error. One that is not closed
// is left to the garbage collector.
//
// The error wraps [ErrUnavailable].
func Gzip(o *Options) (open func(io.Reader) (io.Reader, error), err error) {
	l, err := load()
	if err != nil {
		return nil, err
	}
	return opener(l, o), nil
}

// A library is the functions of libdeflate that are needed here.
type library struct {
	// alloc returns a new decompressor; 0 if there is no memory for it. Only one
	// goroutine may use it at a time.
	alloc func() (decompressor uintptr)
	free  func(decompressor uintptr)
	// gunzip decompresses the first member of in, which is not empty, into out,
	// and says how many bytes of both that took. If it returns another result
	// than success, out's contents are undefined.
	gunzip func(decompressor uintptr, in, out []byte, used, written *uintptr) (result uintptr)
}

// Results of libdeflate, from its header.
const (
	success           = 0
	insufficientSpace = 3
)

func opener(l *library, o *Options) func(io.Reader) (io.Reader, error) {
	maxInput, maxMember := defaultMaxInput, defaultMaxMember
	if o != nil && o.MaxInput > 0 {
		maxInput = o.MaxInput
	}
	if o != nil && o.MaxMember > 0 {
		maxMember = o.MaxMember
	}
	pool := &sync.Pool{New: func() any { return newDecompressor(l, maxInput, maxMember) }}
	return func(r io.Reader) (io.Reader, error) {
		d := pool.Get().(*decompressor)
		if err := d.reset(r); err != nil {
			d.clear()
			pool.Put(d)
			return nil, err
		}
		return &reader{d, pool}, nil
	}
}

// A reader is what the caller has of a decompressor, until it is closed.
type reader struct {
	d    *decompressor
	pool *sync.Pool
}

var errClosed = errors.New("libdeflate: read after Close")

func (r *reader) Read(p []byte) (int, error) {
	if r.d == nil {
		return 0, errClosed
	}
	return r.d.read(p)
}

func (r *reader) Close() error {
	if r.d != nil {
		r.d.clear()
		r.pool.Put(r.d)
		r.d = nil
	}
	return nil
}

// A decompressor decompresses one input after the other.
type decompressor struct {
	library             *library
	c                   uintptr // libdeflate's; 0 if there was no memory for it
	maxInput, maxMember int

	in        []byte       // the input, or its beginning
	start     int          // of the current member
	out       []byte       // memory for a member
	unread    []byte       // of the last member
	z         gzip.Reader  // behind the header of the current member
	members   bytes.Reader // what of in z reads from
	rest      rest         // of the input, which z reads behind that if in is not all
	streaming bool         // z reads all that is left
	err       error        // comes after what is unread

	used, written uintptr // as libdeflate says
}

func newDecompressor(l *library, maxInput, maxMember int) *decompressor {
	d := &decompressor{library: l, c: l.alloc(), maxInput: maxInput, maxMember: maxMember}
	if d.c != 0 {
		runtime.AddCleanup(d, l.free, d.c)
	}
	return d
}

// reset begins an input, and returns an error if its first header is none.
func (d *decompressor) reset(r io.Reader) error {
	err := d.fill(r)
	if err == io.EOF && d.c != 0 {
		return d.next(0)
	}
	d.streaming = true
	d.members.Reset(d.in)
	d.rest = rest{r, err}
	return d.z.Reset(io.MultiReader(&d.members, &d.rest))
}

// clear lets go of an input. Memory stays for the next.
func (d *decompressor) clear() {
	d.in, d.unread, d.rest, d.streaming, d.err = d.in[:0], nil, rest{}, false, nil
	d.members.Reset(nil)
	for _, buf := range [...]*[]byte{&d.in, &d.out} {
		if cap(*buf) > maxKept {
			*buf = nil
		}
	}
}

// fill reads from r until it ends or fails, which is the error, or as much is
// read as may be held: then there is no error.
func (d *decompressor) fill(r io.Reader) error {
	for idle := 0; len(d.in) < d.maxInput; {
		if len(d.in) == cap(d.in) {
			d.in = slices.Grow(d.in, min(d.maxInput-len(d.in), max(minBuffer, len(d.in))))
		}
		n, err := r.Read(d.in[len(d.in):min(d.maxInput, cap(d.in))])
		d.in = d.in[:len(d.in)+n]
		if err != nil {
			return err
		}
		if idle++; n > 0 {
			idle = 0
		}
		if idle == 100 { // as many as bufio makes
			return io.ErrNoProgress
		}
	}
	return nil
}

// next reads the header of the member that starts at an offset of the input.
func (d *decompressor) next(start int) error {
	d.start = start
	d.members.Reset(d.in[start:])
	return d.z.Reset(&d.members)
}

func (d *decompressor) read(p []byte) (int, error) {
	for len(d.unread) == 0 {
		switch {
		case d.err != nil:
			return 0, d.err
		case d.streaming:
			return d.z.Read(p)
		case d.decompress():
			d.unread = d.out[:d.written]
			d.err = d.next(d.start + int(d.used))
		default: // the header has been read, and z goes on behind it
			d.streaming = true
		}
	}
	n := copy(p, d.unread)
	d.unread = d.unread[n:]
	return n, nil
}

// decompress decompresses the current member, and reports whether it could.
func (d *decompressor) decompress() bool {
	in := d.in[d.start:]
	// The last bytes are the size of the last member, or whatever somebody wrote
	// there.
	said := uint64(binary.LittleEndian.Uint32(in[len(in)-4:]))
	size := int(min(said, trusted*uint64(len(in)), uint64(d.maxMember)))
	for size = max(size, min(minBuffer, d.maxMember)); ; size = min(2*size, d.maxMember) {
		if cap(d.out) < size {
			d.out = nil // may go before there is more
			d.out = make([]byte, min(size+size/8, d.maxMember))
		}
		size = cap(d.out)
		result := d.library.gunzip(d.c, in, d.out[:size], &d.used, &d.written)
		runtime.KeepAlive(d) // the cleanup must not free c before
		if result != insufficientSpace || size >= d.maxMember {
			return result == success
		}
	}
}

// rest reads what is left of an input, or tells how it failed.
type rest struct {
	r   io.Reader
	err error
}

func (r *rest) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	return r.r.Read(p)
}
