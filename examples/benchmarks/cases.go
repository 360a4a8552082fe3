//go:build unix

package main

import (
	"bytes"
	stdgzip "compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/bytedance/sonic"
	goccy "github.com/goccy/go-json"
	"github.com/klauspost/compress/gzip"
	"github.com/valyala/fastjson"

	"github.com/cloudtell/cloudtell/event"
)

// A pass does the work of a case once: it returns how many records it found in
// the files.
type pass = func(files [][]byte) (records int, err error)

// roundTime is how much CPU time a round takes at least. Tests have less.
var roundTime = 400 * time.Millisecond

// inMemory is a case that works on files in memory.
func inMemory(name string, p pass) benchCase {
	return benchCase{name: name, start: func(dir string) (func() (result, error), error) {
		files, err := mapped(dir)
		if err != nil {
			return nil, err
		}
		if _, err := p(files); err != nil { // warm up
			return nil, err
		}
		return func() (result, error) {
			events, passes := 0, 0
			r, err := timed(func() error {
				for start := cpu(); cpu()-start < roundTime; passes++ {
					n, err := p(files)
					if err != nil {
						return err
					}
					events += n
				}
				return nil
			})
			r.Events, r.Passes = events, passes
			return r, err
		}, nil
	}}
}

// decodeCases decode files of 1,500 records, or of lines. The first is what
// the others are measured by.
func decodeCases(lines bool) []benchCase {
	each := wholeFiles
	if lines {
		each = eachLine
	}
	batch := make([]event.Event, 1)
	cases := []benchCase{
		inMemory("encoding/json v1", structs[json.RawMessage](each, json.Unmarshal)),
		inMemory("cloudtell", readAll(nil, func(*event.Event) {})),
		inMemory("cloudtell, copied", readAll(nil, func(e *event.Event) { batch[0] = *e })),
		inMemory("cloudtell, Clone", readAll(nil, func(e *event.Event) { kept.Store(e.Clone()) })),
		inMemory("cloudtell, Reuse", readAll(reuse, func(*event.Event) {})),
		inMemory("cloudtell, Reuse, Clone", readAll(reuse, func(e *event.Event) { kept.Store(e.Clone()) })),
		inMemory("cloudtell, Reuse, Batch", readAll(reuse, inBatches())),
		inMemory("goccy/go-json", structs[goccy.RawMessage](each, func(b []byte, v any) error { return goccy.UnmarshalNoEscape(b, v) })),
		inMemory("bytedance/sonic", structs[json.RawMessage](each, sonic.Unmarshal)),
		inMemory("valyala/fastjson, no raw objects", fastjsonCase(each)),
	}
	return append(cases, jsonV2Cases(each)...)
}

// inBatches copies events into a batch of a thousand, which is used again.
func inBatches() func(*event.Event) {
	var b event.Batch
	return func(e *event.Event) {
		kept.Store(b.Add(e))
		if len(b.Events()) == 1000 {
			b.Reset()
		}
	}
}

// gzipCases decompress files, and decode them as well.
func gzipCases() []benchCase {
	return []benchCase{
		inMemory("compress/gzip alone", decompress(standard())),
		inMemory("klauspost/compress alone", decompress(klauspost())),
		libdeflateCase("libdeflate alone", func(name string, open opener) benchCase { return inMemory(name, decompress(open)) }),
		inMemory("compress/gzip, cloudtell", readAll(nil, func(*event.Event) {})),
		inMemory("compress/gzip, Reuse", readAll(reuse, func(*event.Event) {})),
		inMemory("klauspost/compress, cloudtell", readAll(&event.ReadOptions{Gzip: klauspost()}, func(*event.Event) {})),
		inMemory("klauspost/compress, Reuse", readAll(&event.ReadOptions{Gzip: klauspost(), Reuse: true}, func(*event.Event) {})),
		libdeflateCase("libdeflate, Reuse", func(name string, open opener) benchCase {
			return inMemory(name, readAll(&event.ReadOptions{Gzip: open, Reuse: true}, func(*event.Event) {}))
		}),
	}
}

// kept keeps the compiler from leaving out what nobody reads.
var kept atomic.Pointer[event.Event]

// reuse makes the strings of an event last no longer than the event.
var reuse = &event.ReadOptions{Reuse: true}

// An opener decompresses files, one after the other, with memory that is used
// again: event.ReadOptions.Gzip. It belongs to one goroutine.
type opener func(io.Reader) (io.Reader, error)

// drain decompresses a file and drops what comes out.
func (open opener) drain(file io.Reader) error {
	z, err := open(file)
	if err != nil {
		return err
	}
	if c, ok := z.(io.Closer); ok {
		defer c.Close()
	}
	_, err = io.Copy(io.Discard, z)
	return err
}

func standard() opener {
	var z stdgzip.Reader
	return func(r io.Reader) (io.Reader, error) { return &z, z.Reset(r) }
}

func klauspost() opener {
	var z gzip.Reader
	return func(r io.Reader) (io.Reader, error) { return &z, z.Reset(r) }
}

func readAll(o *event.ReadOptions, visit func(*event.Event)) pass {
	return func(files [][]byte) (n int, err error) {
		for _, file := range files {
			for e, err := range event.Read(bytes.NewReader(file), o) {
				if err != nil {
					return n, err
				}
				visit(e)
				n++
			}
		}
		return n, nil
	}
}

func decompress(open opener) pass {
	return func(files [][]byte) (int, error) {
		for _, file := range files {
			if err := open.drain(bytes.NewReader(file)); err != nil {
				return 0, err
			}
		}
		return 0, nil
	}
}

// A splitter hands out the documents of a file.
type splitter func(file []byte, visit func(doc []byte) error) error

func wholeFiles(file []byte, visit func([]byte) error) error { return visit(file) }

func eachLine(file []byte, visit func([]byte) error) error {
	for len(file) > 0 {
		line, rest, _ := bytes.Cut(file, []byte("\n"))
		if err := visit(line); err != nil {
			return err
		}
		file = rest
	}
	return nil
}

var errIncomplete = errors.New("a record was not decoded")

// structs decodes into structs.
func structs[R any](each splitter, unmarshal func([]byte, any) error) pass {
	return func(files [][]byte) (n int, err error) {
		visit := func(doc []byte) error {
			var records struct{ Records []record[R] }
			if bytes.HasPrefix(doc, []byte(`{"Records"`)) {
				if err := unmarshal(doc, &records); err != nil {
					return err
				}
			} else {
				records.Records = make([]record[R], 1)
				if err := unmarshal(doc, &records.Records[0]); err != nil {
					return err
				}
			}
			for i := range records.Records {
				if r := &records.Records[i]; r.EventID == "" || r.EventSource == "" {
					return errIncomplete
				}
				n++
			}
			return nil
		}
		for _, file := range files {
			if err := each(file, visit); err != nil {
				return n, err
			}
		}
		return n, nil
	}
}

// fastjsonCase parses into fastjson's own values, which know the fields but
// not the text of the objects.
func fastjsonCase(each splitter) pass {
	return func(files [][]byte) (n int, err error) {
		var p fastjson.Parser
		one := func(v *fastjson.Value) error {
			size := 0
			for _, name := range fieldNames {
				size += len(v.GetStringBytes(name))
			}
			id := v.Get("userIdentity")
			for _, name := range identityNames {
				size += len(id.GetStringBytes(name))
			}
			if size == 0 {
				return errIncomplete
			}
			n++
			return nil
		}
		visit := func(doc []byte) error {
			v, err := p.ParseBytes(doc)
			if err != nil {
				return err
			}
			records := v.GetArray("Records")
			if records == nil {
				return one(v)
			}
			for _, r := range records {
				if err := one(r); err != nil {
					return err
				}
			}
			return nil
		}
		for _, file := range files {
			if err := each(file, visit); err != nil {
				return n, fmt.Errorf("fastjson: %w", err)
			}
		}
		return n, nil
	}
}

var (
	fieldNames = []string{
		"eventVersion", "eventTime", "eventSource", "eventName", "awsRegion", "sourceIPAddress", "userAgent", "errorCode",
		"errorMessage", "requestID", "eventID", "eventType", "recipientAccountId", "sharedEventID", "vpcEndpointId", "eventCategory",
	}
	identityNames = []string{"type", "principalId", "arn", "accountId", "accessKeyId", "userName", "invokedBy"}
)
