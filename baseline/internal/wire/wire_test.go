package wire_test

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline/internal/wire"
)

func TestRoundTrip(t *testing.T) {
	b := binary.AppendUvarint(nil, math.MaxUint64)
	b = binary.AppendVarint(b, math.MinInt64)
	b = binary.BigEndian.AppendUint32(b, math.MaxUint32)
	b = binary.BigEndian.AppendUint64(b, math.MaxUint64)
	b = wire.AppendString(b, "text")
	b = wire.AppendString(b, "")
	b = binary.AppendUvarint(b, 2)
	b = append(b, "abcd"...)

	r := wire.NewReader(b)
	assert.Equal(t, uint64(math.MaxUint64), r.Uvarint(math.MaxUint64))
	assert.Equal(t, int64(math.MinInt64), r.Varint())
	assert.Equal(t, uint32(math.MaxUint32), r.Uint32())
	assert.Equal(t, uint64(math.MaxUint64), r.Uint64())
	assert.Equal(t, "text", r.String(4))
	assert.Equal(t, "", r.String(0))
	assert.Equal(t, 2, r.Count(2, 2))
	assert.Equal(t, 4, r.Len())
	require.NoError(t, r.Err())
	require.ErrorIs(t, r.Close(), wire.ErrMalformed, "four bytes are left over")
}

func TestMalformed(t *testing.T) {
	huge := binary.AppendUvarint(nil, math.MaxUint64)
	overlong := []byte(strings.Repeat("\x80", 11))
	tests := []struct {
		name string
		b    []byte
		read func(r *wire.Reader) any
	}{
		{"a number from nothing", nil, func(r *wire.Reader) any { return r.Uvarint(math.MaxUint64) }},
		{"a number that does not end", []byte{0x80}, func(r *wire.Reader) any { return r.Uvarint(math.MaxUint64) }},
		{"a number beyond 64 bits", overlong, func(r *wire.Reader) any { return r.Uvarint(math.MaxUint64) }},
		{"a number over its limit", []byte{3}, func(r *wire.Reader) any { return r.Uvarint(2) }},
		{"a signed number from nothing", nil, func(r *wire.Reader) any { return r.Varint() }},
		{"a signed number beyond 64 bits", overlong, func(r *wire.Reader) any { return r.Varint() }},
		{"three bytes of four", make([]byte, 3), func(r *wire.Reader) any { return r.Uint32() }},
		{"seven bytes of eight", make([]byte, 7), func(r *wire.Reader) any { return r.Uint64() }},
		{"a length beyond the end", []byte{2, 'x'}, func(r *wire.Reader) any { return r.String(9) }},
		{"a length over its limit", []byte{2, 'x', 'y'}, func(r *wire.Reader) any { return r.String(1) }},
		{"a length near 2^64", huge, func(r *wire.Reader) any { return r.String(math.MaxInt) }},
		{"a count that the bytes cannot hold", []byte{3, 1, 2, 3, 4, 5}, func(r *wire.Reader) any { return r.Count(9, 2) }},
		{"a count over its limit", []byte{3, 1, 2, 3}, func(r *wire.Reader) any { return r.Count(2, 1) }},
		{"a count near 2^64", huge, func(r *wire.Reader) any { return r.Count(math.MaxInt, 1) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := wire.NewReader(tt.b)
			assert.Zero(t, tt.read(r))
			require.ErrorIs(t, r.Err(), wire.ErrMalformed)

			// A fault stays.
			assert.Zero(t, r.Len())
			assert.Zero(t, r.Uvarint(9))
			assert.Zero(t, r.Varint())
			assert.Zero(t, r.Uint32())
			assert.Zero(t, r.Uint64())
			assert.Zero(t, r.String(9))
			assert.Zero(t, r.Count(9, 1))
			require.ErrorIs(t, r.Close(), wire.ErrMalformed)
		})
	}
}

func TestReaderDoesNotModifyItsInput(t *testing.T) {
	b := wire.AppendString(nil, "text")
	r := wire.NewReader(b)
	got := append(r.Bytes(9), "more"...)
	assert.Equal(t, "textmore", string(got))
	assert.Equal(t, wire.AppendString(nil, "text"), b)
	require.NoError(t, r.Close())
}
