package workertest

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/cloudtell/cloudtell/detect/worker"
)

// Memory is a queue and a sink in memory: what is sent to it comes out of its
// sources. The zero value is not ready for use; see [NewMemory]. Its methods
// may be called from any number of goroutines.
type Memory struct {
	mu         sync.Mutex
	partitions [][]worker.Message
	acked      []uint64 // by partition: the offset of the first message not acknowledged
	alerts     []worker.Alert
	letters    []worker.Letter
}

// NewMemory returns an empty queue of some partitions.
func NewMemory(partitions int) *Memory {
	return &Memory{partitions: make([][]worker.Message, partitions), acked: make([]uint64, partitions)}
}

// Send implements [worker.Queue].
func (m *Memory) Send(ctx context.Context, messages []worker.Routed) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("workertest: send: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range messages {
		p := &m.partitions[r.Partition]
		*p = append(*p, worker.Message{
			Scope: r.Scope, Partition: fmt.Sprint("memory/", r.Partition), Offset: uint64(len(*p)), Data: slices.Clone(r.Data),
		})
	}
	return nil
}

// Publish implements [worker.Sink].
func (m *Memory) Publish(ctx context.Context, alerts []worker.Alert) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("workertest: publish: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.alerts = append(m.alerts, alerts...)
	return nil
}

// Reject implements [worker.Sink] and [worker.Queue].
func (m *Memory) Reject(ctx context.Context, letters []worker.Letter) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("workertest: reject: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.letters = append(m.letters, letters...)
	return nil
}

// Alerts returns everything published, as often as it was.
func (m *Memory) Alerts() []worker.Alert {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.alerts)
}

// Letters returns everything rejected, as often as it was.
func (m *Memory) Letters() []worker.Letter {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.letters)
}

// Source returns a source of all partitions that begins, as one in a new
// process would, with the first messages not acknowledged. It gives at most
// some messages at a time, and io.EOF when there are no more.
func (m *Memory) Source(batch int) worker.Source {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &source{queue: m, batch: batch, next: slices.Clone(m.acked)}
}

type source struct {
	queue *Memory
	batch int
	next  []uint64 // by partition
	turn  int      // the partition to begin with
}

// Next takes from one partition after the other.
func (s *source) Next(ctx context.Context) ([]worker.Message, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("workertest: next: %w", err)
	}
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	var messages []worker.Message
	n := len(s.queue.partitions)
	for i := range n {
		p := (s.turn + i) % n
		left := s.queue.partitions[p][s.next[p]:]
		left = left[:min(len(left), s.batch-len(messages))]
		messages = append(messages, left...)
		s.next[p] += uint64(len(left))
	}
	s.turn++
	if len(messages) == 0 {
		return nil, io.EOF
	}
	return messages, nil
}

// Ack implements [worker.Source].
func (s *source) Ack(ctx context.Context, batch []worker.Message) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("workertest: ack: %w", err)
	}
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	for _, m := range batch {
		for p, messages := range s.queue.partitions {
			if len(messages) > 0 && messages[0].Partition == m.Partition {
				s.queue.acked[p] = max(s.queue.acked[p], m.Offset+1)
			}
		}
	}
	return nil
}
