package natsengine

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/detect/worker"
)

// A receipt is a message that counts its acknowledgements, as the client does: it
// takes no second one.
type receipt struct {
	jetstream.Msg
	fail  error // of the next acknowledgement
	acked int
}

func (r *receipt) DoubleAck(context.Context) error {
	if err := r.fail; err != nil {
		r.fail = nil
		return err
	}
	if r.acked++; r.acked > 1 {
		return jetstream.ErrMsgAlreadyAckd
	}
	return nil
}

func newChunk(p *part, generation int64, last jetstream.Msg, offsets ...uint64) chunk {
	c := chunk{part: p, generation: generation, fetched: time.Now(), last: last}
	for _, o := range offsets {
		c.messages = append(c.messages, worker.Message{Partition: consumerName(p.number), Offset: o})
	}
	return c
}

// newSource returns a source of chunks at hand.
func newSource(chunks ...chunk) *Source {
	s := &Source{e: &Engine{c: Config{Lease: time.Minute}}, ready: make(chan chunk, len(chunks))}
	for _, c := range chunks {
		s.ready <- c
	}
	return s
}

func offsets(t *testing.T, s *Source) (offsets []uint64) {
	t.Helper()
	messages, err := s.Next(t.Context())
	require.NoError(t, err)
	for _, m := range messages {
		offsets = append(offsets, m.Offset)
	}
	return offsets
}

// An acknowledgement that failed in the middle is taken up there.
func TestAckAgain(t *testing.T) {
	lost := errors.New("connection lost")
	first, second := &receipt{}, &receipt{fail: lost}
	s := newSource(newChunk(&part{number: 0}, 0, first, 1, 2), newChunk(&part{number: 1}, 0, second, 7))
	assert.Equal(t, []uint64{1, 2, 7}, offsets(t, s))
	require.ErrorIs(t, s.Ack(t.Context(), nil), lost)
	require.NoError(t, s.Ack(t.Context(), nil))
	assert.Equal(t, []int{1, 1}, []int{first.acked, second.acked})
}

// What goes back in a partition, after a reset or because it waited for too long,
// begins another batch.
func TestBatchesAscend(t *testing.T) {
	a, b := &part{number: 0}, &part{number: 1}
	s := newSource(newChunk(a, 0, &receipt{}, 1, 2), newChunk(b, 0, &receipt{}, 1), newChunk(a, 0, &receipt{}, 3),
		newChunk(a, 1, &receipt{}, 3, 4), newChunk(a, 1, &receipt{}, 5), newChunk(a, 1, &receipt{}, 1))
	assert.Equal(t, []uint64{1, 2, 1, 3}, offsets(t, s))
	assert.Equal(t, []uint64{3, 4, 5}, offsets(t, s))
	assert.Equal(t, []uint64{1}, offsets(t, s))
}

// What is wrong with a partition is told, also when others have messages.
func TestErrorsAreTold(t *testing.T) {
	gone := errors.New("consumer deleted")
	s := newSource(newChunk(&part{}, 0, &receipt{}, 1), chunk{err: gone}, newChunk(&part{}, 0, &receipt{}, 2))
	assert.Equal(t, []uint64{1}, offsets(t, s))
	_, err := s.Next(t.Context())
	require.ErrorIs(t, err, gone)
	assert.Equal(t, []uint64{2}, offsets(t, s))
}

// A cancelled context ends Ack even where nothing is left to acknowledge, because
// the partition may be another worker's.
func TestAckCancelled(t *testing.T) {
	s := newSource(newChunk(&part{}, 7, &receipt{}, 1))
	offsets(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.Ack(ctx, nil), context.Canceled)
	require.NoError(t, s.Ack(t.Context(), nil))
}
