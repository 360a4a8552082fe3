package main

import (
	"bytes"
	stdgzip "compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/bytedance/sonic"
	goccy "github.com/goccy/go-json"
	"github.com/klauspost/compress/gzip"
	"github.com/valyala/fastjson"

	"github.com/cloudtell/cloudtell/event"
)

// A benchCase is one way to do the work of a table: it returns how many
// records it found in the files.
type benchCase struct {
	name string
	run  func(files [][]byte) (records int, err error)
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
		{"encoding/json v1", structs[json.RawMessage](each, json.Unmarshal)},
		{"cloudtell", readAll(plain, nil, func(*event.Event) {})},
		{"cloudtell, copied", readAll(plain, nil, func(e *event.Event) { batch[0] = *e })},
		{"cloudtell, Clone", readAll(plain, nil, func(e *event.Event) { kept.Store(e.Clone()) })},
		{"cloudtell, Reuse", readAll(plain, reuse, func(*event.Event) {})},
		{"cloudtell, Reuse, Clone", readAll(plain, reuse, func(e *event.Event) { kept.Store(e.Clone()) })},
		{"goccy/go-json", structs[goccy.RawMessage](each, func(b []byte, v any) error { return goccy.UnmarshalNoEscape(b, v) })},
		{"bytedance/sonic", structs[json.RawMessage](each, sonic.Unmarshal)},
		{"valyala/fastjson, no raw objects", fastjsonCase(each)},
	}
	return append(cases, jsonV2Cases(each)...)
}

// gzipCases decompress files, and decode them as well.
func gzipCases() []benchCase {
	return []benchCase{
		{"compress/gzip alone", decompress(openStandard)},
		{"klauspost/compress alone", decompress(openKlauspost)},
		{"compress/gzip, cloudtell", readAll(plain, nil, func(*event.Event) {})},
		{"klauspost/compress, cloudtell", readAll(openKlauspost, nil, func(*event.Event) {})},
		{"klauspost/compress, Reuse", readAll(openKlauspost, reuse, func(*event.Event) {})},
	}
}

// kept keeps the compiler from leaving out what nobody reads.
var kept atomic.Pointer[event.Event]

// reuse makes the strings of an event last no longer than the event.
var reuse = &event.ReadOptions{Reuse: true}

type opener func(io.Reader) (io.Reader, error)

func plain(r io.Reader) (io.Reader, error) { return r, nil }

// standard and klauspost serve one file after another, as they would in a
// program that cares for speed.
var (
	standard  stdgzip.Reader
	klauspost gzip.Reader
)

func openStandard(r io.Reader) (io.Reader, error) { return &standard, standard.Reset(r) }

func openKlauspost(r io.Reader) (io.Reader, error) { return &klauspost, klauspost.Reset(r) }

func readAll(open opener, o *event.ReadOptions, visit func(*event.Event)) func([][]byte) (int, error) {
	return func(files [][]byte) (n int, err error) {
		for _, file := range files {
			r, err := open(bytes.NewReader(file))
			if err != nil {
				return n, err
			}
			for e, err := range event.Read(r, o) {
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

func decompress(open opener) func([][]byte) (int, error) {
	return func(files [][]byte) (int, error) {
		for _, file := range files {
			r, err := open(bytes.NewReader(file))
			if err != nil {
				return 0, err
			}
			if _, err := io.Copy(io.Discard, r); err != nil {
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
func structs[R any](each splitter, unmarshal func([]byte, any) error) func([][]byte) (int, error) {
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
func fastjsonCase(each splitter) func([][]byte) (int, error) {
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
