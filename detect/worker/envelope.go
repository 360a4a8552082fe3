package worker

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"slices"

	"github.com/cloudtell/cloudtell/baseline"
)

// An envelope is what a worker stores for a key: the set's record, and what
// makes it safe to be given messages again.
//
// Its format, version 1: magic and version, the positions, the outbox, the
// record, and a checksum of all that. Numbers are varints unless said
// otherwise; text and bytes are preceded by their length.
type envelope struct {
	// positions say up to where messages of the key are part of the record;
	// the partition of the last save comes first.
	positions []position
	// outbox holds the findings made by the last save.
	outbox []Alert
	record []byte
}

// A position is the first offset of a partition that is not part of a record.
type position struct {
	partition uint64 // the hash of its name
	next      uint64
}

const (
	magic0, magic1 = 'c', 'w'
	version        = 1

	// maxPositions is the number of partitions that a record knows its place
	// in. A key has one; it gets another when the number of partitions changes.
	maxPositions = 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// next returns the first offset of a partition that the record does not know.
func (v *envelope) next(partition uint64) uint64 {
	for _, p := range v.positions {
		if p.partition == partition {
			return p.next
		}
	}
	return 0
}

// advance moves the position in a partition and puts it first.
func (v *envelope) advance(partition, next uint64) {
	i := slices.IndexFunc(v.positions, func(p position) bool { return p.partition == partition })
	rest := slices.Clone(v.positions)
	if i >= 0 {
		rest = slices.Delete(rest, i, i+1)
	}
	v.positions = append([]position{{partition, next}}, rest[:min(len(rest), maxPositions-1)]...)
}

func (v *envelope) encode() []byte {
	b := append([]byte(nil), magic0, magic1, version)
	b = binary.AppendUvarint(b, uint64(len(v.positions)))
	for _, p := range v.positions {
		b = binary.BigEndian.AppendUint64(b, p.partition)
		b = binary.AppendUvarint(b, p.next)
	}
	b = binary.AppendUvarint(b, uint64(len(v.outbox)))
	for _, a := range v.outbox {
		b = appendBytes(b, a.ID)
		b = appendBytes(b, a.Data)
	}
	b = appendBytes(b, v.record)
	return appendSum(b)
}

func appendSum(b []byte) []byte {
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func appendBytes[T string | []byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// openEnvelope reads stored bytes. Those that are no envelope are taken for a
// record alone: that of a key never saved, or one that an engine has learnt.
// The error wraps baseline.ErrCorrupt or baseline.ErrVersion. The envelope
// shares the memory of the bytes.
func openEnvelope(stored []byte) (envelope, error) {
	if len(stored) < 2 || stored[0] != magic0 || stored[1] != magic1 {
		return envelope{record: stored}, nil
	}
	if len(stored) < 3+4 {
		return envelope{}, fmt.Errorf("%w: envelope cut short", baseline.ErrCorrupt)
	}
	if v := stored[2]; v != version {
		return envelope{}, fmt.Errorf("%w: envelope %d; this code reads version %d", baseline.ErrVersion, v, version)
	}
	body, sum := stored[:len(stored)-4], binary.BigEndian.Uint32(stored[len(stored)-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return envelope{}, fmt.Errorf("%w: checksum of the envelope differs", baseline.ErrCorrupt)
	}
	r := reader{b: body[3:]}
	var v envelope
	for range r.uvarint(maxPositions) {
		v.positions = append(v.positions, position{r.uint64(), r.uvarint(math.MaxUint64)})
	}
	for n := r.uvarint(math.MaxInt32); n > 0 && !r.failed; n-- {
		v.outbox = append(v.outbox, Alert{ID: string(r.bytes()), Data: r.bytes()})
	}
	v.record = r.bytes()
	if r.failed || len(r.b) > 0 {
		return envelope{}, fmt.Errorf("%w: malformed envelope", baseline.ErrCorrupt)
	}
	return v, nil
}

// A reader takes values off the front of its bytes. After the first fault every
// method returns zero values.
type reader struct {
	b      []byte
	failed bool
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

func (r *reader) uint64() uint64 {
	if len(r.b) < 8 {
		r.fail()
		return 0
	}
	v := binary.BigEndian.Uint64(r.b)
	r.b = r.b[8:]
	return v
}

func (r *reader) bytes() []byte {
	n := r.uvarint(uint64(len(r.b)))
	if n > uint64(len(r.b)) {
		r.fail()
	}
	if r.failed {
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}
