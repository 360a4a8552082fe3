//go:build unix

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/baseline/boltstore"
	"github.com/cloudtell/cloudtell/baseline/pgstore"
	"github.com/cloudtell/cloudtell/baseline/valkeystore"
)

// startAll starts the servers. stop ends them and removes their files; it may
// be called after an error, too.
func startAll() (places []place, stop func(), err error) {
	var ends []func()
	stop = func() {
		for _, end := range slices.Backward(ends) {
			end()
		}
	}
	top, err := os.MkdirTemp("", "storebench")
	if err != nil {
		return nil, stop, err
	}
	ends = append(ends, func() { os.RemoveAll(top) })
	if err := os.Chmod(top, 0o755); err != nil { // PostgreSQL runs as somebody else
		return nil, stop, err
	}
	places = append(places, place{name: "memory", open: func(context.Context, int) (baseline.Store, error) { return &baseline.Memory{}, nil }})

	for _, start := range []func(dir string) (place, *exec.Cmd, error){bbolt, valkeyServer("everysec"), valkeyServer("always"), postgreSQL} {
		dir, err := os.MkdirTemp(top, "store")
		if err != nil {
			return nil, stop, err
		}
		p, cmd, err := start(dir)
		if err != nil {
			return nil, stop, err
		}
		if cmd != nil {
			if err := cmd.Start(); err != nil {
				return nil, stop, err
			}
			ends = append(ends, func() { cmd.Process.Signal(syscall.SIGINT); cmd.Wait() })
			if err := answers(p); err != nil {
				return nil, stop, err
			}
		}
		if p.open != nil {
			places = append(places, p)
		}
	}
	return places, stop, nil
}

// answers waits until a store can be opened.
func answers(p place) (err error) {
	for range 500 {
		var s baseline.Store
		if s, err = p.open(context.Background(), -1); err == nil {
			return closeStore(s)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("%s does not answer: %w", p.name, err)
}

func bbolt(dir string) (place, *exec.Cmd, error) {
	return place{name: "bbolt", dir: dir, open: func(_ context.Context, n int) (baseline.Store, error) {
		return boltstore.Open(filepath.Join(dir, fmt.Sprint(n)), nil)
	}}, nil, nil
}

func valkeyServer(appendfsync string) func(dir string) (place, *exec.Cmd, error) {
	return func(dir string) (place, *exec.Cmd, error) {
		one, _ := exec.LookPath("valkey-server")
		other, _ := exec.LookPath("redis-server")
		program := cmp.Or(one, other)
		if program == "" {
			missing("valkey-server or redis-server")
			return place{}, nil, nil
		}
		address, port, err := freePort()
		if err != nil {
			return place{}, nil, err
		}
		p := place{name: "valkey, " + appendfsync, dir: dir, open: func(ctx context.Context, n int) (baseline.Store, error) {
			return valkeystore.Open(ctx, valkey.ClientOption{InitAddress: []string{address}}, &valkeystore.Options{Prefix: fmt.Sprint(n, ":")})
		}}
		return p, exec.Command(program, "--bind", "127.0.0.1", "--port", port, "--dir", dir, "--save", "",
			"--appendonly", "yes", "--appendfsync", appendfsync), nil
	}
}

func postgreSQL(dir string) (place, *exec.Cmd, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // where Debian has it
	if path, err := exec.LookPath("initdb"); err == nil && len(found) == 0 {
		found = append(found, path)
	}
	if len(found) == 0 {
		missing("PostgreSQL")
		return place{}, nil, nil
	}
	initdb := slices.Max(found)
	attributes := &syscall.SysProcAttr{}
	if os.Getuid() == 0 { // as whom it refuses to run
		u, err := user.Lookup("postgres")
		if err != nil {
			return place{}, nil, err
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		if err := errors.Join(err1, err2, os.Chown(dir, uid, gid)); err != nil {
			return place{}, nil, err
		}
		attributes.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	_, port, err := freePort()
	if err != nil {
		return place{}, nil, err
	}
	data := filepath.Join(dir, "data")
	create := exec.Command(initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale")
	create.SysProcAttr, create.Dir = attributes, "/"
	if out, err := create.CombinedOutput(); err != nil {
		return place{}, nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	server := exec.Command(filepath.Join(filepath.Dir(initdb), "postgres"), "-D", data, "-p", port,
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=")
	server.SysProcAttr, server.Dir = attributes, "/"
	return place{name: "postgresql", dir: data, open: func(ctx context.Context, n int) (baseline.Store, error) {
		connection := "postgres://postgres@127.0.0.1:" + port + "/postgres?sslmode=disable"
		return pgstore.Open(ctx, connection, &pgstore.Options{Table: fmt.Sprint("store ", n)})
	}}, server, nil
}

func freePort() (address, port string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	defer l.Close()
	_, port, err = net.SplitHostPort(l.Addr().String())
	return l.Addr().String(), port, err
}

// onDisk returns how many bytes a folder's files take.
func onDisk(dir string) (bytes int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.Type().IsRegular() {
			info, err := d.Info()
			if errors.Is(err, fs.ErrNotExist) {
				return nil // a server has just removed it
			}
			if err != nil {
				return err
			}
			bytes += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return nil
	})
	return bytes, err
}
