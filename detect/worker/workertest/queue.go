package workertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cloudtell/cloudtell/detect/worker"
)

// An Adapter is a queue that is held to its contract. It is empty at first, and
// nobody else uses it.
type Adapter struct {
	Queue      worker.Queue
	Partitions int
	// Scopes are the names of the scopes that the queue takes, at least two.
	Scopes []string
	// Open opens a source of all partitions, as a new process would, and
	// returns it with a function that ends it without leave: what it has not
	// acknowledged stays so.
	Open func(ctx context.Context) (worker.Source, func(), error)
}

// TestQueue holds a queue and its sources to their contracts. The context
// bounds the time it may take, because a source that has lost a message waits
// for it.
func TestQueue(ctx context.Context, a *Adapter) error {
	const n = 120
	var sent []worker.Routed
	for i := range n {
		scope := a.Scopes[i%len(a.Scopes)]
		key := fmt.Sprint("key", i%17)
		sent = append(sent, worker.Routed{
			ID: fmt.Sprint(scope, ":event", i), Scope: scope, Key: key, Partition: worker.Partition(scope, key, a.Partitions),
			Data: fmt.Appendf(nil, "%s/%s/%d", scope, key, i),
		})
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if err := a.Queue.Send(cancelled, sent[:1]); !errors.Is(err, context.Canceled) {
		return fmt.Errorf("queue, line 4: a cancelled context ends Send with an error that wraps the context's: %v", err)
	}

	all := newReading()
	// Three sources, one after the other. The first takes and acknowledges a
	// batch, the second takes everything and acknowledges nothing, the third
	// everything that is due. The first may find all that is there in its batch:
	// more is sent before the second.
	acked := make(map[string]uint64)
	for turn, more := range [][]worker.Routed{sent[:n/2], sent[n/2:], nil} {
		for chunk := range slices.Chunk(more, 25) {
			if err := a.Queue.Send(ctx, chunk); err != nil {
				return fmt.Errorf("send: %w", err)
			}
		}
		all.add(more)
		if err := a.turn(ctx, turn, all, acked); err != nil {
			return err
		}
	}
	return nil
}

func (a *Adapter) turn(ctx context.Context, turn int, all *reading, acked map[string]uint64) error {
	source, end, err := a.Open(ctx)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer end()
	all.start(acked)
	for first := true; ; first = false {
		batch, err := source.Next(ctx)
		if err != nil {
			return fmt.Errorf("source, line 1: none is left out; %d missing: %w", all.missing(), err)
		}
		if len(batch) == 0 {
			return errors.New("source, line 1: Next returned no messages and no error")
		}
		if err := all.take(batch); err != nil {
			return err
		}
		if turn == 2 || turn == 0 && first {
			cancelled, cancel := context.WithCancel(ctx)
			cancel()
			if err := source.Ack(cancelled, batch); !errors.Is(err, context.Canceled) {
				return fmt.Errorf("source, line 6: a cancelled context ends Ack with an error that wraps the context's: %v", err)
			}
			if err := source.Ack(ctx, batch); err != nil {
				return fmt.Errorf("source, line 3: after an error, Ack may be called again: %w", err)
			}
			for _, m := range batch {
				acked[m.Partition] = max(acked[m.Partition], m.Offset+1)
			}
		}
		if all.missing() == 0 || turn == 0 && first {
			break
		}
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := source.Next(cancelled); turn == 2 && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("source, line 6: a cancelled context ends Next with an error that wraps the context's: %v", err)
	}
	return nil
}

// A reading follows what a source delivers.
type reading struct {
	sent map[string][]worker.Routed // by scope and partition of the queue, in order
	lane map[string]string          // which of these a message's data belongs to
	due  map[string]bool            // what this source must deliver
	last map[string]uint64          // offset by partition
	at   map[string]worker.Message  // by data
}

func newReading() *reading {
	return &reading{sent: make(map[string][]worker.Routed), lane: make(map[string]string), at: make(map[string]worker.Message)}
}

// add notes what has been sent.
func (r *reading) add(sent []worker.Routed) {
	for _, m := range sent {
		lane := fmt.Sprint(m.Scope, "/", m.Partition)
		r.sent[lane] = append(r.sent[lane], m)
		r.lane[string(m.Data)] = lane
	}
}

// start begins a new source: everything that was not acknowledged is due.
func (r *reading) start(acked map[string]uint64) {
	r.due, r.last = make(map[string]bool), make(map[string]uint64)
	for data := range r.lane {
		m, known := r.at[data]
		if !known || m.Offset >= acked[m.Partition] {
			r.due[data] = true
		}
	}
}

func (r *reading) missing() int { return len(r.due) }

func (r *reading) take(batch []worker.Message) error {
	for _, m := range batch {
		data := string(m.Data)
		lane, known := r.lane[data]
		if !known {
			return fmt.Errorf("source: a message that was never sent: %q", data)
		}
		if last, begun := r.last[m.Partition]; begun && m.Offset <= last {
			return fmt.Errorf("source, line 1: messages of one partition come in ascending order: %s@%d after %d", m.Partition, m.Offset, last)
		}
		r.last[m.Partition] = m.Offset
		if was, again := r.at[data]; again && (was.Partition != m.Partition || was.Offset != m.Offset) {
			return fmt.Errorf("source, line 4: a message keeps its place: %s@%d was %s@%d", m.Partition, m.Offset, was.Partition, was.Offset)
		}
		r.at[data] = m
		for _, s := range r.sent[lane] {
			if bytes.Equal(s.Data, m.Data) {
				if s.Scope != m.Scope {
					return fmt.Errorf("source: a message of scope %q came as one of %q", s.Scope, m.Scope)
				}
				break
			}
			if r.due[string(s.Data)] {
				return fmt.Errorf("queue, line 1, and source, line 1: messages come in the order sent, and none is left out: %q before %q", m.Data, s.Data)
			}
		}
		delete(r.due, data)
	}
	return nil
}
