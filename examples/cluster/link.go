//go:build unix

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/kafkaengine"
	"github.com/cloudtell/cloudtell/detect/natsengine"
	"github.com/cloudtell/cloudtell/detect/worker"
	"github.com/cloudtell/cloudtell/techniques"
)

const (
	jetStream = "JetStream"
	kafka     = "Kafka"

	partitions = 4
	lease      = 2 * time.Second
)

func newSet() (*detect.Set, error) {
	detectors, err := techniques.All(nil)
	if err != nil {
		return nil, err
	}
	return detect.NewSet(detectors, nil)
}

// A link says where the servers are.
type link struct {
	Kind     string
	Brokers  []string
	Store    string // a JetStream server for the records; "" if the brokers keep them
	Replicas int
	First    []int // partitions that the worker should have; see natsengine
}

// A connection is all that routers and workers need.
type connection struct {
	queue  worker.Queue
	sink   worker.Sink
	store  baseline.Store
	source func(context.Context) (worker.Source, func(), error)
	alerts func(context.Context) ([]string, error) // the ids in the sink, as often as they are there
	closes []func()
}

func (c *connection) close() {
	for _, f := range c.closes {
		defer f()
	}
}

func (l *link) open(ctx context.Context, set *detect.Set) (c *connection, err error) {
	c = &connection{}
	defer func() {
		if err != nil {
			c.close()
			err = fmt.Errorf("open %s: %w", l.Kind, err)
		}
	}()
	if l.Store != "" {
		js, err := c.dial(l.Store)
		if err != nil {
			return c, err
		}
		records, err := natsengine.Open(ctx, js, &natsengine.Config{Name: "records", Partitions: 1})
		if err != nil {
			return c, err
		}
		c.store = records.Store()
	}
	if l.Kind == kafka {
		return c, c.kafka(ctx, l, set)
	}
	return c, c.jetStream(ctx, l)
}

func (c *connection) dial(url string) (jetstream.JetStream, error) {
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond), nats.ReconnectJitter(0, 0))
	if err != nil {
		return nil, err
	}
	c.closes = append(c.closes, nc.Close)
	return jetstream.New(nc)
}

func (c *connection) jetStream(ctx context.Context, l *link) error {
	js, err := c.dial(strings.Join(l.Brokers, ","))
	if err != nil {
		return err
	}
	e, err := natsengine.Open(ctx, js, &natsengine.Config{Partitions: partitions, Replicas: l.Replicas, Lease: lease})
	if err != nil {
		return err
	}
	c.queue, c.sink = e, e
	if c.store == nil {
		c.store = e.Store()
	}
	c.source = func(ctx context.Context) (worker.Source, func(), error) {
		s, err := e.Source(ctx, l.First...)
		if err != nil {
			return nil, nil, err
		}
		return s, s.Close, nil
	}
	c.alerts = func(ctx context.Context) ([]string, error) {
		// What a server is asked just before it dies is never answered.
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		stream, err := js.Stream(ctx, "cloudtell-findings")
		if err != nil {
			return nil, err
		}
		var ids []string
		for seq := uint64(1); seq <= stream.CachedInfo().State.LastSeq; seq++ {
			m, err := stream.GetMsg(ctx, seq)
			if err != nil {
				return nil, err
			}
			ids = append(ids, m.Header.Get(jetstream.MsgIDHeader))
		}
		return ids, nil
	}
	return nil
}

func (c *connection) kafka(ctx context.Context, l *link, set *detect.Set) error {
	options := []kgo.Opt{kgo.SeedBrokers(l.Brokers...)}
	e, err := kafkaengine.Open(ctx, set, options, &kafkaengine.Config{Partitions: partitions, Lease: lease})
	if err != nil {
		return err
	}
	c.closes = append(c.closes, e.Close)
	c.queue, c.sink = e, e
	c.source = func(context.Context) (worker.Source, func(), error) {
		s, err := e.Source()
		if err != nil {
			return nil, nil, err
		}
		return s, s.Close, nil
	}
	var ids []string
	var reader *kgo.Client
	c.alerts = func(ctx context.Context) ([]string, error) {
		if reader == nil {
			reader, err = kgo.NewClient(append(options, kgo.ConsumeTopics("cloudtell.findings"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
			if err != nil {
				return nil, err
			}
			c.closes = append(c.closes, reader.Close)
		}
		ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		defer cancel()
		for _, r := range reader.PollFetches(ctx).Records() {
			ids = append(ids, string(r.Key))
		}
		return ids, nil
	}
	return nil
}
