package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"github.com/cloudtell/cloudtell/baseline"
)

// A baseline file keeps between scans what was learnt: the records of a
// [baseline.Memory]. It begins with baselineMagic and a version byte. Then
// comes each record, as key and data, both preceded by their length in four
// bytes, most significant first. An empty key ends the list, and a SHA-256 of
// everything before it ends the file. Package baseline gives the data a
// version of its own.
const (
	baselineMagic   = "cloudtell baseline\n"
	baselineVersion = 1
	maxKeyBytes     = 4 << 20  // more than a log record may hold
	maxDataBytes    = 32 << 20 // more than a joiner's record takes, see newJoiner
)

// Errors of reading a baseline file.
var (
	errBaselineDamaged = errors.New("the file is not a baseline, or is not as it was written")
	errBaselineVersion = errors.New("the file was written by another version of this program")
)

// loadBaseline reads a baseline file. One that does not exist is empty.
func loadBaseline(name string) (*baseline.Memory, error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return &baseline.Memory{}, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, err := readBaseline(f)
	if err != nil {
		return nil, fmt.Errorf("baseline %s: %w", name, err)
	}
	return m, nil
}

func readBaseline(r io.Reader) (*baseline.Memory, error) {
	in := bufio.NewReader(r)
	hash := sha256.New()
	body := io.TeeReader(in, hash)

	head := make([]byte, len(baselineMagic)+1)
	if _, err := io.ReadFull(body, head); err != nil {
		return nil, damaged(err)
	}
	if string(head[:len(baselineMagic)]) != baselineMagic {
		return nil, errBaselineDamaged
	}
	if v := head[len(baselineMagic)]; v != baselineVersion {
		return nil, fmt.Errorf("%w: format %d, not %d", errBaselineVersion, v, baselineVersion)
	}
	m := &baseline.Memory{}
	for {
		key, err := readField(body, maxKeyBytes)
		if err != nil {
			return nil, err
		}
		if len(key) == 0 {
			break
		}
		data, err := readField(body, maxDataBytes)
		if err != nil {
			return nil, err
		}
		err = m.Save(context.Background(), []baseline.Record{{Key: string(key), Data: data}})
		if err != nil { // the key came before
			return nil, fmt.Errorf("%w: %w", errBaselineDamaged, err)
		}
	}
	var sum [sha256.Size]byte
	if _, err := io.ReadFull(in, sum[:]); err != nil {
		return nil, damaged(err)
	}
	if !bytes.Equal(sum[:], hash.Sum(nil)) {
		return nil, errBaselineDamaged
	}
	if _, err := in.ReadByte(); err != io.EOF {
		return nil, damaged(err)
	}
	return m, nil
}

func readField(r io.Reader, limit uint32) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, damaged(err)
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > limit {
		return nil, errBaselineDamaged
	}
	field := make([]byte, n)
	if _, err := io.ReadFull(r, field); err != nil {
		return nil, damaged(err)
	}
	return field, nil
}

// damaged tells a file that ends early, or does not end where it should, from
// one that cannot be read.
func damaged(err error) error {
	if err == nil || err == io.EOF || err == io.ErrUnexpectedEOF {
		return errBaselineDamaged
	}
	return err
}

// saveBaseline writes a baseline file. A crash at any moment leaves the old file
// or the new one.
func saveBaseline(name string, m *baseline.Memory) (err error) {
	if target, err := filepath.EvalSymlinks(name); err == nil {
		name = target // a symbolic link stays one
	}
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	err = writeBaseline(f, m.All())
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("baseline %s: %w", name, err)
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(name))
}

// syncFolder makes a rename last. Where folders cannot be synced, as on
// Windows, it does nothing.
func syncFolder(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, fs.ErrInvalid) {
		return err
	}
	return nil
}

func writeBaseline(w io.Writer, records iter.Seq[baseline.Record]) error {
	hash := sha256.New()
	out := bufio.NewWriter(w)
	body := io.MultiWriter(out, hash)
	b := append([]byte(baselineMagic), baselineVersion)
	for r := range records {
		if len(r.Key) > maxKeyBytes || len(r.Data) > maxDataBytes {
			return fmt.Errorf("record %.80q is too large", r.Key)
		}
		b = appendField(b, r.Key)
		b = appendField(b, string(r.Data))
		if _, err := body.Write(b); err != nil {
			return err
		}
		b = b[:0]
	}
	if _, err := body.Write(appendField(b, "")); err != nil {
		return err
	}
	if _, err := out.Write(hash.Sum(nil)); err != nil {
		return err
	}
	return out.Flush()
}

func appendField(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}
