package event_test

import (
	"bytes"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/event/eventtest"
)

// fill gives every string in a value a text of its own.
func fill(v reflect.Value, n *int) {
	switch v.Kind() {
	case reflect.String:
		*n++
		v.SetString(fmt.Sprint("text ", *n))
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i), n)
			}
		}
	}
}

func TestClone(t *testing.T) {
	var e event.Event
	var line event.AccessLogLine
	n := 0
	fill(reflect.ValueOf(&e).Elem(), &n)
	fill(reflect.ValueOf(&line).Elem(), &n)
	assert.Greater(t, n, 60)
	e.Access = &line
	c := e.Clone()
	assert.Equal(t, &e, c)
	assert.NotSame(t, e.Access, c.Access)

	var zero event.Event
	assert.Equal(t, &zero, zero.Clone())
}

// TestCloneSizes clones records of all sizes around those that share an
// allocation with their event.
func TestCloneSizes(t *testing.T) {
	for n := range 5000 {
		e := event.Event{Text: strings.Repeat("x", n)}
		e.Name = e.Text[n/2:]
		assert.Equal(t, &e, e.Clone())
	}
}

// TestCloneReleasesText pins that clones do not keep the text they were read
// from in memory. Each field in turn is the only one to hold on to its text.
func TestCloneReleasesText(t *testing.T) {
	const size = 1 << 20
	var kept []*event.Event
	count := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	big := func() string { return strings.Repeat("x", size)[:8] }
	before := count()
	var hold func(e *event.Event, v reflect.Value)
	hold = func(e *event.Event, v reflect.Value) {
		for i := range v.NumField() {
			switch f := v.Field(i); {
			case f.Kind() == reflect.String:
				f.SetString(big())
				kept = append(kept, e.Clone())
				f.SetString("")
			case f.Kind() == reflect.Struct && f.CanSet() && f.NumField() > 0 && f.Field(0).CanSet():
				hold(e, f)
			}
		}
	}
	var e event.Event
	hold(&e, reflect.ValueOf(&e).Elem())
	e.Access = &event.AccessLogLine{}
	hold(&e, reflect.ValueOf(e.Access).Elem())
	after := count()
	assert.Greater(t, len(kept), 60)
	assert.Less(t, after-min(before, after), uint64(size), "%d clones", len(kept))
	runtime.KeepAlive(kept)
}

func TestReadReusesEvent(t *testing.T) {
	var first, clone *event.Event
	for e, err := range event.Read(bytes.NewReader(logFile(2)), nil) {
		assert.NoError(t, err)
		if first == nil {
			first, clone = e, e.Clone()
			continue
		}
		assert.Same(t, first, e)
		assert.NotEqual(t, clone, e)
	}
	assert.Equal(t, "arn:aws:iam::111122223333:user/alice", clone.Principal.Key)
}

func TestAllocations(t *testing.T) {
	e := eventtest.Record{Call: "s3:GetObject", Request: map[string]any{"bucketName": "b", "key": "k", "n": map[string]any{"m": 1.5}}}.Event(t)
	var text string
	for name, f := range map[string]func(){
		"Raw.At":  func() { text = e.Request.At("n", "m").Text() },
		"ToolOf":  func() { text = string(event.ToolOf("APN/1.0 HashiCorp/1.0 Terraform/1.11.0 aws-sdk-go-v2/1.36.3")) },
		"Service": func() { text = e.Service() },
		"Is":      func() { assert.True(t, e.Is("s3", "HeadObject", "GetObject")) },
		"Members": func() {
			for name := range e.Request.Members() {
				text = name
			}
		},
	} {
		assert.Zero(t, testing.AllocsPerRun(100, f), name)
	}
	assert.NotEmpty(t, text)

	var clone *event.Event
	assert.LessOrEqual(t, testing.AllocsPerRun(100, func() { clone = e.Clone() }), 1.0, "Clone")
	assert.Equal(t, e, clone)

	const n = 2000
	file := logFile(n)
	allocations := testing.AllocsPerRun(3, func() {
		events := 0
		for range event.Read(bytes.NewReader(file), nil) {
			events++
		}
		assert.Equal(t, n, events)
	})
	assert.Less(t, allocations/n, 0.05, "allocations per event")

	reused := testing.AllocsPerRun(3, func() {
		events := 0
		for e := range event.Read(bytes.NewReader(file), &event.ReadOptions{Reuse: true}) {
			text = e.Principal.Key
			events++
		}
		assert.Equal(t, n, events)
	})
	assert.Less(t, reused/n, 0.05, "allocations per event in memory that is reused")
}

// TestReuse pins what ends when memory is reused and what does not.
func TestReuse(t *testing.T) {
	const n = 2000
	file := logFile(n)
	var kept []string
	var clones []*event.Event
	for e, err := range event.Read(bytes.NewReader(file), &event.ReadOptions{Reuse: true}) {
		assert.NoError(t, err)
		kept = append(kept, e.ID)
		clones = append(clones, e.Clone())
	}
	i, changed := 0, 0
	for e, err := range event.Read(bytes.NewReader(file), nil) {
		assert.NoError(t, err)
		if kept[i] != e.ID {
			changed++
		}
		assert.Equal(t, e, clones[i])
		i++
	}
	assert.Equal(t, n, i)
	assert.Positive(t, changed)

	var last *event.Event
	for e := range event.Read(bytes.NewReader(file), &event.ReadOptions{Reuse: true}) {
		if last = e; e.ID == clones[n/2].ID {
			break
		}
	}
	for range event.Read(bytes.NewReader(file), &event.ReadOptions{Reuse: true}) {
	}
	assert.Equal(t, clones[n/2], last, "a loop that was left keeps its event")
}

// TestCloneOfDecoded pins that a clone of a decoded event lets go of what was
// decoded with it.
func TestCloneOfDecoded(t *testing.T) {
	var kept []*event.Event
	count := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	file := logFile(1000)
	before := count()
	for range 200 {
		for e, err := range event.Read(bytes.NewReader(file), nil) {
			assert.NoError(t, err)
			kept = append(kept, e.Clone())
			break
		}
	}
	after := count()
	assert.Less(t, after-min(before, after), uint64(200*8<<10))
	runtime.KeepAlive(kept)
	runtime.KeepAlive(file)
}
