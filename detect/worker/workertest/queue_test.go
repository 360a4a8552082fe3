package workertest_test

import (
	"context"
	"errors"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/cloudtell/cloudtell/detect/worker"
	"github.com/cloudtell/cloudtell/detect/worker/workertest"
)

// A flawed source changes what Next returns.
type flawed struct {
	worker.Source
	spoil func(calls int, messages []worker.Message) []worker.Message
	calls int
}

func (f *flawed) Next(ctx context.Context) ([]worker.Message, error) {
	messages, err := f.Source.Next(ctx)
	f.calls++
	return f.spoil(f.calls, messages), err
}

// acks is a source with another Ack.
type acks struct {
	worker.Source
	ack func(ctx context.Context, s worker.Source, batch []worker.Message) error
}

func (a acks) Ack(ctx context.Context, batch []worker.Message) error {
	return a.ack(ctx, a.Source, batch)
}

// The kit notices what breaks the contract of Ack.
func TestAckNotices(t *testing.T) {
	failed := false
	for want, ack := range map[string]func(context.Context, worker.Source, []worker.Message) error{
		"source, line 6": func(ctx context.Context, s worker.Source, batch []worker.Message) error {
			return s.Ack(context.WithoutCancel(ctx), batch)
		},
		"source, line 3": func(ctx context.Context, s worker.Source, batch []worker.Message) error {
			if failed {
				return errors.New("acknowledged already")
			}
			err := s.Ack(ctx, batch)
			failed = err != nil
			return err
		},
	} {
		m := workertest.NewMemory(2)
		err := workertest.TestQueue(t.Context(), &workertest.Adapter{
			Queue: m, Partitions: 2, Scopes: []string{"principal", "bucket"},
			Open: func(context.Context) (worker.Source, func(), error) { return acks{m.Source(7), ack}, func() {}, nil },
		})
		assert.ErrorContains(t, err, want)
	}
}

// A source may deliver all that there is at once.
func TestQueueOneBatch(t *testing.T) {
	m := workertest.NewMemory(2)
	assert.NoError(t, workertest.TestQueue(t.Context(), &workertest.Adapter{
		Queue: m, Partitions: 2, Scopes: []string{"principal", "bucket"},
		Open: func(context.Context) (worker.Source, func(), error) { return m.Source(1000), func() {}, nil },
	}))
}

// deaf is a queue that does not look at its context.
type deaf struct{ worker.Queue }

func (d deaf) Send(ctx context.Context, messages []worker.Routed) error {
	return d.Queue.Send(context.WithoutCancel(ctx), messages)
}

// The kit notices what breaks the contracts.
func TestQueueNotices(t *testing.T) {
	ever := 0
	sound := func(_ int, m []worker.Message) []worker.Message { return m }
	tests := []struct {
		name  string
		spoil func(int, []worker.Message) []worker.Message
		queue func(worker.Queue) worker.Queue
		want  string
	}{
		{"nothing", sound, nil, ""},
		{"a message is left out", func(calls int, m []worker.Message) []worker.Message {
			if calls == 2 && len(m) > 0 {
				return m[1:]
			}
			return m
		}, nil, "none is left out"},
		{"messages are swapped", func(_ int, m []worker.Message) []worker.Message {
			if len(m) > 1 {
				m[0], m[1] = m[1], m[0]
			}
			return m
		}, nil, "source, line 1: messages come in the order sent"},
		{"a wrong scope", func(_ int, m []worker.Message) []worker.Message {
			for i := range m {
				m[i].Scope = "principal"
			}
			return m
		}, nil, "scope"},
		{"no messages", func(int, []worker.Message) []worker.Message { return nil }, nil, "no messages and no error"},
		{"another partition each time", func(_ int, m []worker.Message) []worker.Message {
			ever++
			for i := range m {
				m[i].Partition += "/" + strconv.Itoa(ever)
			}
			return m
		}, nil, "keeps its place"},
		{"descending offsets", func(calls int, m []worker.Message) []worker.Message {
			for i := range m {
				m[i].Offset = 1000 - m[i].Offset
			}
			return m
		}, nil, "ascending order"},
		{"a deaf queue", sound, func(q worker.Queue) worker.Queue { return deaf{q} }, "queue, line 4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := workertest.NewMemory(2)
			a := &workertest.Adapter{
				Queue: m, Partitions: 2, Scopes: []string{"principal", "bucket"},
				Open: func(context.Context) (worker.Source, func(), error) {
					return &flawed{Source: m.Source(7), spoil: tt.spoil}, func() {}, nil
				},
			}
			if tt.queue != nil {
				a.Queue = tt.queue(m)
			}
			err := workertest.TestQueue(t.Context(), a)
			if tt.want == "" {
				assert.NoError(t, err)
			} else {
				assert.ErrorContains(t, err, tt.want)
			}
		})
	}
}
