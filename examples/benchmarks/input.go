//go:build unix

package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/cloudtell/cloudtell/examples/account"
)

// An input is so many days of the generated account, as files.
type input struct {
	days    int
	perFile int  // records in a file; 0: one file of JSON lines
	gzip    bool // the files are compressed
	real    bool // as many of the records are AWS's own as in real accounts
}

// inputSize is what an input's records come to.
type inputSize struct {
	Records int
	Bytes   int64 // of JSON, without what is around the records
}

// plainRecords returns the account's records one by one, in order of time.
func plainRecords(days int) iter.Seq[string] {
	return func(yield func(string) bool) {
		for r := range accountLog(days) {
			if !yield(r.JSON) {
				return
			}
		}
	}
}

func accountLog(days int) iter.Seq[account.Record] {
	return account.New(&account.Options{Days: days, Attacks: true, Traps: true}).Records()
}

// realRecords returns the account's records, with as many more of AWS's own
// among them as real accounts have: copies with times and ids of their own.
func realRecords(days int) iter.Seq[string] {
	return func(yield func(string) bool) {
		var services []account.Record // the latest
		due, n := 0, 0
		for r := range accountLog(days) {
			if !yield(r.JSON) {
				return
			}
			if !strings.Contains(r.JSON, `"type":"AWSService"`) {
				due += servicesShare
			} else {
				services = append(services[max(0, len(services)-49):], r)
				due--
			}
			for ; due > 0 && len(services) > 0; due-- {
				n++
				s := services[n%len(services)]
				json := strings.Replace(s.JSON, s.Time.Format(time.RFC3339), r.Time.Format(time.RFC3339), 1)
				if !yield(strings.Replace(json, s.EventID, fmt.Sprintf("%08x%s", n, s.EventID[8:]), 1)) {
					return
				}
			}
		}
	}
}

// write writes the input's files into a directory, named in their order.
func (in input) write(dir string) (size inputSize, err error) {
	var file bytes.Buffer
	written, n := 0, 0
	var last time.Time // of the records so far
	flush := func() error {
		if file.Len() == 0 {
			return nil
		}
		written++
		data, name := file.Bytes(), fmt.Sprintf("%07d.json", written)
		if in.gzip { // as CloudTrail delivers it
			data = compressed(data)
			name = fmt.Sprintf("111122223333_CloudTrail_eu-west-1_%s_%016d.json.gz", last.UTC().Format("20060102T1504Z"), written)
		}
		n = 0
		defer file.Reset()
		return os.WriteFile(filepath.Join(dir, name), data, 0o600)
	}
	records := plainRecords
	if in.real {
		records = realRecords
	}
	for record := range records(in.days) {
		size.Records++
		size.Bytes += int64(len(record))
		if in.gzip {
			at, err := eventTime(record)
			if err != nil {
				return size, err
			}
			last = later(last, at)
		}
		if in.perFile == 0 {
			file.WriteString(record)
			file.WriteByte('\n')
			continue
		}
		if n == 0 {
			file.WriteString(`{"Records":[`)
		} else {
			file.WriteByte(',')
		}
		file.WriteString(record)
		if n++; n == in.perFile {
			file.WriteString("]}")
			if err := flush(); err != nil {
				return size, err
			}
		}
	}
	if n > 0 {
		file.WriteString("]}")
	}
	return size, flush()
}

// eventTime returns the time that a record has.
func eventTime(record string) (time.Time, error) {
	_, rest, _ := strings.Cut(record, `"eventTime":"`)
	text, _, _ := strings.Cut(rest, `"`)
	return time.Parse(time.RFC3339, text)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// compressed returns a file as AWS stores it.
func compressed(file []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(file) // a Buffer takes everything
	z.Close()
	return b.Bytes()
}

// name names an input, for directories and for the process that writes it.
func (in input) name() string { return fmt.Sprintf(inputName, in.days, in.perFile, in.gzip, in.real) }

const inputName = "%d-%d-%t-%t"

// prepareInput stands for a table's name where a process is to write an input.
const prepareInput = "input"

// writeInput is that process.
func writeInput(name, dir string, out io.Writer) error {
	var in input
	if _, err := fmt.Sscanf(name, inputName, &in.days, &in.perFile, &in.gzip, &in.real); err != nil {
		return fmt.Errorf("input %q: %w", name, err)
	}
	size, err := in.write(dir)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(size)
}

// inputs are the inputs written so far, below one directory.
type inputs struct {
	dir   string
	sizes map[input]inputSize
}

func newInputs() (*inputs, error) {
	dir, err := os.MkdirTemp("", "benchmarks")
	return &inputs{dir: dir, sizes: make(map[input]inputSize)}, err
}

func (ins *inputs) remove() { os.RemoveAll(ins.dir) }

// get returns an input's directory and size. A process of its own writes the
// files, so that this one stays small.
func (ins *inputs) get(in input) (dir string, size inputSize, err error) {
	if in == (input{}) {
		return "", inputSize{}, nil
	}
	dir = filepath.Join(ins.dir, in.name())
	if size, ok := ins.sizes[in]; ok {
		return dir, size, nil
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", size, err
	}
	exe, err := os.Executable()
	if err != nil {
		return "", size, err
	}
	cmd := exec.Command(exe, "-child", prepareInput+"/"+in.name(), "-dir", dir)
	cmd.Stderr = os.Stderr
	reply, err := cmd.Output()
	if err != nil {
		return "", size, err
	}
	if err := json.Unmarshal(reply, &size); err != nil {
		return "", size, err
	}
	ins.sizes[in] = size
	return dir, size, nil
}

// filesIn returns the paths of a directory's files, in order.
func filesIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	var paths []string
	for _, e := range entries {
		paths = append(paths, filepath.Join(dir, e.Name()))
	}
	return paths, err
}

// mapped returns the content of a directory's files outside the Go heap, where
// it does not make garbage collections rarer.
func mapped(dir string) ([][]byte, error) {
	paths, err := filesIn(dir)
	if err != nil {
		return nil, err
	}
	var files [][]byte
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		info, err := f.Stat()
		if err != nil {
			return nil, err
		}
		file, err := syscall.Mmap(int(f.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_PRIVATE)
		f.Close()
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}
