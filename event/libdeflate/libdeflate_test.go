package libdeflate

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/event/eventtest"
)

// installed returns the library, and skips the test where it is missing.
func installed(t testing.TB) *library {
	t.Helper()
	l, err := load()
	if errors.Is(err, ErrUnavailable) && os.Getenv("CI") != "true" {
		t.Skip("not tested, for want of the library: ", err)
	}
	require.NoError(t, err)
	return l
}

// counted returns a library that counts its decompressors, and what they do.
func counted(t testing.TB) (*library, *counts) {
	l, n := installed(t), new(counts)
	return &library{
		alloc: func() uintptr { n.allocs.Add(1); return l.alloc() },
		free:  func(d uintptr) { n.frees.Add(1); l.free(d) },
		gunzip: func(d uintptr, in, out []byte, used, written *uintptr) uintptr {
			result := l.gunzip(d, in, out, used, written)
			n.largest = max(n.largest, len(out))
			if result == success {
				n.members++
			}
			return result
		},
	}, n
}

type counts struct {
	members, largest int // of one goroutine
	allocs, frees    atomic.Int64
}

// records returns the text of so many records.
func records(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(eventtest.Record{Call: "s3:GetObject", ID: fmt.Sprint("id-", i), Request: map[string]any{"key": i * i * i}}.JSON())
		b.WriteByte('\n')
	}
	return b.String()
}

// random returns text that does not compress, the same each time.
func random(n int) string {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{}).Read(b)
	return string(b)
}

func zip(text string) string { return zipNamed(gzip.Header{OS: 255}, text) }

func zipNamed(h gzip.Header, text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Header = h
	io.WriteString(z, text) // a Buffer takes everything
	z.Close()
	return b.String()
}

// sealed returns a member around a deflated body, as if it were of the text.
func sealed(body []byte, text []byte) string {
	b := append([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255}, body...)
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(text))
	return string(binary.LittleEndian.AppendUint32(b, uint32(len(text))))
}

// changed returns text with other bytes at an offset, which counts from the end
// if it is negative.
func changed(text string, at int, to string) string {
	if at < 0 {
		at += len(text)
	}
	return text[:at] + to + text[at+len(to):]
}

// unzip returns what a decompressor makes of an input.
func unzip(open func(io.Reader) (io.Reader, error), r io.Reader) ([]byte, error) {
	z, err := open(r)
	if err != nil {
		return nil, err
	}
	if c, ok := z.(io.Closer); ok {
		defer c.Close()
	}
	return io.ReadAll(z)
}

func standard(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }

// variants are bounds that inputs in the tests are within and beyond.
var variants = []*Options{nil, small, {MaxInput: 100}, {MaxMember: 100}}

// small are bounds that inputs need not be large to be beyond.
var small = &Options{MaxInput: 1 << 20, MaxMember: 4 << 20}

// same fails the test unless an input gives the same as with compress/gzip; or
// the text that it had before it was damaged, in a place that means nothing to
// libdeflate.
func same(t *testing.T, input, undamaged string) {
	t.Helper()
	l := installed(t)
	want, wantErr := unzip(standard, strings.NewReader(input))
	for _, o := range variants {
		got, err := unzip(opener(l, o), strings.NewReader(input))
		if _, corrupt := wantErr.(flate.CorruptInputError); corrupt && err == nil {
			require.Equal(t, undamaged, string(got), "%+v", o)
			continue
		}
		require.Equal(t, wantErr, err, "%+v", o)
		require.True(t, bytes.Equal(want, got), "%+v: %d bytes, want %d", o, len(got), len(want))
	}
}

// TestSame compares with compress/gzip, and pins which members are left to it.
func TestSame(t *testing.T) {
	few, many := records(3), records(2000)
	for _, tt := range []struct {
		name, input string
		members     int  // that libdeflate decompresses
		rest        bool // is left to compress/gzip
	}{
		{"empty", "", 0, false},
		{"empty member", zip(""), 1, false},
		{"one member", zip(few), 1, false},
		{"one large member", zip(many), 1, false},
		{"text that does not compress", zip(random(1 << 19)), 1, false},
		{"larger than the input's bound", zip(random(2 << 20)), 0, true},
		{"three members", zip(few) + zip("") + zip(many), 3, false},
		{"many members", strings.Repeat(zip(few), 1000), 1000, false},
		{"a large member before a small one", zip(many) + zip(few), 2, false},
		{"gzip in gzip", zip(zip(few)), 1, false},
		{"all in the header", zipNamed(gzip.Header{Name: "n", Comment: "c", Extra: []byte("e"), ModTime: time.Unix(1, 0)}, few), 1, false},
		{"the header's checksum", changed(zip(few)[:10], 3, "\x02") + "\xff\xff" + zip(few)[10:], 0, false},
		{"a name without end", zipNamed(gzip.Header{Name: strings.Repeat("n", 600)}, few), 0, false},
		{"a reserved flag", changed(zip(few), 3, "\x80"), 0, true},
		{"no gzip", "no gzip, not at all", 0, false},
		{"no gzip, short", "\x1f", 0, false},
		{"garbage behind", zip(few) + "garbage behind it", 1, false},
		{"a little garbage behind", zip(few) + "g", 1, false},
		{"zeros behind", zip(few) + strings.Repeat("\x00", 512), 1, false},
		{"few zeros behind", zip(few) + "\x00\x00\x00", 1, false},
		{"the beginning of a member behind", zip(few) + zip(few)[:40], 1, true},
		{"wrong checksum", changed(zip(few), -8, "1234"), 0, true},
		{"wrong checksum in the first member", changed(zip(few), -8, "1234") + zip(many), 0, true},
		{"wrong checksum in the second member", zip(many) + changed(zip(few), -8, "1234") + zip(few), 1, true},
		{"wrong size", changed(zip(few), -4, "\x00\x00\x00\x00"), 0, true},
		{"enormous size", changed(zip(few), -4, "\xff\xff\xff\xff"), 0, true},
		{"enormous size behind a good member", zip(few) + zip("") + "\xff\xff\xff\xff", 2, false},
		{"wrong block type", changed(zip(few), 10, "\xff"), 0, true},
		{"damage in the middle", changed(zip(many), len(zip(many))/2, "damage"), 0, true},
		{"a bomb", zip(strings.Repeat("\x00", 3<<20)), 1, false},
		{"a bomb beyond the member's bound", zip(strings.Repeat("\x00", 5<<20)), 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			same(t, tt.input, "never")
			l, n := counted(t)
			z, err := opener(l, small)(strings.NewReader(tt.input))
			if err == nil {
				io.Copy(io.Discard, z)
				assert.Equal(t, tt.rest, z.(*reader).d.streaming, "left to compress/gzip")
			}
			assert.Equal(t, tt.members, n.members, "members")
			assert.LessOrEqual(t, n.largest, small.MaxMember)
		})
	}
}

// However a file is damaged, the result is that of compress/gzip.
func TestDamage(t *testing.T) {
	first, second, third := "the first member ", strings.Repeat("the second member ", 50), "the third"
	input := zip(first) + zipNamed(gzip.Header{Name: "name"}, second) + zip(third)
	for i := range input {
		same(t, input[:i], "never")
		for bit := range 8 {
			same(t, changed(input, i, string([]byte{input[i] ^ 1<<bit})), first+second+third)
		}
	}
}

// However the input arrives, and even if its reader fails, no byte is lost and
// none comes twice.
func TestReaders(t *testing.T) {
	l := installed(t)
	failure := errors.New("disk on fire")
	input := zip(records(50)) + zip(records(20))
	for name, reader := range map[string]func(io.Reader) io.Reader{
		"whole":                  func(r io.Reader) io.Reader { return r },
		"byte by byte":           iotest.OneByteReader,
		"the end with the data":  iotest.DataErrReader,
		"failing at the end":     func(r io.Reader) io.Reader { return io.MultiReader(r, iotest.ErrReader(failure)) },
		"failing in the middle":  func(r io.Reader) io.Reader { return io.MultiReader(io.LimitReader(r, 1000), iotest.ErrReader(failure)) },
		"failing in the header":  func(r io.Reader) io.Reader { return io.MultiReader(io.LimitReader(r, 5), iotest.ErrReader(failure)) },
		"failing at once":        func(io.Reader) io.Reader { return iotest.ErrReader(failure) },
		"no progress":            func(r io.Reader) io.Reader { return io.MultiReader(io.LimitReader(r, 1000), idle{}) },
		"no progress for a time": func(r io.Reader) io.Reader { return io.MultiReader(&lazy{r: r, n: 99}) },
	} {
		want, wantErr := unzip(standard, reader(strings.NewReader(input)))
		for _, o := range variants {
			got, err := unzip(opener(l, o), reader(strings.NewReader(input)))
			assert.Equal(t, wantErr, err, "%s, %+v", name, o)
			assert.True(t, bytes.Equal(want, got), "%s, %+v: %d bytes, want %d", name, o, len(got), len(want))
		}
	}
}

// compress/gzip would try forever.
func TestNoProgress(t *testing.T) {
	_, err := unzip(opener(installed(t), nil), idle{})
	require.Equal(t, io.ErrNoProgress, err)
}

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

// A lazy reader returns nothing so many times before each byte.
type lazy struct {
	r    io.Reader
	n, i int
}

func (l *lazy) Read(p []byte) (int, error) {
	if l.i++; l.i%(l.n+1) != 0 {
		return 0, nil
	}
	return l.r.Read(p[:min(1, len(p))])
}

// No more is read before the first byte than the bound.
func TestMaxInput(t *testing.T) {
	l, n := counted(t)
	text := random(300_000)
	file := zip(text)
	for _, size := range []int{100_000, len(file), len(file) + 1, math.MaxInt} {
		input := strings.NewReader(file)
		before := input.Len()
		z, err := opener(l, &Options{MaxInput: size})(io.MultiReader(input)) // so that only Read is known of it
		require.NoError(t, err)
		assert.LessOrEqual(t, before-input.Len(), size)
		got, err := io.ReadAll(z)
		require.NoError(t, err)
		assert.True(t, text == string(got))
	}
	assert.Equal(t, 2, n.members)
}

// No more memory is taken for a member than its bound, and little on the word
// of its trailer.
func TestMaxMember(t *testing.T) {
	text := strings.Repeat("\x00", 2<<20)
	for _, tt := range []struct {
		max, largest, members int
		input                 string
	}{
		{2 << 20, 2 << 20, 1, zip(text)},
		{2<<20 - 1, 2<<20 - 1, 0, zip(text)},
		{1000, 1000, 0, zip(text)},
		{1000, 1000, 1, zip(text[:1000])},
		{2 << 20, minBuffer + minBuffer/8, 1, zip("small")},
		{2 << 20, minBuffer + minBuffer/8, 0, changed(zip("small"), -4, "\xff\xff\xff\xff")},
	} {
		l, n := counted(t)
		_, err := unzip(opener(l, &Options{MaxMember: tt.max}), strings.NewReader(tt.input))
		assert.True(t, err == nil || err == gzip.ErrChecksum, err)
		assert.Equal(t, tt.largest, n.largest)
		assert.Equal(t, tt.members, n.members)
	}
}

// What event.Read finds in an input, and the errors that it reports, do not
// depend on the decompressor.
func TestRead(t *testing.T) {
	open := opener(installed(t), nil)
	read := func(input string, gzip func(io.Reader) (io.Reader, error)) (ids, errs []string) {
		for e, err := range event.Read(strings.NewReader(input), &event.ReadOptions{Gzip: gzip, MaxDecompressed: 8 << 20}) {
			if err != nil {
				var decode *event.DecodeError
				require.ErrorAs(t, err, &decode)
				errs = append(errs, fmt.Sprint(decode.Record, decode.Err))
				continue
			}
			ids = append(ids, strings.Clone(e.ID))
		}
		return ids, errs
	}
	large := zip(records(2000))
	for _, tt := range []struct {
		name, input string
		least       int // records before the damage
		fault       bool
	}{
		{"whole", large, 2000, false},
		{"members", large + zip(records(5)), 2005, false},
		{"gzip in gzip", zip(large + zip(records(5))), 2005, false},
		{"truncated", large[:len(large)/2], 900, true},
		{"damaged", changed(large, len(large)/2, "damage"), 900, true},
		{"truncated in the second member", zip(records(5)) + large[:len(large)/2], 905, true},
		{"wrong checksum", changed(large, -8, "1234"), 2000, true},
		{"garbage behind", large + "garbage behind it", 2000, true},
		{"damaged inside gzip", zip(large[:len(large)/2]), 900, true},
		{"no gzip", "\x1f\x8bgarbage, a whole lot of it", 0, true},
		{"a bomb", zip(records(5) + strings.Repeat(" ", 9<<20) + records(5)), 5, true},
	} {
		ids, errs := read(tt.input, nil)
		assert.GreaterOrEqual(t, len(ids), tt.least, tt.name)
		assert.Equal(t, tt.fault, len(errs) > 0, tt.name)
		gotIDs, gotErrs := read(tt.input, open)
		assert.Equal(t, ids, gotIDs, tt.name)
		assert.Equal(t, errs, gotErrs, tt.name)
	}
}

// Many goroutines share what Gzip returns; each opens several at once.
func TestConcurrent(t *testing.T) {
	open := opener(installed(t), nil)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 20 {
				n := 20*g + i
				outer, inner := zip(zip(records(n))), zip(random(n))
				ids := 0
				for _, err := range event.Read(strings.NewReader(outer), &event.ReadOptions{Gzip: open}) {
					if !assert.NoError(t, err) {
						return
					}
					if ids++; ids == 1 {
						got, err := unzip(open, strings.NewReader(inner))
						assert.NoError(t, err)
						assert.True(t, random(n) == string(got))
					}
				}
				assert.Equal(t, n, ids)
			}
		})
	}
	wg.Wait()
}

// A closed decompressor does not keep what only a large file needed.
func TestKept(t *testing.T) {
	open := opener(installed(t), nil)
	for _, tt := range []struct {
		text string
		kept bool
	}{{strings.Repeat("\x00", maxKept/2), true}, {strings.Repeat("\x00", maxKept+1), false}} {
		z, err := open(strings.NewReader(zip(tt.text)))
		require.NoError(t, err)
		n, err := io.Copy(io.Discard, z)
		require.NoError(t, err)
		require.EqualValues(t, len(tt.text), n)
		d := z.(*reader).d
		require.NoError(t, z.(io.Closer).Close())
		require.Equal(t, tt.kept, d.out != nil)
	}
}

// Nor does it hold on to a large input, how far ever that was read.
func TestKeptInput(t *testing.T) {
	l := installed(t)
	file := zip(random(maxKept + 1))
	for _, o := range []*Options{nil, {MaxInput: maxKept + 1}} { // held as a whole, and in part
		open := opener(l, o)
		z, err := open(strings.NewReader(file))
		require.NoError(t, err)
		_, err = z.Read(make([]byte, 1))
		require.NoError(t, err)
		d := z.(*reader).d
		input := weak.Make(&d.in[0])
		require.NoError(t, z.(io.Closer).Close())
		runtime.GC()
		require.Nil(t, input.Value(), "%+v", o)
		runtime.KeepAlive(d)
	}
}

// A closed decompressor is no longer of use, and is handed out once.
func TestClose(t *testing.T) {
	open := opener(installed(t), nil)
	opened := func(input string) *reader {
		z, err := open(strings.NewReader(input))
		require.NoError(t, err)
		return z.(*reader)
	}
	first := opened(zip("first"))
	require.NoError(t, first.Close())
	require.NoError(t, first.Close())
	_, err := first.Read(make([]byte, 1))
	require.Error(t, err)

	second, third := opened(zip("second")), opened(zip("third"))
	require.NotSame(t, second.d, third.d)
	for z, want := range map[*reader]string{second: "second", third: "third"} {
		got, err := io.ReadAll(z)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
		n, err := z.Read(make([]byte, 1))
		require.Zero(t, n)
		require.Equal(t, io.EOF, err, "again")
	}
}

// Whatever becomes of a decompressor, libdeflate's memory is freed.
func TestFrees(t *testing.T) {
	l, n := counted(t)
	func() {
		open := opener(l, nil)
		for range 10 {
			_, err := open(strings.NewReader(zip("left open")))
			require.NoError(t, err)
			_, err = unzip(open, strings.NewReader(zip("closed")))
			require.NoError(t, err)
			_, err = unzip(open, strings.NewReader("no gzip at all"))
			require.Error(t, err)
			require.Panics(t, func() { open(nil) })
		}
	}()
	require.GreaterOrEqual(t, n.allocs.Load(), int64(20))
	require.Eventually(t, func() bool {
		runtime.GC()
		return n.frees.Load() == n.allocs.Load()
	}, 30*time.Second, time.Millisecond)
}

// Without memory for libdeflate, compress/gzip does the work.
func TestNoMemory(t *testing.T) {
	open := opener(&library{alloc: func() uintptr { return 0 }}, nil)
	got, err := unzip(open, strings.NewReader(zip("one")+zip("two")))
	require.NoError(t, err)
	require.Equal(t, "onetwo", string(got))
}

// TestAllocations pins that what one file needs serves the next, but for a few
// bytes a file and a member.
func TestAllocations(t *testing.T) {
	if testing.Short() {
		t.Skip("for the race detector, which makes pools forget")
	}
	open := opener(installed(t), nil)
	input, file := zip(records(100))+zip(records(10)), strings.NewReader("")
	buf := make([]byte, 32<<10)
	allocations := testing.AllocsPerRun(1000, func() {
		file.Reset(input)
		z, err := open(file)
		for err == nil {
			_, err = z.Read(buf)
		}
		assert.Equal(t, io.EOF, err)
		z.(io.Closer).Close()
	})
	assert.Less(t, allocations, 4.0)
}

func TestGzip(t *testing.T) {
	installed(t)
	open, err := Gzip(nil)
	require.NoError(t, err)
	got, err := unzip(open, strings.NewReader(zip("text")))
	require.NoError(t, err)
	require.Equal(t, "text", string(got))
}

// FuzzGzip compares with compress/gzip, on bytes as they are and on the same as
// the body of a member, whose trailer is then right.
func FuzzGzip(f *testing.F) {
	l := installed(f)
	small := records(2)
	body := func(input string) []byte { return []byte(input[10 : len(input)-8]) }
	for _, input := range []string{zip(""), zip(small), zip(small) + zip("x"), changed(zip(small), -8, "1234"), zip(small)[:50], zip(small) + "\x00", zip(strings.Repeat("a", 1<<17))} {
		f.Add([]byte(input), false, uint16(0), uint32(0))
		f.Add([]byte(input), false, uint16(30), uint32(0))
		f.Add([]byte(input), false, uint16(0), uint32(100))
	}
	for _, input := range []string{zip(small), zip(random(100)), zip(strings.Repeat("ab", 1000))} {
		f.Add(body(input), true, uint16(0), uint32(0))
	}
	f.Fuzz(func(t *testing.T, data []byte, seal bool, maxInput uint16, maxMember uint32) {
		input := string(data)
		if seal {
			text, _ := io.ReadAll(flate.NewReader(bytes.NewReader(data)))
			input = sealed(data, text)
		}
		want, wantErr := unzip(standard, strings.NewReader(input))
		got, err := unzip(opener(l, &Options{MaxInput: int(maxInput), MaxMember: int(maxMember % (1 << 20))}), strings.NewReader(input))
		var corrupt flate.CorruptInputError
		if errors.As(wantErr, &corrupt) && err == nil { // the difference that the package's comment names
			if !bytes.HasPrefix(got, want) {
				t.Fatalf("%q, want %q and more", got, want)
			}
			return
		}
		if err != wantErr || !bytes.Equal(got, want) {
			t.Fatalf("%q, %v; want %q, %v", got, err, want, wantErr)
		}
	})
}
