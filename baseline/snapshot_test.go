package baseline_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
)

// memoryOf returns a store of the records, each saved as often as its version
// says.
func memoryOf(t testing.TB, records ...baseline.Record) *baseline.Memory {
	t.Helper()
	var m baseline.Memory
	for _, r := range records {
		for v := range r.Version {
			require.NoError(t, m.Save(t.Context(), []baseline.Record{{Key: r.Key, Version: v, Data: r.Data}}))
		}
	}
	return &m
}

func snapshotOf(t testing.TB, m *baseline.Memory) []byte {
	t.Helper()
	var b bytes.Buffer
	n, err := m.WriteTo(&b)
	require.NoError(t, err)
	require.Equal(t, int64(b.Len()), n)
	return b.Bytes()
}

var someRecords = []baseline.Record{
	{Key: "a", Version: 1, Data: []byte("1")},
	{Key: "b\x00\xff", Version: 3, Data: []byte{}},
	{Key: "c", Version: 2, Data: bytes.Repeat([]byte("long "), 60_000)},
	{Key: strings.Repeat("d", 100_000), Version: 1, Data: []byte("4")},
}

func TestSnapshot(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "snapshot")
	require.NoError(t, memoryOf(t).Snapshot(path))
	m := memoryOf(t, someRecords...)
	require.NoError(t, m.Restore(path))
	assert.Zero(t, m.Len(), "empty, as it was written")

	require.NoError(t, memoryOf(t, someRecords...).Snapshot(path), "over the one before")
	require.NoError(t, m.Restore(path))
	assert.Empty(t, cmp.Diff(someRecords, slices.Collect(m.All())))
	require.NoError(t, m.Save(t.Context(), []baseline.Record{{Key: "b\x00\xff", Version: 3}}), "its versions go on")

	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(path, link))
	require.NoError(t, memoryOf(t, someRecords[:1]...).Snapshot(link))
	require.NoError(t, m.Restore(path))
	assert.Equal(t, 1, m.Len(), "the file behind the link was replaced")

	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, files, 1, "and nothing else is left")
}

// What processes have left that died while they wrote is removed, and nothing else
// is: not what another one is writing, nor what is called nearly like it.
func TestSnapshotLeftovers(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "snapshot")
	old := time.Now().Add(-11 * time.Minute)
	ages := map[string]time.Time{
		"snapshot.new-1":    old,
		"snapshot.new-2345": old,
		"snapshot.new-3":    time.Now().Add(-5 * time.Minute),
		"snapshot.new-":     old,
		"snapshot.new-york": old,
		"snapshot.new-4.gz": old,
		"snapshot2.new-5":   old,
		"snapshot":          old,
	}
	for name, at := range ages {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600))
		require.NoError(t, os.Chtimes(filepath.Join(dir, name), at, at))
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, "snapshot.new-6"), 0o700))
	require.NoError(t, os.Chtimes(filepath.Join(dir, "snapshot.new-6"), old, old))
	m := memoryOf(t, someRecords...)
	require.NoError(t, m.Snapshot(path))
	require.NoError(t, m.Restore(path))
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	var left []string
	for _, file := range files {
		left = append(left, file.Name())
	}
	assert.Equal(t, []string{"snapshot", "snapshot.new-", "snapshot.new-3", "snapshot.new-4.gz", "snapshot.new-6", "snapshot.new-york", "snapshot2.new-5"}, left)
}

func TestSnapshotErrors(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "snapshot")
	m := memoryOf(t, someRecords...)
	require.ErrorIs(t, m.Restore(path), fs.ErrNotExist)
	require.ErrorIs(t, m.Snapshot(filepath.Join(dir, "no", "snapshot")), fs.ErrNotExist)
	require.Error(t, m.Restore(dir), "a folder")

	require.NoError(t, m.Snapshot(path))
	var tooLarge baseline.Memory
	require.NoError(t, tooLarge.Save(t.Context(), []baseline.Record{{Key: "large", Data: make([]byte, 64<<20+1)}}))
	require.ErrorContains(t, tooLarge.Snapshot(path), path+`: record "large" cannot be in a snapshot: its key has 5 bytes, of 1 to 16777216, and its data 67108865, of at most 67108864`)
	require.ErrorContains(t, memoryOf(t, baseline.Record{Version: 1}).Snapshot(path), `record "" cannot be in a snapshot`)
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, files, 1, "what failed leaves nothing behind")
	require.NoError(t, m.Restore(path), "nor does it harm the file that was there")
	assert.Equal(t, len(someRecords), m.Len())

	require.NoError(t, os.WriteFile(path, []byte("cloudtell baseline\n\x09"), 0o600))
	err = m.Restore(path)
	require.ErrorIs(t, err, baseline.ErrVersion)
	require.EqualError(t, err, path+": baseline: snapshot, byte 19: version 9; this code reads up to 2")
}

// The bytes of version 2 stay what they are.
func TestSnapshotBytes(t *testing.T) {
	want := "cloudtell baseline\n\x02" +
		"\x00\x00\x00\x01" + "\x00\x00\x00\x04" + "\x00\x00\x00\x00\x00\x00\x00\x02" + "a" + "data" + "\x05\x9f\x8f\x14" +
		"\x00\x00\x00\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x00" + "\x06\x0a\x35\x81"
	got := snapshotOf(t, memoryOf(t, baseline.Record{Key: "a", Version: 2, Data: []byte("data")}))
	assert.Equal(t, fmt.Sprintf("%q", want), fmt.Sprintf("%q", got))
}

// snapshotV1 writes the records as the first version of the format has them.
func snapshotV1(records ...baseline.Record) []byte {
	b := []byte("cloudtell baseline\n\x01")
	field := func(s string) {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	for _, r := range records {
		field(r.Key)
		field(string(r.Data))
	}
	field("")
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

func TestSnapshotV1(t *testing.T) {
	var m baseline.Memory
	b := snapshotV1(someRecords...)
	n, err := m.ReadFrom(bytes.NewReader(b))
	require.NoError(t, err)
	assert.Equal(t, int64(len(b)), n)
	want := slices.Clone(someRecords)
	for i := range want {
		want[i].Version = 1 // it had none
	}
	assert.Empty(t, cmp.Diff(want, slices.Collect(m.All())))
}

// Whatever byte is changed, and wherever the snapshot ends too early, it is
// refused by name, and the store stays as it was.
func TestSnapshotDamaged(t *testing.T) {
	few := []baseline.Record{{Key: "a", Version: 1, Data: []byte("first")}, {Key: "b", Version: 1, Data: []byte("other")}}
	m := memoryOf(t, baseline.Record{Key: "mine", Version: 1})
	refused := func(t *testing.T, b []byte, msg ...any) (at int64) {
		t.Helper()
		_, err := m.ReadFrom(bytes.NewReader(b))
		var damage *baseline.SnapshotError
		require.ErrorAs(t, err, &damage, msg...)
		require.True(t, errors.Is(err, baseline.ErrCorrupt) != errors.Is(err, baseline.ErrVersion), msg...)
		require.LessOrEqual(t, damage.Offset, int64(len(b)), msg...)
		require.Equal(t, 1, m.Len(), msg...)
		return damage.Offset
	}
	for version, b := range map[int][]byte{1: snapshotV1(few...), 2: snapshotOf(t, memoryOf(t, few...))} {
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) {
			for i := range b {
				refused(t, b[:i], "cut at ", i)
				for bit := range 8 {
					flipped := bytes.Clone(b)
					flipped[i] ^= 1 << bit
					refused(t, flipped, "flipped ", i)
				}
			}
			refused(t, append(bytes.Clone(b), 0), "one byte more")
		})
	}

	const head, record = 20, 4 + 4 + 8 + 1 + 5 + 4
	b := snapshotOf(t, memoryOf(t, few...))
	first, second, end := b[head:head+record], b[head+record:head+2*record], b[head+2*record:]
	tests := []struct {
		name  string
		parts [][]byte
		at    int64
	}{
		{"a record is missing", [][]byte{second, end}, head},
		{"the last record is missing", [][]byte{first, end}, head + record},
		{"records changed places", [][]byte{second, first, end}, head},
		{"a record is there twice", [][]byte{first, first, second, end}, head + record},
		{"an impossible size", [][]byte{{0xff, 0, 0, 0}, make([]byte, 100)}, head},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			at := refused(t, bytes.Join(append([][]byte{b[:head]}, tt.parts...), nil))
			assert.Equal(t, tt.at, at)
		})
	}
	assert.Equal(t, int64(head+4+1+4+5), refused(t, snapshotV1(few[0], few[0]), "version 1 with a key twice"))
}

// Errors of the reader and the writer are not damage of the snapshot.
func TestSnapshotInputOutput(t *testing.T) {
	m := memoryOf(t, someRecords...)
	b := snapshotOf(t, m)
	broken := errors.New("the line is broken")
	for _, n := range []int{0, 10, 30, len(b) - 2, len(b)} {
		_, err := m.ReadFrom(io.MultiReader(bytes.NewReader(b[:n]), iotest.ErrReader(broken)))
		require.ErrorIs(t, err, broken, n)
		var damage *baseline.SnapshotError
		require.False(t, errors.As(err, &damage), n)
	}
	_, err := m.ReadFrom(iotest.OneByteReader(bytes.NewReader(b)))
	require.NoError(t, err)

	for _, room := range []int{0, 10, 5000, len(b) - 1} {
		n, err := m.WriteTo(&smallDisk{room: room})
		require.ErrorIs(t, err, errFull, room)
		require.Equal(t, int64(room), n)
	}
}

// A smallDisk has room for some bytes.
type smallDisk struct{ room int }

var errFull = errors.New("the disk is full")

func (d *smallDisk) Write(b []byte) (int, error) {
	n := min(len(b), d.room)
	d.room -= n
	if n < len(b) {
		return n, errFull
	}
	return n, nil
}

// Whatever the bytes, they are refused by name or are a store that writes a
// snapshot of the same records.
func FuzzSnapshot(f *testing.F) {
	few := []baseline.Record{{Key: "a", Version: 1, Data: []byte("first")}, {Key: "b", Version: 2, Data: []byte{}}}
	f.Add(snapshotV1(few...))
	f.Add(snapshotOf(f, memoryOf(f, few...)))
	f.Add([]byte("cloudtell baseline\n\x02\x00\x00\x00\x01\x03\xff\xff\xff"))
	f.Add([]byte("cloudtell baseline\n\x01\x00\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var m, again baseline.Memory
		if n, err := m.ReadFrom(bytes.NewReader(b)); err != nil {
			var damage *baseline.SnapshotError
			require.ErrorAs(t, err, &damage)
			require.LessOrEqual(t, n, int64(len(b)))
			require.Zero(t, m.Len())
			return
		}
		_, err := again.ReadFrom(bytes.NewReader(snapshotOf(t, &m)))
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(slices.Collect(m.All()), slices.Collect(again.All())))
	})
}

func BenchmarkSnapshot(b *testing.B) {
	var m baseline.Memory
	data := bytes.Repeat([]byte("profile."), 200)
	for i := range 10_000 {
		require.NoError(b, m.Save(b.Context(), []baseline.Record{{Key: fmt.Sprint("principal/", i), Data: data}}))
	}
	snapshot := snapshotOf(b, &m)
	b.Run("write", func(b *testing.B) {
		b.SetBytes(int64(len(snapshot)))
		for b.Loop() {
			if _, err := m.WriteTo(io.Discard); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		b.SetBytes(int64(len(snapshot)))
		b.ReportAllocs()
		for b.Loop() {
			var again baseline.Memory
			if _, err := again.ReadFrom(bytes.NewReader(snapshot)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// A symbolic link may be there before the file that it names.
func TestSnapshotThroughALink(t *testing.T) {
	dir := t.TempDir()
	disk := filepath.Join(dir, "disk")
	require.NoError(t, os.Mkdir(disk, 0o700))
	require.NoError(t, os.Symlink("disk", filepath.Join(dir, "mounted")))
	require.NoError(t, os.Symlink("later", filepath.Join(disk, "current")))
	link := filepath.Join(dir, "link")
	require.NoError(t, os.Symlink("mounted/current", link))
	var m baseline.Memory
	for n := range uint64(2) {
		require.NoError(t, m.Save(t.Context(), []baseline.Record{{Key: "k", Version: n, Data: []byte("x")}}))
		require.NoError(t, m.Snapshot(link))
		info, err := os.Lstat(filepath.Join(disk, "later"))
		require.NoError(t, err)
		assert.True(t, info.Mode().IsRegular())
		for _, name := range []string{link, filepath.Join(disk, "current")} {
			info, err := os.Lstat(name)
			require.NoError(t, err)
			assert.Equal(t, os.ModeSymlink, info.Mode().Type())
		}
	}
	require.NoError(t, new(baseline.Memory).Restore(link))
}
