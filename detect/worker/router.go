package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// A Routed is a message for a queue: one event for one key.
type Routed struct {
	// ID is made of the scope and the event's ID: a queue that knows
	// duplicates knows them by it.
	ID string
	// Scope is the name of the scope, Key the event's key there. Partition is
	// the one of the key.
	Scope     string
	Key       string
	Partition int
	// Data is the event's record.
	Data []byte
}

// A Queue takes what a router sends. Its contract:
//
//  1. Messages of one scope and partition are delivered in the order in which they
//     were sent, over all calls of Send of one router.
//  2. A nil error says that everything given is stored and will not be lost
//     with the process or a server.
//  3. After an error, a message may be stored or not; if one is not, none behind it
//     in its partition is. Messages will be sent again, with the same ID.
//  4. A cancelled context ends a call with an error that wraps the context's.
//
// One goroutine uses it.
type Queue interface {
	Send(ctx context.Context, messages []Routed) error
	Reject(ctx context.Context, letters []Letter) error
}

// Partition returns which of n partitions a key of a scope belongs to. It is
// the same in every process.
func Partition(scope, key string, n int) int {
	return int(baseline.Hash(recordKey(scope, key)) % uint64(n))
}

// RouterOptions configures a [Router]. Nil, and the zero value of every
// field, mean the defaults.
type RouterOptions struct {
	// Retry is asked when the queue has failed. The default is to give up at
	// once: Route returns the error. It should then be called again with the
	// same input: what was sent already is known by its ID.
	Retry detect.Retry
	// NotAfter is asked at each input how late a record may be dated, an hour from
	// now for instance. A later one becomes a letter: it would make all others of
	// its key look late. Workers do not ask again, because they must make the same
	// of a message each time it comes. The default is no such check.
	NotAfter func() time.Time
}

// RouterStats counts what a router has done. What is sent
// again is counted again.
type RouterStats struct {
	// Events is the number of events read, Passed of those that concern no key
	// of any scope.
	Events int64 `json:"events"`
	Passed int64 `json:"passed"`
	// Messages is the number of messages sent: one for each key of an event.
	Messages int64 `json:"messages"`
	// Rejected records were not readable, or a scope could not tell their key:
	// [detect.PanicError].
	Rejected int64 `json:"rejected"`
}

// A Router writes log records to a queue, each to the partition of each of its
// keys. One goroutine uses it. Of several routers, each should have all the
// records of a key, or those that others have come more than the allowed
// lateness apart: the order of a key's events is that in which they are sent.
type Router struct {
	scopes     []*detect.Scope
	queue      Queue
	partitions int
	o          RouterOptions
	stats      RouterStats
	messages   []Routed
	letters    []Letter
	size       int
}

// maxSend is how many bytes of messages a router collects before it sends them.
const maxSend = 1 << 20

// maxRecord is the size of the largest record that is sent, in bytes: twice what
// CloudTrail hands to other services in one event, half of what queues take in
// one message.
const maxRecord = 512 << 10

// NewRouter returns a router for the scopes of a set. The number of partitions
// belongs to the queue.
func NewRouter(set *detect.Set, queue Queue, partitions int, o *RouterOptions) (*Router, error) {
	if set == nil || queue == nil || partitions < 1 {
		return nil, errors.New("worker: a router needs a set, a queue and at least one partition")
	}
	if o == nil {
		o = &RouterOptions{}
	}
	return &Router{scopes: set.Scopes(), queue: queue, partitions: partitions, o: *o}, nil
}

// Stats returns the counts so far.
func (r *Router) Stats() RouterStats { return r.stats }

// Route sends the events of an input: the content of a log file, or a message
// of another queue, in any shape that [event.Read] takes. name says where it is
// from. Records that cannot be read, or have more than 512 KiB, become letters, of
// which the first has a copy of the input.
// When Route returns nil, everything is stored, and the input may be
// acknowledged where it came from.
func (r *Router) Route(ctx context.Context, name string, input []byte) error {
	r.reset()
	options := event.ReadOptions{Reuse: true, MaxRecord: maxRecord}
	if r.o.NotAfter != nil {
		options.NotAfter = r.o.NotAfter()
	}
	copied := input
	for e, err := range event.Read(bytes.NewReader(input), &options) {
		if err != nil {
			r.stats.Rejected++
			id := name
			var broken *event.DecodeError
			if errors.As(err, &broken) {
				id += "#" + strconv.Itoa(broken.Record)
			}
			r.letters = append(r.letters, newLetter(id, fmt.Errorf("worker: input %s: %w", name, err), copied))
			copied = nil
		} else {
			r.add(e)
		}
		if r.size >= maxSend || len(r.letters) >= 64 {
			if err := r.send(ctx); err != nil {
				return err
			}
		}
	}
	return r.send(ctx)
}

// add makes messages of an event.
func (r *Router) add(e *event.Event) {
	r.stats.Events++
	var data []byte
	rejected := false
	for _, scope := range r.scopes {
		key, err := scope.Of(e)
		if err != nil {
			rejected = true
			r.letters = append(r.letters, newLetter(scope.Name+":"+e.ID, fmt.Errorf("worker: %w", err), []byte(e.Text)))
			continue
		}
		if key == "" {
			continue
		}
		if data == nil {
			data = []byte(e.Text)
		}
		r.messages = append(r.messages, Routed{
			ID: shortID(scope.Name + ":" + e.ID), Scope: scope.Name, Key: string([]byte(key)),
			Partition: Partition(scope.Name, key, r.partitions), Data: data,
		})
		r.size += len(data)
	}
	switch {
	case rejected:
		r.stats.Rejected++
	case data == nil:
		r.stats.Passed++
	}
}

// send empties what was collected into the queue.
func (r *Router) send(ctx context.Context) error {
	err := do(ctx, r.o.Retry, "send", func() error {
		if len(r.messages) == 0 {
			return nil
		}
		return r.queue.Send(ctx, r.messages)
	})
	if err == nil {
		r.stats.Messages += int64(len(r.messages))
		err = do(ctx, r.o.Retry, "reject", func() error {
			if len(r.letters) == 0 {
				return nil
			}
			return r.queue.Reject(ctx, r.letters)
		})
	}
	r.reset()
	return err
}

func (r *Router) reset() {
	clear(r.messages)
	clear(r.letters)
	r.messages, r.letters, r.size = r.messages[:0], r.letters[:0], 0
}
