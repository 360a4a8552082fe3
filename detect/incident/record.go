package incident

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"time"

	"github.com/cloudtell/cloudtell/detect"
)

var (
	// ErrCorrupt says that a record is not what was saved.
	ErrCorrupt = errors.New("incident: corrupt record")
	// ErrVersion says that a record has a format version that this code does
	// not know.
	ErrVersion = errors.New("incident: unknown record version")
)

// The record format, version 1: magic and version, the findings in the order of
// their IDs, the links in the order of time, and a checksum of all that.
// Numbers are varints unless said otherwise, text is preceded by its length.
const (
	magic0, magic1 = 'c', 'i'
	version        = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// AppendBinary appends a record of all that is remembered to b. Equal memories
// have equal records. It never fails.
func (j *Joiner) AppendBinary(b []byte) ([]byte, error) {
	start := len(b)
	b = append(b, magic0, magic1, version)
	b = binary.AppendUvarint(b, uint64(j.findings.len()))
	for _, f := range slices.SortedFunc(j.findings.all(), func(a, b *finding) int { return cmp.Compare(a.ID, b.ID) }) {
		b = f.appendTo(b)
	}
	b = binary.AppendUvarint(b, uint64(j.links.len()))
	for _, l := range slices.SortedFunc(j.links.all(), compareLinks) {
		b = l.appendTo(b)
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli)), nil
}

// UnmarshalBinary replaces all that is remembered by what a record says; no
// bytes at all are an empty memory. If the Joiner has less room than the one
// that wrote the record, what is of least concern is dropped. Bytes that are
// not a record are refused with [ErrCorrupt] or [ErrVersion], and change
// nothing. The Joiner keeps no reference to the bytes.
func (j *Joiner) UnmarshalBinary(record []byte) error {
	findings, links := newFindings(j.findings.max), newLinks(j.links.max)
	if len(record) > 0 {
		if len(record) < 3+4 || record[0] != magic0 || record[1] != magic1 {
			return fmt.Errorf("%w: not a record of incidents", ErrCorrupt)
		}
		if record[2] != version {
			return fmt.Errorf("%w: %d; this code reads version %d", ErrVersion, record[2], version)
		}
		body, sum := record[:len(record)-4], binary.BigEndian.Uint32(record[len(record)-4:])
		if crc32.Checksum(body, castagnoli) != sum {
			return fmt.Errorf("%w: checksum differs", ErrCorrupt)
		}
		r := reader{b: body[3:]}
		if err := r.record(findings, links); err != nil {
			return fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
	}
	j.findings, j.links = findings, links
	return nil
}

// Flags of a finding's record.
const (
	aboutSource = 1 << iota
	mature
	hasSince
	allFlags = 1<<iota - 1
)

func (f *finding) appendTo(b []byte) []byte {
	for _, s := range f.strings() {
		b = appendString(b, *s)
	}
	b = binary.AppendUvarint(b, uint64(f.Revision))
	b = append(b, byte(f.Severity))
	for _, t := range []time.Time{f.Time, f.First, f.Last} {
		b = binary.AppendUvarint(b, uint64(t.UnixMilli()))
	}
	var flags byte
	if f.aboutSource {
		flags |= aboutSource
	}
	if f.mature {
		flags |= mature
	}
	if !f.since.IsZero() {
		flags |= hasSince
	}
	b = append(b, flags)
	if flags&hasSince != 0 {
		b = binary.AppendUvarint(b, uint64(f.since.UnixMilli()))
	}
	return b
}

func (l link) appendTo(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(l.millis))
	for _, s := range []string{l.issued, l.session, l.issuer, l.issuerKey} {
		b = appendString(b, s)
	}
	return b
}

func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

var errMalformed = errors.New("malformed bytes")

// A reader takes values off the front of its bytes. After the first fault every
// method returns zero values.
type reader struct {
	b      []byte
	failed bool
}

// record reads findings and links. It makes room for none before it is read.
func (r *reader) record(findings *kept[string, *finding], links *kept[link, link]) error {
	id := ""
	for range r.uvarint(math.MaxInt32) {
		f := r.finding()
		if r.failed || f.ID <= id {
			return errMalformed
		}
		id = f.ID
		findings.put(f)
	}
	var last link
	for range r.uvarint(math.MaxInt32) {
		l := link{millis: int64(r.uvarint(maxMillis)), issued: r.text(), session: r.text(), issuer: r.text(), issuerKey: r.text()}
		if compareLinks(l, last) <= 0 || l.issued == "" {
			return errMalformed
		}
		last = l
		links.put(l)
	}
	if r.failed || len(r.b) > 0 {
		return errMalformed
	}
	return nil
}

func (r *reader) finding() *finding {
	f := &finding{}
	for _, s := range f.strings() {
		*s = r.text()
	}
	f.Revision = int(r.uvarint(math.MaxInt32))
	f.Severity = detect.Severity(r.byte())
	f.Time, f.First, f.Last = r.time(), r.time(), r.time()
	flags := r.byte()
	f.aboutSource, f.mature = flags&aboutSource != 0, flags&mature != 0
	if flags&hasSince != 0 {
		f.since = r.time()
	}
	f.Stage = stageOf(f.Technique, f.tactic)
	if flags > allFlags || f.Severity == detect.Silent || f.Severity > detect.Critical || f.Last.Before(f.First) {
		r.fail()
	}
	return f
}

func (r *reader) fail() { r.b, r.failed = nil, true }

func (r *reader) uvarint(max uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > max {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) time() time.Time { return time.UnixMilli(int64(r.uvarint(maxMillis))).UTC() }

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) text() string {
	n := r.uvarint(maxText)
	if n > uint64(len(r.b)) {
		r.fail()
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}
