//go:build unix

package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/examples/account"
)

// TestMain lets the tests run the command as a process, which says at the end
// how much memory it had at most.
func TestMain(m *testing.M) {
	if os.Getenv("SCAN_MAIN") == "" {
		os.Exit(m.Run())
	}
	code := run(context.Background(), os.Args[1:], os.Stdin, io.Discard, os.Stderr)
	if status, err := os.ReadFile("/proc/self/status"); err == nil { // rusage has the parent's memory in it
		fmt.Println(string(status))
	}
	os.Exit(code)
}

// scanProcess scans in a process of its own and returns the time and the most
// memory, in MB, that it used.
func scanProcess(t testing.TB, procs int, args ...string) (cpu time.Duration, memory float64) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "SCAN_MAIN=1", fmt.Sprint("GOMAXPROCS=", procs))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	_, rest, _ := strings.Cut(string(out), "VmHWM:")
	fmt.Sscan(rest, &memory)
	return cpuTime(cmd.ProcessState.SysUsage().(*syscall.Rusage)), memory / 1e3
}

func cpuTime(u *syscall.Rusage) time.Duration {
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkMemory compares the memory that scans take of one day, and of a
// hundred days of the same principals:
//
//	go test ./examples/scan -run '^$' -bench Memory -benchtime 1x
func BenchmarkMemory(b *testing.B) {
	days := func(n int) string {
		dir := b.TempDir()
		start := time.Date(2025, 6, 3, 0, 0, 0, 0, time.UTC) // a Tuesday
		require.NoError(b, account.New(&account.Options{Start: start, Days: n}).WriteTrail(dir))
		return dir
	}
	one, hundred := days(1), days(100)
	var small, large []float64
	for b.Loop() {
		for range 3 {
			_, m := scanProcess(b, 2, "-quiet", one)
			small = append(small, m)
			_, m = scanProcess(b, 2, "-quiet", hundred)
			large = append(large, m)
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(middle(small), "MB-for-1-day")
	b.ReportMetric(middle(large), "MB-for-100-days")
	b.ReportMetric(middle(large)/middle(small), "times")
}

func middle(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// BenchmarkScan compares a scan with every rule with decompressing the files
// alone, by CPU time, and on two cores with itself on one, by the clock. They
// take turns, so that other load on the machine falls on all.
//
//	go test ./examples/scan -run '^$' -bench Scan -benchtime 5x
func BenchmarkScan(b *testing.B) {
	a := account.New(&account.Options{Days: 4, Attacks: true, Traps: true})
	delivered := b.TempDir()
	require.NoError(b, a.WriteTrail(delivered))
	b.Run("as delivered", func(b *testing.B) { benchmarkScan(b, delivered) })
	b.Run("files of 1500 records", func(b *testing.B) { benchmarkScan(b, repacked(b, a, 1500)) })
}

// repacked writes an account's records into files of so many, named for when
// the last of them was delivered.
func repacked(b *testing.B, a *account.Account, size int) string {
	dir := b.TempDir()
	var list []string
	var last time.Time
	write := func() {
		if len(list) == 0 {
			return
		}
		var text bytes.Buffer
		z := gzip.NewWriter(&text)
		_, err := io.WriteString(z, `{"Records":[`+strings.Join(list, ",")+`]}`)
		require.NoError(b, err)
		require.NoError(b, z.Close())
		name := fmt.Sprintf("111122223333_CloudTrail_eu-west-1_%s_%06d.json.gz", last.Format("20060102T1504Z"), len(list))
		require.NoError(b, os.WriteFile(filepath.Join(dir, name), text.Bytes(), 0o600))
		list = list[:0]
	}
	for f := range a.Files() {
		for _, r := range f.Records {
			list = append(list, r.JSON)
		}
		if last = f.Time; len(list) >= size {
			write()
		}
	}
	write()
	return dir
}

func benchmarkScan(b *testing.B, dir string) {
	var bare, one, two, wall1, wall2 []float64
	timed := func(cpu, wall *[]float64, procs int) {
		start := time.Now()
		used, _ := scanProcess(b, procs, "-quiet", dir)
		*cpu = append(*cpu, float64(used))
		*wall = append(*wall, float64(time.Since(start)))
	}
	var size int64
	for b.Loop() {
		start := cpuUsed(b)
		size = gunzipAll(b, dir)
		bare = append(bare, float64(cpuUsed(b)-start))
		timed(&one, &wall1, 1)
		timed(&two, &wall2, 2)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(size)/middle(one)*1e3, "MB/s")
	b.ReportMetric(middle(bare)/middle(one), "times-gzip")
	b.ReportMetric(middle(wall1)/middle(wall2), "times-on-2-cores")
	b.ReportMetric(middle(two)/middle(wall2), "cores-used")
}

func cpuUsed(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return cpuTime(&u)
}

// gunzipAll decompresses the files one after the other and returns the size of
// what is in them.
func gunzipAll(b *testing.B, dir string) (size int64) {
	var z gzip.Reader
	require.NoError(b, filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, ".gz") {
			return err
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := z.Reset(f); err != nil {
			return err
		}
		n, err := io.Copy(io.Discard, &z)
		size += n
		return err
	}))
	return size
}
