package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// A handler is what the invocations of a function do. Any number may run at once,
// here and in other processes on the same store.
//
// An invocation that fails has to be repeated, as Lambda does by itself with what
// it gets from S3, EventBridge and CloudWatch Logs. Findings are delivered before
// what was learnt is saved, so none is lost. One may come twice, with the same ID;
// and if two processes work on one principal at the same moment, one that the
// other's events would have made another.
type handler struct {
	set     *detect.Set
	store   baseline.Store
	objects *s3.Client
	deliver func(context.Context, []detect.Finding) error
}

// A result says what an invocation did.
type result struct {
	Records  int `json:"records"`
	Unread   int `json:"unread"`   // further records, which could not be read; the log says why
	Rejected int `json:"rejected"` // of the records, those that a scope panicked on; the log has them
	Findings int `json:"findings"`
}

// Invoke implements the Handler of aws-lambda-go.
func (h *handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	in := &invocation{handler: h}
	err := in.read(ctx, "payload", bytes.NewReader(payload))
	files, known := logFiles(payload)
	if in.notifications > known {
		err = errors.Join(err, fmt.Errorf("%d notifications name no file that could be made out", in.notifications-known))
	}
	for _, f := range files {
		err = errors.Join(err, in.fetch(ctx, f))
	}
	if err != nil {
		return nil, err
	}
	if in.Unread > 0 && in.Records == 0 {
		return nil, fmt.Errorf("no record could be read, the first because of: %w", in.first)
	}
	return json.Marshal(in.result)
}

// An invocation is one call of the handler.
type invocation struct {
	*handler
	result
	notifications int   // in place of records
	first         error // why the first record that could not be read could not
}

// fetch reads a log file.
func (in *invocation) fetch(ctx context.Context, f logFile) error {
	o, err := in.objects.GetObject(ctx, &s3.GetObjectInput{Bucket: &f.bucket, Key: &f.key, VersionId: f.version})
	if err != nil {
		return fmt.Errorf("%s: %w", f, err)
	}
	defer o.Body.Close()
	return in.read(ctx, f.String(), o.Body)
}

// read evaluates what an input holds, a few thousand events at a time.
func (in *invocation) read(ctx context.Context, name string, r io.Reader) error {
	const size = 4096
	options := event.ReadOptions{
		MaxDecompressed: 2 << 30,
		NotAfter:        time.Now().Add(time.Hour), // a wrong clock; later records would look late
	}
	var failed error
	var events []*event.Event
	evaluate := func() {
		if err := in.evaluate(ctx, events); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", name, err))
		}
		events = events[:0]
	}
	for e, err := range event.Read(r, &options) {
		if errors.Is(err, event.ErrNotification) {
			in.notifications++
			continue
		}
		if _, ok := errors.AsType[*event.DecodeError](err); ok {
			log.Printf("%s: %v", name, err)
			if in.Unread++; in.first == nil {
				in.first = fmt.Errorf("%s: %w", name, err)
			}
			continue
		}
		if err != nil {
			return errors.Join(failed, fmt.Errorf("%s: %w", name, err))
		}
		if events = append(events, e.Clone()); len(events) == size {
			if evaluate(); ctx.Err() != nil {
				return errors.Join(failed, fmt.Errorf("%s: the rest is not read: %w", name, ctx.Err()))
			}
		}
	}
	evaluate()
	return failed
}

// evaluate takes events in. Profiles that another process saves meanwhile are
// evaluated again, on top of what that one has learnt; the events of all others are
// duplicates then. So they are when the invocation is repeated because some events
// were rejected: a profile that cannot be loaded does not keep back what others found.
func (in *invocation) evaluate(ctx context.Context, events []*event.Event) error {
	in.Records += len(events)
	if len(events) == 0 {
		return nil
	}
	const tries = 10
	for try := 1; ; try++ {
		engine, err := detect.NewEngine(in.set, in.store, nil) // an empty cache: nothing in it is stale
		if err != nil {
			return err
		}
		findings, failed := engine.Process(ctx, events)
		if detect.OnlyPanics(failed) { // the other rules and scopes had their say, and these would panic again
			log.Print(failed)
			failed = nil
		}
		if err := in.deliver(ctx, findings); err != nil {
			return errors.Join(failed, fmt.Errorf("findings not delivered: %w", err))
		}
		in.Findings += len(findings)
		err = engine.Flush(ctx)
		if _, ok := errors.AsType[*baseline.ConflictError](err); !ok || try == tries {
			if err = errors.Join(failed, err); err == nil && engine.Stats().Rejected > 0 {
				in.reject(events)
			}
			return err
		}
	}
}

// reject writes those of the events to the log that a scope panics on, each with
// its record: nobody will send them again.
func (in *invocation) reject(events []*event.Event) {
	for _, e := range events {
		rejected := false
		for _, scope := range in.set.Scopes() {
			if _, err := scope.Of(e); err != nil {
				rejected = true
				log.Printf("rejected: %v: %s", err, e.Text)
			}
		}
		if rejected {
			in.Rejected++
		}
	}
}
