// Package boltstore keeps baselines in a file of the local disk: a
// [baseline.Store] on bbolt (go.etcd.io/bbolt), for one process at a time. It
// is the store for a program that wants to survive a restart and needs no
// server.
//
// Save is one transaction and returns when it is on disk (fsync). A crash of
// the process or the machine leaves all of a batch or nothing of it.
package boltstore

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/cloudtell/cloudtell/baseline"
)

// The file's buckets. Options.Bucket holds the schema's version under
// schemaKey, and the bucket of the records.
//
// A record's value is its version in eight bytes, most significant first, and
// its data. It is stored under its key. Keys come from logs and may be of any
// length: one that is too long is stored under its beginning and its hash,
// maxName bytes together, and comes again in the value, after the version,
// preceded by its length in four bytes.
const (
	defaultBucket = "cloudtell"
	schema        = 1
	maxName       = 1024
	versionSize   = 8
	lengthSize    = 4
)

var (
	schemaKey     = []byte("schema")
	recordsBucket = []byte("records")
)

// lockTimeout is how long Open waits for another process to close the file.
const lockTimeout = time.Second

// Options configures a [Store]. Nil, and the zero value of every field, mean
// the defaults.
type Options struct {
	// Bucket is the name of the bucket that the records are in. Stores with
	// different buckets can be in one file, one after the other. The default is
	// "cloudtell".
	Bucket string
}

// A Store is a [baseline.Store] in a bbolt file. Any number of goroutines may
// use it; only one process at a time may have the file open.
type Store struct {
	db     *bolt.DB
	bucket []byte
}

var _ baseline.Store = (*Store)(nil)

// Open opens the file, which it creates, readable by its owner only, if it
// does not exist. It returns an error after a second if another process has
// the file open, and one that wraps [baseline.ErrVersion] if the records were
// stored with a schema that this code does not know.
//
// Where bbolt finds the file damaged, here or later, the error wraps
// [baseline.ErrCorrupt].
func Open(path string, o *Options) (*Store, error) {
	if o == nil {
		o = &Options{}
	}
	db, err := open(path)
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("boltstore: open %s: another process has it open: %w", path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("boltstore: open %s: %w", path, err)
	}
	s := &Store{db: db, bucket: []byte(cmp.Or(o.Bucket, defaultBucket))}
	if err := s.update(s.prepare); err != nil {
		return nil, errors.Join(fmt.Errorf("boltstore: open %s: %w", path, err), db.Close())
	}
	return s, nil
}

// prepare creates the buckets or checks the schema of those there are.
func (s *Store) prepare(tx *bolt.Tx) error {
	top, err := tx.CreateBucketIfNotExists(s.bucket)
	if err != nil {
		return err
	}
	if stored := top.Get(schemaKey); stored != nil {
		if !bytes.Equal(stored, []byte{schema}) {
			return fmt.Errorf("bucket %q has schema %x, this code reads %02x: %w", s.bucket, stored, schema, baseline.ErrVersion)
		}
		return nil
	}
	if err := top.Put(schemaKey, []byte{schema}); err != nil {
		return err
	}
	_, err = top.CreateBucketIfNotExists(recordsBucket)
	return err
}

// open, view and update are bbolt's, which panics when it comes to a page that it
// has not written. A transaction is undone then; a file that was to be opened
// stays locked until the process ends.
func open(path string) (db *bolt.DB, err error) {
	defer noticeDamage(&err)
	return bolt.Open(path, 0o600, &bolt.Options{Timeout: lockTimeout, FreelistType: bolt.FreelistMapType})
}

func (s *Store) view(f func(*bolt.Tx) error) (err error) {
	defer noticeDamage(&err)
	return s.db.View(f)
}

func (s *Store) update(f func(*bolt.Tx) error) (err error) {
	defer noticeDamage(&err)
	return s.db.Update(f)
}

func noticeDamage(err *error) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("%w: %v", baseline.ErrCorrupt, v)
	}
}

func (s *Store) records(tx *bolt.Tx) *bolt.Bucket {
	return tx.Bucket(s.bucket).Bucket(recordsBucket)
}

// Close closes the file. It waits for calls in progress.
func (s *Store) Close() error { return s.db.Close() }

// Load implements [baseline.Store].
func (s *Store) Load(ctx context.Context, keys []string) ([]baseline.Record, error) {
	records := make([]baseline.Record, len(keys))
	err := s.view(func(tx *bolt.Tx) error {
		bucket := s.records(tx)
		for i, key := range keys {
			if err := ctx.Err(); err != nil {
				return err
			}
			name := nameOf(key)
			_, version, data := decode(name, bucket.Get(name))
			records[i] = baseline.Record{Key: key, Version: version, Data: bytes.Clone(data)}
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("boltstore: load %d records: %w", len(keys), err)
	}
	return records, nil
}

// Save implements [baseline.Store]. All records that it does not refuse are
// stored in one transaction: after any other error, none is.
func (s *Store) Save(ctx context.Context, records []baseline.Record) error {
	var conflict baseline.ConflictError
	err := s.update(func(tx *bolt.Tx) error {
		bucket := s.records(tx)
		for _, r := range records {
			if err := ctx.Err(); err != nil {
				return err
			}
			name := nameOf(r.Key)
			if _, version, _ := decode(name, bucket.Get(name)); version != r.Version {
				conflict.Keys = append(conflict.Keys, r.Key)
				continue
			}
			if err := bucket.Put(name, encode(r.Key, r.Version+1, r.Data)); err != nil {
				return fmt.Errorf("%.80q: %w", r.Key, err)
			}
		}
		return ctx.Err()
	})
	if err != nil {
		return fmt.Errorf("boltstore: save %d records: %w", len(records), err)
	}
	if conflict.Keys != nil {
		return &conflict
	}
	return nil
}

// pageSize is the number of records that All reads at a time.
const pageSize = 256

// All returns the records in the order of their keys; of keys over a kilobyte,
// only the beginning counts for it. It reads some hundred at a time: records
// saved meanwhile may come old or new, and whoever iterates may save. An error
// ends the iteration.
func (s *Store) All(ctx context.Context) iter.Seq2[baseline.Record, error] {
	return func(yield func(baseline.Record, error) bool) {
		for next := []byte(nil); ; {
			page, after, err := s.page(ctx, next)
			if err != nil {
				yield(baseline.Record{}, fmt.Errorf("boltstore: read all: %w", err))
				return
			}
			for _, r := range page {
				if !yield(r, nil) {
					return
				}
			}
			if after == nil {
				return
			}
			next = after
		}
	}
}

// page reads records from a name on, and returns the name after them, nil if
// there is none.
func (s *Store) page(ctx context.Context, from []byte) (page []baseline.Record, after []byte, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		c := s.records(tx).Cursor()
		for name, value := c.Seek(from); name != nil; name, value = c.Next() {
			if err := ctx.Err(); err != nil {
				return err
			}
			if len(page) == pageSize {
				after = bytes.Clone(name)
				return nil
			}
			key, version, data := decode(name, value)
			if key == nil {
				key = name
			}
			page = append(page, baseline.Record{Key: string(key), Version: version, Data: bytes.Clone(data)})
		}
		return ctx.Err()
	})
	return page, after, err
}

// nameOf returns what a key's record is stored under.
func nameOf(key string) []byte {
	if len(key) < maxName {
		return []byte(key)
	}
	sum := sha256.Sum256([]byte(key))
	return append([]byte(key[:maxName-len(sum)]), sum[:]...)
}

// encode returns a record's value.
func encode(key string, version uint64, data []byte) []byte {
	b := make([]byte, 0, versionSize+lengthSize+len(key)+len(data))
	b = binary.BigEndian.AppendUint64(b, version)
	if len(key) >= maxName {
		b = binary.BigEndian.AppendUint32(b, uint32(len(key)))
		b = append(b, key...)
	}
	return append(b, data...)
}

// decode takes a value apart; key is nil if the name is the key. A value that
// encode has not written, nil among them, is all data and of version 0: whoever
// decodes the data refuses it by name, and no other record of the batch suffers.
func decode(name, value []byte) (key []byte, version uint64, data []byte) {
	if len(value) < versionSize {
		return nil, 0, value
	}
	version, data = binary.BigEndian.Uint64(value), value[versionSize:]
	if len(name) < maxName {
		return nil, version, data
	}
	if len(data) < lengthSize || uint64(len(data)-lengthSize) < uint64(binary.BigEndian.Uint32(data)) {
		return nil, 0, value
	}
	n := binary.BigEndian.Uint32(data)
	key, data = data[lengthSize:lengthSize+n], data[lengthSize+n:]
	return key, version, data
}
