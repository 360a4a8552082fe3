package worker

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
)

var whole = envelope{
	positions: []position{{1 << 63, 0}, {7, 1<<64 - 1}},
	outbox:    []Alert{{"a", []byte(`{}`)}, {"b.2", []byte(`{"x":1}`)}},
	record:    []byte("ct record"),
}

func TestEnvelope(t *testing.T) {
	for _, v := range []envelope{whole, {record: []byte{}}, {outbox: whole.outbox, record: []byte{}}} {
		got, err := openEnvelope(v.encode())
		require.NoError(t, err)
		assert.Empty(t, cmp.Diff(v, got, cmp.AllowUnexported(envelope{}, position{})))
	}
	for _, bare := range []string{"", "c", "ct and so on"} {
		got, err := openEnvelope([]byte(bare))
		require.NoError(t, err)
		assert.Equal(t, envelope{record: []byte(bare)}, got, "a record without an envelope")
	}
}

func TestEnvelopeRefused(t *testing.T) {
	stored := whole.encode()
	for i := 2; i < len(stored); i++ {
		_, err := openEnvelope(stored[:i])
		assert.ErrorIs(t, err, baseline.ErrCorrupt, "cut to %d bytes", i)
		flipped := bytes.Clone(stored)
		flipped[i] ^= 1
		_, err = openEnvelope(flipped)
		want := baseline.ErrCorrupt
		if i == 2 {
			want = baseline.ErrVersion
		}
		assert.ErrorIs(t, err, want, "bit of byte %d", i)
	}
}

func TestEnvelopeAdvance(t *testing.T) {
	var v envelope
	for p := range uint64(12) {
		v.advance(p, 10*p)
	}
	v.advance(8, 99)
	assert.Len(t, v.positions, maxPositions)
	assert.Equal(t, position{8, 99}, v.positions[0], "the last save's partition comes first")
	assert.Equal(t, uint64(110), v.next(11))
	assert.Zero(t, v.next(0), "the one that was not met for the longest time is forgotten")
}

// Bytes that were not saved never do harm, and those that can be opened are the
// same when saved again.
func FuzzEnvelope(f *testing.F) {
	f.Add(whole.encode())
	f.Add((&envelope{}).encode())
	f.Add([]byte("cw\x01\x02"))
	f.Fuzz(func(t *testing.T, stored []byte) {
		for _, b := range [][]byte{stored, sealed(stored)} {
			v, err := openEnvelope(b)
			if err != nil {
				continue
			}
			again, err := openEnvelope(v.encode())
			require.NoError(t, err)
			assert.Empty(t, cmp.Diff(v, again, cmp.AllowUnexported(envelope{}, position{}),
				cmp.Comparer(func(a, b []byte) bool { return bytes.Equal(a, b) })))
		}
	})
}

// sealed returns the bytes as the body of an envelope with the right checksum,
// which a fuzzer would not find.
func sealed(body []byte) []byte {
	empty := (&envelope{}).encode()
	v := append(bytes.Clone(empty[:3]), body...)
	return appendSum(v)
}
