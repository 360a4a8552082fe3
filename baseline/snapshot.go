package baseline

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A snapshot begins with snapshotMagic and a version byte. Numbers in it are
// unsigned, most significant byte first.
//
// Version 2: each record is the length of its key in four bytes, that of its
// data in four, its version in eight, the key and the data, then a CRC-32C of
// the snapshot up to there in four bytes. A record without key, data and
// version is the end.
//
// Version 1, which only the scan example has written: each record is its key
// and its data, both preceded by their length in four bytes. An empty key is
// the end, and a SHA-256 of all that follows it.
const (
	snapshotMagic   = "cloudtell baseline\n"
	snapshotVersion = 2
	maxSnapshotKey  = 16 << 20 // more than a log record may hold
	maxSnapshotData = 64 << 20 // far more than a profile takes
)

// A SnapshotError says where a snapshot is not as it was written. It wraps
// [ErrCorrupt], or [ErrVersion] for a snapshot of a version that this code does
// not know.
type SnapshotError struct {
	Offset int64 // of what is wrong, in bytes from the beginning
	Reason string
	Err    error // ErrCorrupt or ErrVersion
}

// Error implements error.
func (e *SnapshotError) Error() string {
	return fmt.Sprintf("baseline: snapshot, byte %d: %s", e.Offset, e.Reason)
}

// Unwrap returns what the error is one of.
func (e *SnapshotError) Unwrap() error { return e.Err }

// Snapshot writes the store to a file: its records as they are at one moment,
// while it may be used. A crash at any time leaves the file that was there, or
// the whole new one, which is on disk when Snapshot returns. The file is
// readable by its owner only; a symbolic link stays one.
//
// It is written beside that file, under its name with ".new-" and a number. What
// was left there by processes that died, the next Snapshot removes, if nobody has
// written to it for ten minutes.
func (m *Memory) Snapshot(path string) (err error) {
	path = linked(path)
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+unfinished+"*")
	if err != nil {
		return fmt.Errorf("baseline: snapshot: %w", err)
	}
	sweep(f) // first: there may be no room without
	_, err = m.WriteTo(f)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("baseline: snapshot %s: %w", path, err)
	}
	if err := syncDir(dir); err != nil {
		return fmt.Errorf("baseline: snapshot %s: %w", path, err)
	}
	return nil
}

// unfinished is what the name of a snapshot being written has behind that of the
// snapshot. A number follows.
const unfinished = ".new-"

// sweep removes the files beside a new one that are called like it, but for the
// number, and were last written to ten minutes before. Of what another process is
// writing the file system has a younger time; one that was stopped for so long
// gets an error for its snapshot, which another one has overtaken. What cannot be
// removed is left to the next.
func sweep(f *os.File) {
	now, err := f.Stat()
	if err != nil {
		return
	}
	dir, name := filepath.Split(f.Name())
	stem := strings.TrimRight(name, digits)
	files, _ := os.ReadDir(filepath.Clean(dir))
	for _, file := range files {
		if number, ok := strings.CutPrefix(file.Name(), stem); !ok || number == "" || strings.Trim(number, digits) != "" {
			continue
		}
		info, err := file.Info()
		if err == nil && info.Mode().IsRegular() && now.ModTime().Sub(info.ModTime()) >= 10*time.Minute {
			os.Remove(filepath.Join(dir, file.Name()))
		}
	}
}

const digits = "0123456789"

// linked follows symbolic links, also to a file that is not there yet.
func linked(path string) string {
	for range 40 { // as many as Linux follows
		target, err := os.Readlink(path)
		if err != nil {
			break
		}
		if !filepath.IsAbs(target) {
			dir, err := filepath.EvalSymlinks(filepath.Dir(path))
			if err != nil {
				break
			}
			target = filepath.Join(dir, target)
		}
		path = target
	}
	return path
}

// syncDir makes a rename last. Where folders cannot be synced, as on Windows,
// it does nothing.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, fs.ErrInvalid) {
		return err
	}
	return nil
}

// Restore replaces the store's records by those of a file that [Memory.Snapshot]
// has written. On any error the store is as it was. The error wraps
// [fs.ErrNotExist] if there is no such file, and a [*SnapshotError] if the file
// is not as it was written.
func (m *Memory) Restore(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("baseline: restore: %w", err)
	}
	defer f.Close()
	if _, err := m.ReadFrom(f); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// WriteTo implements [io.WriterTo]: it writes a snapshot, the records as they
// are at one moment, in the order of their keys.
func (m *Memory) WriteTo(w io.Writer) (int64, error) {
	counted := &countingWriter{w: w}
	out := bufio.NewWriter(counted)
	sum := crc32.New(castagnoli)
	write := func(b []byte) error {
		sum.Write(b)
		_, err := out.Write(b)
		return err
	}
	if err := write(append([]byte(snapshotMagic), snapshotVersion)); err != nil {
		return counted.n, err
	}
	var head []byte
	for r := range m.All() {
		if len(r.Key) == 0 || len(r.Key) > maxSnapshotKey || len(r.Data) > maxSnapshotData {
			return counted.n, fmt.Errorf("record %.80q cannot be in a snapshot: its key has %d bytes, of 1 to %d, and its data %d, of at most %d",
				r.Key, len(r.Key), maxSnapshotKey, len(r.Data), maxSnapshotData)
		}
		head = binary.BigEndian.AppendUint32(head[:0], uint32(len(r.Key)))
		head = binary.BigEndian.AppendUint32(head, uint32(len(r.Data)))
		head = binary.BigEndian.AppendUint64(head, r.Version)
		head = append(head, r.Key...)
		if err := write(head); err != nil {
			return counted.n, err
		}
		if err := write(r.Data); err != nil {
			return counted.n, err
		}
		if err := write(sum.Sum(nil)); err != nil {
			return counted.n, err
		}
	}
	if err := write(make([]byte, snapshotHead)); err != nil {
		return counted.n, err
	}
	if err := write(sum.Sum(nil)); err != nil {
		return counted.n, err
	}
	return counted.n, out.Flush()
}

type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// ReadFrom implements [io.ReaderFrom]: it replaces the store's records by those
// of a snapshot, which must be all that r has. On any error the store is as it
// was. Content that no snapshot has is refused with a [*SnapshotError], and
// costs no more memory than its length.
func (m *Memory) ReadFrom(r io.Reader) (int64, error) {
	in := &snapshotReader{in: bufio.NewReader(r), records: make(map[string]Record)}
	if err := in.read(); err != nil {
		return in.n, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.records = in.records
	return in.n, nil
}

// A snapshotReader takes a snapshot apart.
type snapshotReader struct {
	in      *bufio.Reader
	n       int64     // bytes taken
	sum     hash.Hash // of them
	records map[string]Record
}

func (r *snapshotReader) read() error {
	r.sum = crc32.New(castagnoli)
	head, err := r.take(uint32(len(snapshotMagic)) + 1)
	if err != nil {
		return err
	}
	if string(head[:len(snapshotMagic)]) != snapshotMagic {
		return corrupt(0, "this is not a snapshot")
	}
	switch v := head[len(snapshotMagic)]; v {
	case 1:
		r.sum = sha256.New()
		r.sum.Write(head)
		err = r.readV1()
	case 2:
		err = r.readV2()
	default:
		reason := fmt.Sprintf("version %d; this code reads up to %d", v, snapshotVersion)
		return &SnapshotError{int64(len(snapshotMagic)), reason, ErrVersion}
	}
	if err != nil {
		return err
	}
	if _, err := r.in.ReadByte(); err == nil {
		return corrupt(r.n, "there is more after the end")
	} else if err != io.EOF {
		return err
	}
	return nil
}

// snapshotHead is the size of what comes before a record's key.
const snapshotHead = 4 + 4 + 8

func (r *snapshotReader) readV2() error {
	for {
		start := r.n
		head, err := r.take(snapshotHead)
		if err != nil {
			return err
		}
		keySize, dataSize := binary.BigEndian.Uint32(head), binary.BigEndian.Uint32(head[4:])
		if keySize > maxSnapshotKey || dataSize > maxSnapshotData {
			return corrupt(start, "a record of an impossible size")
		}
		key, err := r.take(keySize)
		if err != nil {
			return err
		}
		data, err := r.take(dataSize)
		if err != nil {
			return err
		}
		if err := r.check(start); err != nil {
			return err
		}
		rec := Record{Key: string(key), Version: binary.BigEndian.Uint64(head[8:]), Data: data}
		if rec.Key == "" && rec.Version == 0 && len(data) == 0 {
			return nil
		}
		if err := r.add(start, rec); err != nil {
			return err
		}
	}
}

func (r *snapshotReader) readV1() error {
	for {
		start := r.n
		key, err := r.takeV1(maxSnapshotKey)
		if err != nil {
			return err
		}
		if len(key) == 0 {
			return r.check(0)
		}
		data, err := r.takeV1(maxSnapshotData)
		if err != nil {
			return err
		}
		if err := r.add(start, Record{Key: string(key), Version: 1, Data: data}); err != nil {
			return err
		}
	}
}

// takeV1 takes bytes that their length precedes.
func (r *snapshotReader) takeV1(limit uint32) ([]byte, error) {
	start := r.n
	head, err := r.take(4)
	if err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head)
	if size > limit {
		return nil, corrupt(start, "a record of an impossible size")
	}
	return r.take(size)
}

func (r *snapshotReader) add(start int64, rec Record) error {
	if _, ok := r.records[rec.Key]; ok || rec.Key == "" || rec.Version == 0 {
		return corrupt(start, "a record that no store has, or has twice")
	}
	r.records[rec.Key] = rec
	return nil
}

// check takes the checksum of all that was taken before. start is where what
// it protects begins.
func (r *snapshotReader) check(start int64) error {
	want := r.sum.Sum(nil)
	got, err := r.take(uint32(len(want)))
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return corrupt(start, "the checksum of what begins here differs")
	}
	return nil
}

// take takes bytes. It makes room for what is there, not for what is claimed.
func (r *snapshotReader) take(size uint32) ([]byte, error) {
	const atOnce = 64 << 10
	b := make([]byte, min(size, atOnce))
	n, err := io.ReadFull(r.in, b)
	for err == nil && n < int(size) {
		b = append(b, make([]byte, min(int(size)-n, n))...)
		var more int
		more, err = io.ReadFull(r.in, b[n:])
		n += more
	}
	r.n += int64(n)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil, corrupt(r.n, "it ends too early")
	}
	if err != nil {
		return nil, err
	}
	r.sum.Write(b)
	return b, nil
}

func corrupt(offset int64, reason string) error {
	return &SnapshotError{offset, reason, ErrCorrupt}
}
