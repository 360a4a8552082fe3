package baseline

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"sync"
)

// Large records are deflated: what makes them large is the same events and names
// in several cells. It halves them, but takes longer than all else about saving
// (examples/storebench), so only the largest are.
const deflateFrom = 12 << 10

// An envelope is the form in which a record's body is kept.
const (
	plain    = 0
	deflated = 1
)

var deflaters = sync.Pool{New: func() any {
	const level = 2 // its search finds what level 1 misses, and higher ones add little
	w, err := flate.NewWriter(nil, level)
	if err != nil {
		panic(err) // the level is a valid one
	}
	return w
}}

// appendBody appends a body in its envelope.
func appendBody(b, body []byte) ([]byte, error) {
	if len(body) < deflateFrom {
		return append(append(b, plain), body...), nil
	}
	out := bytes.NewBuffer(append(b, deflated))
	w := deflaters.Get().(*flate.Writer)
	defer deflaters.Put(w)
	w.Reset(out)
	if _, err := w.Write(body); err != nil {
		return nil, fmt.Errorf("baseline: deflate: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("baseline: deflate: %w", err)
	}
	if out.Len() > len(b)+1+len(body) {
		return append(append(b, plain), body...), nil
	}
	return out.Bytes(), nil
}

// maxBody is how large a body that was deflated may be, in bytes, whatever the
// layout: another one, of more features, may have made it. That is several times
// what a detect.Set may need.
const maxBody = 4 << 20

// openBody returns the body in an envelope, of at most max bytes.
func openBody(b []byte, max int) ([]byte, error) {
	if len(b) == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	switch b[0] {
	case plain:
		return b[1:], nil
	case deflated:
		rest := bytes.NewReader(b[1:])
		body, err := io.ReadAll(io.LimitReader(flate.NewReader(rest), int64(max)+1))
		switch {
		case err != nil:
			return nil, fmt.Errorf("inflate: %w", err)
		case len(body) > max || rest.Len() > 0:
			return nil, fmt.Errorf("inflate: over %d bytes, or bytes are left over", max)
		}
		return body, nil
	}
	return nil, fmt.Errorf("unknown form %d", b[0])
}
