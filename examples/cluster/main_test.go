//go:build unix

package main

import (
	"net"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMain makes the test's own program serve as servers and workers.
func TestMain(m *testing.M) {
	if child(os.Getenv(childEnv)) {
		return
	}
	os.Exit(m.Run())
}

// The short form of the matrix; the whole is `cluster matrix`. With -short, one
// cell is left.
func TestMatrix(t *testing.T) {
	for _, c := range cells {
		if !c.short || testing.Short() && !strings.Contains(c.name, "after save") {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o, err := c.run(t.Context())
			require.NoError(t, err)
			require.Positive(t, o.alerts)
		})
	}
}

func TestBench(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	var out strings.Builder
	require.NoError(t, bench(t.Context(), &out, 500, 1))
	require.Contains(t, out.String(), "worker, Kafka of 1, records in JetStream")
	require.Contains(t, out.String(), "500 events")
}

// A server that does not get its port ends and says so, rather than being waited
// for.
func TestTakenPort(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	p, err := start(role{Nats: &natsRole{Name: "n", Port: l.Addr().(*net.TCPAddr).Port, Dir: t.TempDir()}})
	require.NoError(t, err)
	defer p.kill()
	require.ErrorContains(t, p.wait(t.Context(), "up"), "a child ended")
}
