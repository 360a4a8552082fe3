package benthosplugin

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
)

// An envelope is what is stored for a key: the record of detection, and the
// findings that may not have been delivered yet. Both are saved in one piece, so
// there is never one without the other.
//
// Its bytes are "co", a version byte, the length of the outbox as a uvarint, the
// outbox as JSON, the CRC-32C of what comes before, and the record. Without an
// outbox it is just the record, as a detect.Engine saves it: what one has learnt
// the other can go on with.
type envelope struct {
	outbox []sent
	record []byte
}

// sent is a finding that was returned for an event.
type sent struct {
	Event    string          `json:"event"` // the event's ID
	ID       string          `json:"id"`
	Revision int             `json:"revision,omitempty"`
	Rule     string          `json:"rule"`
	Severity detect.Severity `json:"severity"`
	Finding  json.RawMessage `json:"finding"`
}

const (
	envelopeMagic   = "co"
	envelopeVersion = 1
	checksumBytes   = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// append appends the envelope's bytes to b.
func (v *envelope) append(b []byte) ([]byte, error) {
	if len(v.outbox) > 0 {
		outbox, err := json.Marshal(v.outbox)
		if err != nil {
			return nil, fmt.Errorf("benthosplugin: outbox: %w", err)
		}
		start := len(b)
		b = append(b, envelopeMagic...)
		b = append(b, envelopeVersion)
		b = binary.AppendUvarint(b, uint64(len(outbox)))
		b = append(b, outbox...)
		b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
	}
	return append(b, v.record...), nil
}

// openEnvelope reads an envelope. The record shares the memory of data, and is
// checked by whoever reads it. It returns an error that wraps
// [baseline.ErrCorrupt] or [baseline.ErrVersion].
func openEnvelope(data []byte) (envelope, error) {
	if !bytes.HasPrefix(data, []byte(envelopeMagic)) {
		return envelope{record: data}, nil
	}
	corrupt := func(what string) (envelope, error) {
		return envelope{}, fmt.Errorf("benthosplugin: outbox %s: %w", what, baseline.ErrCorrupt)
	}
	if len(data) == len(envelopeMagic) {
		return corrupt("cut short")
	}
	if v := data[len(envelopeMagic)]; v != envelopeVersion {
		return envelope{}, fmt.Errorf("benthosplugin: outbox of version %d: %w", v, baseline.ErrVersion)
	}
	length := data[len(envelopeMagic)+1:]
	size, n := binary.Uvarint(length)
	if n <= 0 || size > uint64(len(length)-n) || len(length)-n-int(size) < checksumBytes {
		return corrupt("cut short")
	}
	outbox := length[n:][:size]
	rest := length[n+int(size):]
	if binary.BigEndian.Uint32(rest) != crc32.Checksum(data[:len(data)-len(rest)], castagnoli) {
		return corrupt("has a wrong checksum")
	}
	v := envelope{record: rest[checksumBytes:]}
	if err := json.Unmarshal(outbox, &v.outbox); err != nil || len(v.outbox) == 0 {
		return corrupt("holds no findings")
	}
	return v, nil
}
