//go:build unix

package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func fifo(t *testing.T) string {
	name := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, syscall.Mkfifo(name, 0o600))
	return name
}

func TestFIFO(t *testing.T) {
	name := fifo(t)
	wrote := make(chan error)
	go func() { wrote <- os.WriteFile(name, []byte(found), 0) }()
	c := scanned(name)
	require.NoError(t, <-wrote)
	assert.Equal(t, statusDone, c.status, c.stderr)
	assert.Contains(t, c.stderr, "read 1 record from 1 file")
	assert.Contains(t, c.stdout, "aws-quarantined-key")
}

// Nobody writes, so it cannot even be opened.
func TestInterruptedAtFIFO(t *testing.T) {
	name := fifo(t)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	interrupted(t, ctx, nil, name)
	w, err := os.OpenFile(name, os.O_RDWR, 0) // lets go who waits for it
	require.NoError(t, err)
	require.NoError(t, w.Close())
}

// What is neither a file nor a pipe cannot be opened, which is said of it.
func TestSocket(t *testing.T) {
	name := filepath.Join(t.TempDir(), "socket")
	l, err := net.Listen("unix", name)
	require.NoError(t, err)
	defer l.Close()
	c := scanned(name, write(t, map[string]string{"a": found}))
	assert.Equal(t, statusTrouble, c.status)
	assert.Contains(t, c.stderr, "1 path could not be read")
	assert.Contains(t, c.stderr, "socket, ")
	assert.Contains(t, c.stdout, "aws-quarantined-key", "the others are")
}
