// Package natsengine runs detection on NATS JetStream: any number of workers,
// which may die at any moment.
//
// An [Engine] keeps four streams. Events lie on a subject for each partition
// and scope, and findings on one of their own. Each partition has a consumer
// that gives its messages to one worker at a time, the pinned one; the others
// stand by, and one of them takes over when the pinned one is silent for a
// while. Records are kept by compare-and-swap, so it does no harm if two
// workers believe that they have the partition.
//
// It needs NATS 2.14 or later: atomic batches, pinned consumers, and consumers
// that can be reset.
package natsengine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/cloudtell/cloudtell/detect/worker"
)

// Config describes the streams. Nil, and the zero value of every field, mean
// the defaults. All processes must use the same.
type Config struct {
	// Name begins the names of streams and subjects. The default is "cloudtell".
	Name string
	// Partitions is the number of parts that events are divided into by their
	// keys: at most so many workers share the work. It cannot be changed once
	// the streams are there. The default is 8.
	Partitions int
	// Replicas is the number of servers that keep each stream: 1, 3 or 5. The
	// default is 1.
	Replicas int
	// Lease is how long a worker may be silent before another one takes its
	// partitions over. The default is 30 seconds.
	Lease time.Duration
	// Dedup is how long JetStream knows a message given twice by its ID. The
	// default is 10 minutes.
	Dedup time.Duration
	// Retain is how long events are kept, whether they were evaluated or not,
	// and findings and letters. The default is 7 days.
	Retain time.Duration
}

func (c *Config) withDefaults() Config {
	var d Config
	if c != nil {
		d = *c
	}
	d.Name = cmp.Or(d.Name, "cloudtell")
	d.Partitions = cmp.Or(d.Partitions, 8)
	d.Replicas = cmp.Or(d.Replicas, 1)
	d.Lease = cmp.Or(d.Lease, 30*time.Second)
	d.Dedup = cmp.Or(d.Dedup, 10*time.Minute)
	d.Retain = cmp.Or(d.Retain, 7*24*time.Hour)
	return d
}

// An Engine is the streams. It is the queue of a [worker.Router] and the sink of
// a [worker.Worker]; Source and Store are the rest of what a worker needs. Its
// methods may be called from any number of goroutines.
type Engine struct {
	js      jetstream.JetStream
	c       Config
	records jetstream.Stream
	created time.Time // of the stream of events: its sequences are counted from then
}

var (
	_ worker.Queue = (*Engine)(nil)
	_ worker.Sink  = (*Engine)(nil)
)

// headerError has the error of a letter, quoted.
const headerError = "Cloudtell-Error"

// metaPartitions is where a stream's metadata have the number of partitions.
const metaPartitions = "cloudtell-partitions"

// Open creates the streams and consumers that are not there yet. It is an error
// if they are there with another number of partitions. The context bounds the
// time it may take: what a server is asked just before it dies is never
// answered.
func Open(ctx context.Context, js jetstream.JetStream, c *Config) (*Engine, error) {
	e := &Engine{js: js, c: c.withDefaults()}
	if e.c.Partitions < 1 || e.c.Lease < 0 || e.c.Dedup < 0 || e.c.Retain < e.c.Dedup {
		return nil, errors.New("natsengine: partitions and durations must not be negative, nor may Dedup exceed Retain")
	}
	events, err := e.stream(ctx, jetstream.StreamConfig{
		Name: e.events(), Subjects: []string{e.c.Name + ".events.>"}, MaxAge: e.c.Retain, Duplicates: e.c.Dedup, AllowAtomicPublish: true,
		Metadata: map[string]string{metaPartitions: strconv.Itoa(e.c.Partitions)},
	})
	if err != nil {
		return nil, err
	}
	info := events.CachedInfo()
	if was := info.Config.Metadata[metaPartitions]; was != strconv.Itoa(e.c.Partitions) {
		return nil, fmt.Errorf("natsengine: stream %s has %s partitions, not %d", e.events(), was, e.c.Partitions)
	}
	e.created = info.Created
	for _, name := range []string{"findings", "dead"} {
		_, err := e.stream(ctx, jetstream.StreamConfig{
			Name: e.c.Name + "-" + name, Subjects: []string{e.c.Name + "." + name}, MaxAge: e.c.Retain, Duplicates: e.c.Dedup,
			AllowAtomicPublish: true,
		})
		if err != nil {
			return nil, err
		}
	}
	// A key-value bucket by convention. It must not be read from replicas that
	// lag behind, so it is not created as one.
	e.records, err = e.stream(ctx, jetstream.StreamConfig{
		Name: "KV_" + e.bucket(), Subjects: []string{"$KV." + e.bucket() + ".>"}, MaxMsgsPerSubject: 1, Discard: jetstream.DiscardNew,
		AllowRollup: true, DenyDelete: true,
	})
	if err != nil {
		return nil, err
	}
	for p := range e.c.Partitions {
		if err := e.consumer(ctx, p); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// Partitions returns the number of partitions, for a [worker.Router].
func (e *Engine) Partitions() int { return e.c.Partitions }

func (e *Engine) events() string { return e.c.Name + "-events" }
func (e *Engine) bucket() string { return e.c.Name + "-records" }

func (e *Engine) stream(ctx context.Context, c jetstream.StreamConfig) (jetstream.Stream, error) {
	c.Replicas = e.c.Replicas
	s, err := e.js.Stream(ctx, c.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		s, err = e.js.CreateStream(ctx, c)
	}
	if err != nil {
		return nil, fmt.Errorf("natsengine: stream %s: %w", c.Name, err)
	}
	return s, nil
}

// group is the priority group of all consumers.
const group = "worker"

func consumerName(partition int) string { return fmt.Sprint("partition-", partition) }

func (e *Engine) consumer(ctx context.Context, partition int) error {
	name := consumerName(partition)
	_, err := e.js.Consumer(ctx, e.events(), name)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		_, err = e.js.CreateConsumer(ctx, e.events(), jetstream.ConsumerConfig{
			Durable:        name,
			FilterSubject:  fmt.Sprintf("%s.events.%d.>", e.c.Name, partition),
			AckPolicy:      jetstream.AckAllPolicy,
			AckWait:        4 * e.c.Lease,
			MaxAckPending:  16 * fetchSize,
			PriorityPolicy: jetstream.PriorityPolicyPinned,
			PriorityGroups: []string{group},
			PinnedTTL:      e.c.Lease,
		})
	}
	if err != nil {
		return fmt.Errorf("natsengine: consumer %s: %w", name, err)
	}
	return nil
}

// message returns a message for a subject below the engine's name.
func (e *Engine) message(subject, id string, data []byte) *nats.Msg {
	m := nats.NewMsg(e.c.Name + "." + subject)
	m.Header.Set(jetstream.MsgIDHeader, id)
	m.Data = data
	return m
}

// Send implements [worker.Queue].
func (e *Engine) Send(ctx context.Context, messages []worker.Routed) error {
	all := make([]*nats.Msg, len(messages))
	for i, m := range messages {
		all[i] = e.message(fmt.Sprintf("events.%d.%s", m.Partition, m.Scope), m.ID, m.Data)
	}
	return e.store(ctx, "send", all)
}

// Publish implements [worker.Sink]. Findings lie on the subject NAME.findings.
func (e *Engine) Publish(ctx context.Context, alerts []worker.Alert) error {
	all := make([]*nats.Msg, len(alerts))
	for i, a := range alerts {
		all[i] = e.message("findings", a.ID, a.Data)
	}
	return e.store(ctx, "publish", all)
}

// Reject implements [worker.Sink] and [worker.Queue]. Letters lie on the subject
// NAME.dead.
func (e *Engine) Reject(ctx context.Context, letters []worker.Letter) error {
	all := make([]*nats.Msg, len(letters))
	for i, l := range letters {
		all[i] = e.message("dead", l.ID, l.Data)
		all[i].Header.Set(headerError, strconv.QuoteToASCII(l.Error))
	}
	return e.store(ctx, "reject", all)
}

// Of an atomic batch. The server takes at most 1,000 messages at once.
const (
	headerBatch    = "Nats-Batch-Id"
	headerSequence = "Nats-Batch-Sequence"
	headerCommit   = "Nats-Batch-Commit"
	maxBatch       = 500

	codeDuplicate = 10201 // the batch has an ID that is known
)

// timeout is how long a server may take for one request.
const timeout = 5 * time.Second

// store stores messages in the order given, in atomic batches. A batch that has
// a message stored before is refused as a whole; it goes one by one then, and
// what is known is passed over.
func (e *Engine) store(ctx context.Context, what string, messages []*nats.Msg) error {
	for len(messages) > 0 {
		batch := messages[:min(maxBatch, len(messages))]
		messages = messages[len(batch):]
		err := e.atomic(ctx, batch)
		var refused *jetstream.APIError
		if errors.As(err, &refused) && refused.ErrorCode == codeDuplicate {
			err = e.oneByOne(ctx, batch)
		}
		if err != nil {
			return fmt.Errorf("natsengine: %s: %w", what, err)
		}
	}
	return nil
}

func (e *Engine) atomic(ctx context.Context, batch []*nats.Msg) error {
	if len(batch) == 1 {
		return e.oneByOne(ctx, batch)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	id, nc := nuid.Next(), e.js.Conn()
	for i, m := range batch {
		m.Header.Set(headerBatch, id)
		m.Header.Set(headerSequence, strconv.Itoa(i+1))
		if i < len(batch)-1 {
			if err := nc.PublishMsg(m); err != nil {
				return err
			}
		}
	}
	last := batch[len(batch)-1]
	last.Header.Set(headerCommit, "1")
	reply, err := nc.RequestMsgWithContext(ctx, last)
	for _, m := range batch {
		m.Header.Del(headerBatch)
		m.Header.Del(headerSequence)
		m.Header.Del(headerCommit)
	}
	if err != nil {
		return err
	}
	var ack struct {
		Error *jetstream.APIError `json:"error"`
		Size  int                 `json:"count"`
	}
	switch err := json.Unmarshal(reply.Data, &ack); {
	case err != nil:
		return fmt.Errorf("acknowledgement: %w", err)
	case ack.Error != nil:
		return ack.Error
	case ack.Size != len(batch):
		return fmt.Errorf("a batch of %d was stored as %d", len(batch), ack.Size)
	}
	return nil
}

func (e *Engine) oneByOne(ctx context.Context, messages []*nats.Msg) error {
	for _, m := range messages {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		_, err := e.js.PublishMsg(ctx, m)
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}
