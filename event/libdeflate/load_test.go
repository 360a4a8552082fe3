//go:build linux && !android && (amd64 || arm64) && !faketime

package libdeflate

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOpen(t *testing.T) {
	_, err := open(nil)
	require.ErrorIs(t, err, ErrUnavailable)
	_, err = open([]string{"no-such-library.so.0", "nor-this.so.0"})
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorContains(t, err, "no-such-library.so.0")
	_, err = open([]string{"libc.so.6"}) // which has other functions
	require.ErrorIs(t, err, ErrUnavailable)

	installed(t)
	l, err := open(append([]string{"no-such-library.so.0"}, names()...))
	require.NoError(t, err)
	d := l.alloc()
	require.NotZero(t, d)
	l.free(d)
}
