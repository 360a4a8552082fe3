package valkeystore_test

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valkey-io/valkey-go"

	"github.com/cloudtell/cloudtell/baseline/valkeystore"
)

// A server is a Valkey or Redis on a port and in a folder of its own.
type server struct {
	t       testing.TB
	address string
	args    []string
	process *os.Process
}

// start starts a server that ends with the test. Without one to start the test
// is skipped, but where CI=true it fails.
func start(t testing.TB, args ...string) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &server{t: t, address: l.Addr().String()}
	require.NoError(t, l.Close())
	_, port, _ := net.SplitHostPort(s.address)
	s.args = append([]string{"--bind", "127.0.0.1", "--port", port, "--dir", t.TempDir(), "--save", "", "--daemonize", "no"}, args...)
	s.start()
	t.Cleanup(s.kill)
	return s
}

func (s *server) start() {
	s.t.Helper()
	valkeyServer, _ := exec.LookPath("valkey-server")
	redisServer, _ := exec.LookPath("redis-server")
	program := cmp.Or(valkeyServer, redisServer)
	if program == "" {
		if os.Getenv("CI") == "true" {
			s.t.Fatal("neither valkey-server nor redis-server is installed")
		}
		s.t.Skip("neither valkey-server nor redis-server is installed")
	}
	cmd := exec.Command(program, s.args...)
	require.NoError(s.t, cmd.Start())
	s.process = cmd.Process
	require.Eventually(s.t, func() bool {
		c, err := valkey.NewClient(s.options())
		if err != nil {
			return false
		}
		defer c.Close()
		return c.Do(s.t.Context(), c.B().Ping().Build()).Error() == nil // not while it reads its files
	}, 20*time.Second, 20*time.Millisecond, "the server does not answer")
}

// kill kills the server with SIGKILL.
func (s *server) kill() {
	s.process.Kill()
	s.process.Wait()
}

func (s *server) options() valkey.ClientOption {
	return valkey.ClientOption{InitAddress: []string{s.address}, DisableCache: true, DisableRetry: true}
}

// do gives the server a command.
func (s *server) do(command ...string) string {
	s.t.Helper()
	c, err := valkey.NewClient(s.options())
	require.NoError(s.t, err)
	defer c.Close()
	result := c.Do(s.t.Context(), c.B().Arbitrary(command...).Build())
	require.NoError(s.t, result.Error(), command)
	text, _ := result.ToString()
	return text
}

var stores atomic.Int64

// open opens an empty store.
func (s *server) open(o valkeystore.Options) *valkeystore.Store {
	s.t.Helper()
	o.Prefix = cmp.Or(o.Prefix, fmt.Sprintf("%d:", stores.Add(1)))
	store, err := valkeystore.Open(s.t.Context(), s.options(), &o)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { store.Close() })
	return store
}
