package benthosplugin

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
)

var sample = envelope{
	record: []byte("ct and so on"),
	outbox: []sent{
		{Event: "e1", ID: "f1", Rule: "r", Severity: detect.High, Finding: json.RawMessage(`{"id":"f1"}`)},
		{Event: "e2", ID: "f1", Revision: 3, Rule: "r", Severity: detect.Critical, Finding: json.RawMessage(`{"id":"f1","revision":3}`)},
	},
}

func TestEnvelope(t *testing.T) {
	same := cmp.AllowUnexported(envelope{})
	for _, v := range []envelope{{}, {record: []byte("ct")}, sample} {
		data, err := v.append(nil)
		require.NoError(t, err)
		if v.outbox == nil {
			assert.Equal(t, v.record, data, "without an outbox it is just the record")
		}
		got, err := openEnvelope(data)
		require.NoError(t, err)
		assert.Empty(t, cmp.Diff(v, got, same))
	}
}

// TestEnvelopeDamage flips every bit of the outbox and cuts it everywhere.
func TestEnvelopeDamage(t *testing.T) {
	data, err := sample.append(nil)
	require.NoError(t, err)
	outbox := data[:len(data)-len(sample.record)]
	for bit := 8 * len(envelopeMagic); bit < 8*len(outbox); bit++ {
		damaged := append([]byte(nil), data...)
		damaged[bit/8] ^= 1 << (bit % 8)
		_, err := openEnvelope(damaged)
		require.Error(t, err, "bit %d", bit)
	}
	for n := len(envelopeMagic); n < len(outbox); n++ {
		_, err := openEnvelope(data[:n])
		require.ErrorIs(t, err, baseline.ErrCorrupt, "cut at %d", n)
	}
	data[len(envelopeMagic)]++
	_, err = openEnvelope(data)
	require.ErrorIs(t, err, baseline.ErrVersion)
}

// FuzzEnvelope looks for bytes that are read as what would not be written back
// to the same.
func FuzzEnvelope(f *testing.F) {
	data, err := sample.append(nil)
	require.NoError(f, err)
	f.Add(data)
	f.Add([]byte("co\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := openEnvelope(data)
		if err != nil {
			return
		}
		data, err = v.append(nil)
		require.NoError(t, err)
		again, err := openEnvelope(data)
		require.NoError(t, err)
		assert.Empty(t, cmp.Diff(len(v.outbox), len(again.outbox)))
		assert.Equal(t, string(v.record), string(again.record))
	})
}
