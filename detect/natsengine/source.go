package natsengine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/cloudtell/cloudtell/detect/worker"
)

// fetchSize is the number of messages asked for at once, for each partition.
const fetchSize = 256

// maxBatchMessages bounds what Next returns.
const maxBatchMessages = 1024

// A Source is a [worker.Source]: it applies for every partition, and delivers
// the messages of those for which it is pinned. One goroutine uses it.
type Source struct {
	e       *Engine
	ready   chan chunk
	held    *chunk  // for the next call of Next
	out     []chunk // what Next returned last, as far as it is not acknowledged
	cancel  context.CancelFunc
	readers sync.WaitGroup
}

// A chunk is some messages of one partition, or what went wrong with it.
type chunk struct {
	part       *part
	generation int64
	fetched    time.Time
	messages   []worker.Message
	last       jetstream.Msg
	err        error
}

// A part is one partition of a source. JetStream numbers a consumer's
// deliveries, beginning with 1 when the consumer is reset to the first message
// that was not acknowledged. A message is taken only if it has the number
// expected, so whatever was delivered to somebody else, or lost on the way, or
// came out of order, is noticed, and the consumer is reset.
type part struct {
	number     int
	consumer   jetstream.Consumer
	expected   uint64       // the number of the next delivery
	generation atomic.Int64 // counts resets: numbers of before mean nothing
}

// Source returns a source that reads until it is closed. It applies at once for
// the partitions named first, and a lease later for the others, so that workers
// that start together share the work as their operator wants; with none named,
// it applies for all at once. Whoever has a partition keeps it while alive.
// The context bounds the time that setting up may take.
func (e *Engine) Source(ctx context.Context, first ...int) (*Source, error) {
	s := &Source{e: e, ready: make(chan chunk)}
	var parts []*part
	for p := range e.c.Partitions {
		consumer, err := e.js.Consumer(ctx, e.events(), consumerName(p))
		if err != nil {
			return nil, fmt.Errorf("natsengine: consumer of partition %d: %w", p, err)
		}
		parts = append(parts, &part{number: p, consumer: consumer, expected: 1})
	}
	running, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	for _, p := range parts {
		s.readers.Go(func() {
			if len(first) > 0 && !slices.Contains(first, p.number) {
				sleep(running, e.c.Lease)
			}
			s.read(running, p)
		})
	}
	return s, nil
}

// Close ends the source. Its partitions go to others when the lease is over.
func (s *Source) Close() {
	s.cancel()
	s.readers.Wait()
}

// Next implements [worker.Source].
func (s *Source) Next(ctx context.Context) ([]worker.Message, error) {
	s.out = nil
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("natsengine: next: %w", err)
	}
	if s.held == nil {
		select {
		case c := <-s.ready:
			s.held = &c
		case <-ctx.Done():
			return nil, fmt.Errorf("natsengine: next: %w", ctx.Err())
		}
	}
	var messages []worker.Message
	for s.held != nil && s.goesOn(s.held) && len(messages) < maxBatchMessages {
		c := *s.held
		s.held = nil
		if c.err != nil {
			return nil, c.err
		}
		s.out = append(s.out, c)
		messages = append(messages, c.messages...)
		select {
		case c := <-s.ready:
			s.held = &c
		default:
		}
	}
	return messages, nil
}

// goesOn reports whether a chunk may follow those in out: not if it is an error,
// nor if it goes back in its partition.
func (s *Source) goesOn(c *chunk) bool {
	if c.err != nil {
		return len(s.out) == 0
	}
	return !slices.ContainsFunc(s.out, func(o chunk) bool { return o.part == c.part && o.passed(c.messages[0].Offset) })
}

// passed reports whether the chunk has a message of this offset or a later one.
func (c *chunk) passed(offset uint64) bool {
	n := len(c.messages)
	return n > 0 && c.messages[n-1].Offset >= offset
}

// Ack implements [worker.Source]. It passes over partitions that may have been
// given to another worker since, which then has the messages delivered again.
func (s *Source) Ack(ctx context.Context, _ []worker.Message) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("natsengine: ack: %w", err)
	}
	for ; len(s.out) > 0; s.out = s.out[1:] {
		c := s.out[0]
		if c.generation != c.part.generation.Load() || time.Since(c.fetched) > s.e.c.Lease {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, timeout)
		err := c.last.DoubleAck(ctx)
		cancel()
		if err != nil {
			return fmt.Errorf("natsengine: ack: %w", err)
		}
	}
	return nil
}

// read fetches a partition's messages and hands them on.
func (s *Source) read(ctx context.Context, p *part) {
	var err error
	for ctx.Err() == nil {
		if !errors.Is(err, errAnew) { // or what is there is for others
			err = s.fetch(ctx, p)
		}
		if err == nil || ctx.Err() != nil {
			continue
		}
		select {
		case s.ready <- chunk{err: fmt.Errorf("natsengine: partition %d: %w", p.number, err)}:
		case <-ctx.Done():
		}
	}
}

// fetch makes one request and hands on what comes.
func (s *Source) fetch(ctx context.Context, p *part) error {
	wait := min(s.e.c.Lease/3, 5*time.Second)
	batch, err := p.consumer.Fetch(fetchSize, jetstream.FetchPriorityGroup(group), jetstream.FetchMaxWait(wait))
	if err != nil {
		return pause(ctx, err)
	}
	c := chunk{part: p}
	var idle <-chan time.Time
	for {
		var m jetstream.Msg
		more := true
		select {
		case m, more = <-batch.Messages():
		case <-idle:
			idle = nil
			if !s.hand(ctx, &c) {
				return nil
			}
			continue
		case <-ctx.Done():
			return nil
		}
		if !more {
			break
		}
		if p.expected == 1 {
			if err := s.e.current(ctx); err != nil {
				drain(ctx, batch)
				return pause(ctx, err)
			}
		}
		if !s.e.take(p, &c, m) {
			// What was taken is good; what follows is not.
			if !s.hand(ctx, &c) {
				return nil
			}
			drain(ctx, batch)
			return s.reset(ctx, p)
		}
		if idle == nil {
			idle = time.After(2 * time.Millisecond)
		}
	}
	if !s.hand(ctx, &c) {
		return nil
	}
	if err := batch.Error(); err != nil && !passing(err) {
		return pause(ctx, err)
	}
	return nil
}

// drain takes what a fetch still brings.
func drain(ctx context.Context, batch jetstream.MessageBatch) {
	for {
		select {
		case _, more := <-batch.Messages():
			if !more {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// passing reports whether an error of a fetch says only that the next one may
// do better.
func passing(err error) bool {
	return errors.Is(err, jetstream.ErrPinIDMismatch) || errors.Is(err, jetstream.ErrNoMessages) || errors.Is(err, nats.ErrTimeout) ||
		errors.Is(err, jetstream.ErrConsumerLeadershipChanged)
}

// pause waits a little after an error, so that what lasts is not met at full
// speed.
func pause(ctx context.Context, err error) error {
	sleep(ctx, 100*time.Millisecond)
	return err
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// hand gives the chunk to Next and begins another. It reports false if the
// source was closed.
func (s *Source) hand(ctx context.Context, c *chunk) bool {
	if len(c.messages) == 0 {
		return true
	}
	select {
	case s.ready <- *c:
		*c = chunk{part: c.part}
		return true
	case <-ctx.Done():
		return false
	}
}

var errAnew = errors.New("was deleted and created anew")

// current checks that the stream of events is still the one that was opened. If
// it was deleted and created anew, offsets begin again, and so do the numbers of
// deliveries: before the first of them is taken is when to look.
func (e *Engine) current(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	stream, err := e.js.Stream(ctx, e.events())
	if err != nil {
		return err
	}
	if !stream.CachedInfo().Created.Equal(e.created) {
		return fmt.Errorf("stream %s %w; open the engine again", e.events(), errAnew)
	}
	return nil
}

// take adds a message to the chunk. It reports false if it is not the expected
// one, or goes back to one that the chunk has passed, as a message does that has
// waited for too long to be acknowledged.
func (e *Engine) take(p *part, c *chunk, m jetstream.Msg) bool {
	meta, err := m.Metadata()
	if err != nil || meta.Sequence.Consumer != p.expected || c.passed(meta.Sequence.Stream) {
		return false
	}
	p.expected++
	if c.messages == nil {
		c.generation, c.fetched = p.generation.Load(), time.Now()
	}
	scope := strings.TrimPrefix(m.Subject(), fmt.Sprintf("%s.events.%d.", e.c.Name, p.number))
	c.messages = append(c.messages, worker.Message{
		Scope:     scope,
		Partition: fmt.Sprintf("%s@%d/%d", e.events(), e.created.UnixNano(), p.number),
		Offset:    meta.Sequence.Stream,
		Data:      m.Data(),
	})
	c.last = m
	return true
}

// reset has the server begin again with the first message that was not
// acknowledged.
func (s *Source) reset(ctx context.Context, p *part) error {
	p.generation.Add(1)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if _, err := s.e.js.ResetConsumer(ctx, s.e.events(), consumerName(p.number)); err != nil {
		p.expected = 0 // no delivery has this number: it will be reset again
		return fmt.Errorf("reset: %w", err)
	}
	p.expected = 1
	return nil
}
