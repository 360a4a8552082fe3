// Package customstore shows how to keep baselines in a place of your own: a
// [baseline.Store] on plain files, one for each key. The kit of package
// baselinetest holds it to the contract of stores, as it should any store.
package customstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/cloudtell/cloudtell/baseline"
)

// Folder is a [baseline.Store] in a folder of the file system, for one process
// at a time. A file is replaced as a whole, and only after the new one is on
// disk: a crash leaves each record as it was or as it was to be.
type Folder struct {
	dir string
	mu  sync.Mutex // held to compare and swap
}

var _ baseline.Store = (*Folder)(nil)

// Open returns the store in a folder, which it creates if needed.
func Open(dir string) (*Folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("customstore: %w", err)
	}
	return &Folder{dir: dir}, nil
}

// Load implements [baseline.Store].
func (f *Folder) Load(ctx context.Context, keys []string) ([]baseline.Record, error) {
	records := make([]baseline.Record, len(keys))
	for i, key := range keys {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("customstore: load: %w", err)
		}
		r, err := f.read(key)
		if err != nil {
			return nil, fmt.Errorf("customstore: load %q: %w", key, err)
		}
		records[i] = r
	}
	return records, nil
}

// Save implements [baseline.Store].
func (f *Folder) Save(ctx context.Context, records []baseline.Record) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var conflict baseline.ConflictError
	for _, r := range records {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("customstore: save: %w", err)
		}
		stored, err := f.read(r.Key)
		if err != nil {
			return fmt.Errorf("customstore: save %q: %w", r.Key, err)
		}
		if stored.Version != r.Version {
			conflict.Keys = append(conflict.Keys, r.Key)
			continue
		}
		r.Version++
		if err := f.write(r); err != nil {
			return fmt.Errorf("customstore: save %q: %w", r.Key, err)
		}
	}
	if conflict.Keys != nil {
		return &conflict
	}
	return nil
}

// name returns the file of a key. Keys may be longer than names of files may
// be, and have slashes in them, so the name is a hash.
func (f *Folder) name(key string) string {
	return filepath.Join(f.dir, fmt.Sprintf("%x", sha256.Sum256([]byte(key))))
}

// A file's first line is the version and the key, for whoever looks into it;
// the data follows.

func (f *Folder) read(key string) (baseline.Record, error) {
	r := baseline.Record{Key: key}
	text, err := os.ReadFile(f.name(key))
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	head, data, _ := bytes.Cut(text, []byte("\n"))
	version, _, _ := bytes.Cut(head, []byte(" "))
	if r.Version, err = strconv.ParseUint(string(version), 10, 64); err != nil {
		return r, fmt.Errorf("%s is no record: %w", f.name(key), err)
	}
	r.Data = data
	return r, nil
}

func (f *Folder) write(r baseline.Record) (err error) {
	temp, err := os.CreateTemp(f.dir, "new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(temp.Name())
		}
	}()
	_, err = fmt.Fprintf(temp, "%d %q\n%s", r.Version, r.Key, r.Data)
	if err == nil {
		err = temp.Sync()
	}
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(temp.Name(), f.name(r.Key))
}
