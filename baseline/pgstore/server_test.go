//go:build unix

package pgstore_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline/pgstore"
)

// A server is a PostgreSQL on a port and in a folder of its own.
type server struct {
	t          testing.TB
	program    string // postgres
	dir        string
	port       string
	credential *syscall.Credential
	process    *os.Process
}

// start starts a server that ends with the test. Without one to start the test
// is skipped, but where CI=true it fails.
func start(t testing.TB) *server {
	t.Helper()
	// Debian keeps each version in a folder of its own, and none in the path.
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if path, err := exec.LookPath("initdb"); err == nil && len(found) == 0 {
		found = append(found, path)
	}
	if len(found) == 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("PostgreSQL is not installed")
		}
		t.Skip("PostgreSQL is not installed")
	}
	initdb := slices.Max(found)
	s := &server{t: t, program: filepath.Join(filepath.Dir(initdb), "postgres")}

	// Not t.TempDir: its parents are closed to other users.
	dir, err := os.MkdirTemp("", "pgstore")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	if os.Getuid() == 0 { // as whom PostgreSQL refuses to run
		u, err := user.Lookup("postgres")
		require.NoError(t, err)
		uid, err := strconv.Atoi(u.Uid)
		require.NoError(t, err)
		gid, err := strconv.Atoi(u.Gid)
		require.NoError(t, err)
		s.credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		require.NoError(t, os.Chown(dir, uid, gid))
	}
	s.dir = filepath.Join(dir, "data")
	out, err := s.command(initdb, "-D", s.dir, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync", "--wal-segsize", "1").CombinedOutput()
	require.NoError(t, err, string(out))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, s.port, _ = net.SplitHostPort(l.Addr().String())
	require.NoError(t, l.Close())
	s.start()
	t.Cleanup(s.kill)
	return s
}

func (s *server) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.credential}
	return cmd
}

func (s *server) start() {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		// After a kill the old server's children may hold the folder for a moment.
		cmd := s.command(s.program, "-D", s.dir, "-p", s.port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=")
		if cmd.Start() != nil {
			return false
		}
		s.process = cmd.Process
		ended := make(chan struct{})
		go func() { cmd.Wait(); close(ended) }()
		for range 1000 {
			if c, err := pgx.Connect(s.t.Context(), s.connection()); err == nil {
				c.Close(s.t.Context())
				return true
			}
			select {
			case <-ended:
				return false
			case <-time.After(20 * time.Millisecond):
			}
		}
		return false
	}, 30*time.Second, 50*time.Millisecond, "the server does not answer")
}

// kill kills the server with SIGKILL; its children end when they notice.
func (s *server) kill() { s.process.Kill() }

func (s *server) connection() string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%s/postgres?sslmode=disable", s.port)
}

// do gives the server statements.
func (s *server) do(statements string) {
	s.t.Helper()
	c, err := pgx.Connect(s.t.Context(), s.connection())
	require.NoError(s.t, err)
	defer c.Close(s.t.Context())
	_, err = c.Exec(s.t.Context(), statements)
	require.NoError(s.t, err, statements)
}

var stores atomic.Int64

// open opens an empty store.
func (s *server) open() *pgstore.Store {
	s.t.Helper()
	return s.openTable(pgstore.Options{Table: fmt.Sprint("store_", stores.Add(1))})
}

func (s *server) openTable(o pgstore.Options) *pgstore.Store {
	s.t.Helper()
	store, err := pgstore.Open(s.t.Context(), s.connection(), &o)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { store.Close() })
	return store
}
