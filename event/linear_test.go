package event

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestReadIsLinear counts the bytes that hostile inputs make Read scan again.
// Twice the input may cost twice as much and no more.
func TestReadIsLinear(t *testing.T) {
	const open = `{"eventVersion":[`
	for name, pattern := range map[string]string{
		"records that never close":         open,
		"nested records, then much text":   strings.Repeat(open, 60) + strings.Repeat(`1,`, 50_000),
		"records in a record":              `{"x":[` + strings.Repeat(`{"eventVersion":1},`, 1000),
		"strings that never close":         `{"eventVersion":"`,
		"braces at the start of lines":     "{\n{\n",
		"arrays that never close":          `{"a":[1,` + "\n" + `{"x":[`,
		"envelopes in envelopes":           `{"Records":[`,
		"strings with half a record":       `",{`,
		"closing brackets":                 `}]`,
		"deep records":                     strings.Repeat(`{"eventVersion":`, 100),
		"long lists of records, cut short": `{"eventVersion":[` + strings.Repeat(`{"eventVersion":"`+strings.Repeat("x", 100)+`"},`, 500),
	} {
		work := func(size int) (work, results int64) {
			input := strings.Repeat(pattern, size/len(pattern)+1)
			s := newStream(func([]*Event, error) bool { results++; return true }, &ReadOptions{MaxRecord: 64 << 10})
			w := newWindow(strings.NewReader(input), 0, false)
			s.values(w, 0)
			assert.Equal(t, io.EOF, w.err, name)
			assert.Equal(t, int64(len(input)), w.at(w.pos), "%s: all of it was read", name)
			assert.LessOrEqual(t, w.rescanned, 4*int64(len(input)+1)+minChunk, name)
			assert.LessOrEqual(t, results, int64(len(input)), name)
			return w.rescanned, results
		}
		once, results := work(1 << 18)
		twice, more := work(1 << 19)
		assert.LessOrEqual(t, twice, 3*once+(64<<10), name)
		assert.LessOrEqual(t, more, 3*results+100, name)
	}
}

// TestWindowReadsPieces counts what reading a long value in small pieces costs.
func TestWindowReadsPieces(t *testing.T) {
	const size = 256 << 10
	w := newWindow(&pieces{left: size}, 0, false)
	copied := 0
	for w.more() {
		copied += len(w.text)
	}
	assert.Len(t, w.text, size)
	assert.Less(t, copied, 10*size)
}

// pieces is a reader that hands out one byte at a time.
type pieces struct{ left int }

func (p *pieces) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	p.left--
	b[0] = ' '
	return 1, nil
}

func TestInternerIsBounded(t *testing.T) {
	n := newInterner()
	b := []byte("xxxxxxxx")
	for i := range 3 * maxInterned {
		b[0], b[1], b[2] = byte(i), byte(i>>8), byte(i>>16)
		assert.Equal(t, string(b), n.intern(b))
		assert.LessOrEqual(t, len(n.strings), maxInterned)
	}
	long := []byte(strings.Repeat("x", maxInternedLength+1))
	assert.Equal(t, string(long), n.intern(long))
	assert.NotContains(t, n.strings, string(long))
}
