// Package kafkaengine runs detection on Kafka, or what speaks its protocol: any
// number of workers in a consumer group, which may die at any moment.
//
// An [Engine] has a topic of events for each scope, partitioned by key, and one
// each for findings and for what could not be read. Kafka gives each partition
// to one worker of the group. Where the records are kept is the caller's
// choice: any [baseline.Store] that all workers can reach, which refuses a
// worker that has not noticed that its partition has gone to another.
package kafkaengine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/worker"
)

// Config describes topics and group. Nil, and the zero value of every field,
// mean the defaults. All processes must use the same.
type Config struct {
	// Name begins the names of the topics, and is that of the group. The default
	// is "cloudtell".
	Name string
	// Partitions is the number of partitions of a topic: at most so many
	// workers share the work of a scope. It cannot be changed once the topics
	// are there. The default is 8.
	Partitions int
	// Replicas is the number of brokers that keep each topic that is created.
	// The default is the cluster's.
	Replicas int
	// Lease is how long a worker may be silent before its partitions are given
	// to others: the group's session timeout. The default is 30 seconds.
	Lease time.Duration
}

// An Engine is the topics. It is the queue of a [worker.Router] and the sink of
// a [worker.Worker]. Its methods may be called from any number of goroutines.
type Engine struct {
	c       Config
	options []kgo.Opt
	client  *kgo.Client // produces
	topics  []string    // of events
}

var (
	_ worker.Queue = (*Engine)(nil)
	_ worker.Sink  = (*Engine)(nil)
)

// Open connects and creates the topics that are not there yet, one of events
// for each scope of the set. It is an error if one is there with another number
// of partitions. The options say where the brokers are and how to be let in;
// they should not be about consuming or producing.
func Open(ctx context.Context, set *detect.Set, options []kgo.Opt, c *Config) (*Engine, error) {
	e := &Engine{options: options}
	if c != nil {
		e.c = *c
	}
	e.c.Name = cmp.Or(e.c.Name, "cloudtell")
	e.c.Partitions = cmp.Or(e.c.Partitions, 8)
	e.c.Replicas = cmp.Or(e.c.Replicas, -1)
	e.c.Lease = cmp.Or(e.c.Lease, 30*time.Second)
	if set == nil || e.c.Partitions < 1 || e.c.Lease < 0 {
		return nil, errors.New("kafkaengine: an engine needs a set, and partitions and durations that are not negative")
	}
	for _, scope := range set.Scopes() {
		e.topics = append(e.topics, e.c.Name+".events."+scope.Name)
	}
	client, err := kgo.NewClient(e.with(
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordDeliveryTimeout(timeout),
		kgo.ProducerLinger(0),
	)...)
	if err != nil {
		return nil, fmt.Errorf("kafkaengine: %w", err)
	}
	e.client = client
	if err := e.create(ctx); err != nil {
		client.Close()
		return nil, fmt.Errorf("kafkaengine: %w", err)
	}
	return e, nil
}

// timeout is how long brokers may take to store something.
const timeout = 10 * time.Second

func (e *Engine) with(more ...kgo.Opt) []kgo.Opt {
	return append(append([]kgo.Opt(nil), e.options...), more...)
}

// Close ends the engine, not its sources.
func (e *Engine) Close() { e.client.Close() }

// Partitions returns the number of partitions, for a [worker.Router].
func (e *Engine) Partitions() int { return e.c.Partitions }

func (e *Engine) findings() string { return e.c.Name + ".findings" }
func (e *Engine) dead() string     { return e.c.Name + ".dead" }

// create makes the topics that are missing and checks the others.
func (e *Engine) create(ctx context.Context) error {
	request := kmsg.NewPtrCreateTopicsRequest()
	request.TimeoutMillis = int32(timeout.Milliseconds())
	add := func(name string, partitions int, config map[string]string) {
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, int32(partitions), int16(e.c.Replicas)
		for k, v := range config {
			entry := kmsg.NewCreateTopicsRequestTopicConfig()
			entry.Name, entry.Value = k, kmsg.StringPtr(v)
			topic.Configs = append(topic.Configs, entry)
		}
		request.Topics = append(request.Topics, topic)
	}
	for _, name := range e.topics {
		add(name, e.c.Partitions, nil)
	}
	// Of findings and letters given twice Kafka keeps the last.
	add(e.findings(), 1, map[string]string{"cleanup.policy": "compact,delete"})
	add(e.dead(), 1, map[string]string{"cleanup.policy": "compact,delete"})
	created, err := request.RequestWith(ctx, e.client)
	if err != nil {
		return err
	}
	for _, topic := range created.Topics {
		if err := kerr.ErrorForCode(topic.ErrorCode); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return fmt.Errorf("create topic %s: %w", topic.Topic, err)
		}
	}
	metadata := kmsg.NewPtrMetadataRequest()
	for _, name := range e.topics {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr(name)
		metadata.Topics = append(metadata.Topics, topic)
	}
	found, err := metadata.RequestWith(ctx, e.client)
	if err != nil {
		return err
	}
	for _, topic := range found.Topics {
		if n := len(topic.Partitions); n != e.c.Partitions && kerr.ErrorForCode(topic.ErrorCode) == nil {
			return fmt.Errorf("topic %s has %d partitions, not %d", *topic.Topic, n, e.c.Partitions)
		}
	}
	return nil
}

// Send implements [worker.Queue].
func (e *Engine) Send(ctx context.Context, messages []worker.Routed) error {
	all := make([]*kgo.Record, len(messages))
	for i, m := range messages {
		all[i] = &kgo.Record{
			Topic: e.c.Name + ".events." + m.Scope, Partition: int32(m.Partition), Value: m.Data,
			Headers: []kgo.RecordHeader{{Key: "id", Value: []byte(m.ID)}},
		}
	}
	return e.produce(ctx, "send", all)
}

// Publish implements [worker.Sink]. Findings are in the topic NAME.findings,
// whose keys are their IDs. A reader should pass over keys that it has met.
func (e *Engine) Publish(ctx context.Context, alerts []worker.Alert) error {
	all := make([]*kgo.Record, len(alerts))
	for i, a := range alerts {
		all[i] = &kgo.Record{Topic: e.findings(), Key: []byte(a.ID), Value: a.Data}
	}
	return e.produce(ctx, "publish", all)
}

// Reject implements [worker.Sink] and [worker.Queue]. Letters are in the topic
// NAME.dead, the error in a header.
func (e *Engine) Reject(ctx context.Context, letters []worker.Letter) error {
	all := make([]*kgo.Record, len(letters))
	for i, l := range letters {
		all[i] = &kgo.Record{
			Topic: e.dead(), Key: []byte(l.ID), Value: append([]byte{}, l.Data...), // a nil value would mean that it is deleted
			Headers: []kgo.RecordHeader{{Key: "error", Value: []byte(l.Error)}},
		}
	}
	return e.produce(ctx, "reject", all)
}

// produce stores records, in the order given within each partition. When one
// fails, the client fails those behind it in its partition.
func (e *Engine) produce(ctx context.Context, what string, records []*kgo.Record) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("kafkaengine: %s: %w", what, err)
	}
	if err := e.client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return fmt.Errorf("kafkaengine: %s: %w", what, err)
	}
	return nil
}

// A Source is a [worker.Source]: a member of the group. One goroutine uses it.
type Source struct {
	e      *Engine
	client *kgo.Client
	last   []*kgo.Record // of each partition in the batch
	failed error         // of other partitions, for the next call of Next
}

// maxBatchRecords bounds what Next returns.
const maxBatchRecords = 1024

// Source returns a source, which joins the group.
func (e *Engine) Source() (*Source, error) {
	client, err := kgo.NewClient(e.with(
		kgo.ConsumerGroup(e.c.Name),
		kgo.ConsumeTopics(e.topics...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
		// A partition is not given away while a batch of it is under way, unless
		// that takes longer than the lease.
		kgo.BlockRebalanceOnPoll(),
		kgo.SessionTimeout(e.c.Lease),
		kgo.HeartbeatInterval(min(3*time.Second, e.c.Lease/3)),
		kgo.RebalanceTimeout(max(e.c.Lease, 10*time.Second)),
	)...)
	if err != nil {
		return nil, fmt.Errorf("kafkaengine: %w", err)
	}
	return &Source{e: e, client: client}, nil
}

// Close leaves the group.
func (s *Source) Close() { s.client.CloseAllowingRebalance() }

// Next implements [worker.Source].
func (s *Source) Next(ctx context.Context) ([]worker.Message, error) {
	s.last = nil
	s.client.AllowRebalance()
	for {
		if err := ctx.Err(); err != nil {
			s.failed = nil // it is this
			return nil, fmt.Errorf("kafkaengine: next: %w", err)
		}
		if err := s.failed; err != nil {
			s.failed = nil
			return nil, fmt.Errorf("kafkaengine: next: %w", err)
		}
		messages := s.take(s.client.PollRecords(ctx, maxBatchRecords))
		if messages != nil {
			return messages, nil
		}
		s.client.AllowRebalance()
	}
}

// take makes messages of what was fetched. If there are some, an error is kept: one
// partition that cannot be read does not hold back the others, and others that are
// always busy do not hide it.
func (s *Source) take(fetches kgo.Fetches) (messages []worker.Message) {
	fetches.EachTopic(func(t kgo.FetchTopic) {
		// The id is another when a topic is deleted and created anew.
		partition := fmt.Sprintf("%s@%x/", t.Topic, t.TopicID)
		scope := strings.TrimPrefix(t.Topic, s.e.c.Name+".events.")
		t.EachPartition(func(p kgo.FetchPartition) {
			name := fmt.Sprint(partition, p.Partition)
			for _, r := range p.Records {
				messages = append(messages, worker.Message{Scope: scope, Partition: name, Offset: uint64(r.Offset), Data: r.Value})
			}
			if n := len(p.Records); n > 0 {
				s.last = append(s.last, p.Records[n-1])
			}
		})
	})
	s.failed = fetches.Err()
	return messages
}

// Ack implements [worker.Source].
func (s *Source) Ack(ctx context.Context, _ []worker.Message) error {
	err := s.client.CommitRecords(ctx, s.last...)
	for _, gone := range []error{kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.RebalanceInProgress, kerr.FencedInstanceID, kerr.FencedMemberEpoch, kerr.StaleMemberEpoch} {
		if errors.Is(err, gone) { // the group has gone on without this member
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("kafkaengine: commit: %w", err)
	}
	return nil
}
