//go:build unix

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect/worker"
)

// childEnv tells a process what it is, as JSON.
const childEnv = "CLOUDTELL_CLUSTER_CHILD"

// A role is what a child does.
type role struct {
	Nats   *natsRole   `json:",omitempty"`
	Kafka  *kafkaRole  `json:",omitempty"`
	Worker *workerRole `json:",omitempty"`
}

// child does what the text says and reports true; false if it says nothing. A
// child ends when its standard input does, so that none is left behind.
func child(text string) bool {
	if text == "" {
		return false
	}
	var r role
	err := json.Unmarshal([]byte(text), &r)
	input := make(chan string)
	go func() {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			input <- lines.Text()
		}
		os.Exit(0)
	}()
	switch {
	case err != nil:
	case r.Nats != nil:
		err = r.Nats.serve()
	case r.Kafka != nil:
		err = r.Kafka.serve()
	case r.Worker != nil:
		err = r.Worker.work(input)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

// A natsRole is a JetStream server.
type natsRole struct {
	Name   string
	Port   int
	Dir    string
	Routes []int // ports of all servers of the cluster; none if it is alone
	Route  int   // its own
}

func (n *natsRole) serve() error {
	o := &server.Options{
		ServerName: n.Name, Host: "127.0.0.1", Port: n.Port, JetStream: true, StoreDir: n.Dir, NoLog: true, NoSigs: true,
	}
	if len(n.Routes) > 0 {
		var routes []string
		for _, port := range n.Routes {
			routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", port))
		}
		o.Cluster = server.ClusterOpts{Name: "cluster", Host: "127.0.0.1", Port: n.Route}
		o.Routes = server.RoutesFromStr(strings.Join(routes, ","))
	}
	s, err := server.NewServer(o)
	if err != nil {
		return err
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		return errors.New("does not listen: a port may have been taken meanwhile")
	}
	fmt.Println("up")
	s.WaitForShutdown()
	return nil
}

// A kafkaRole is a broker that speaks Kafka's protocol and keeps its data in
// files.
type kafkaRole struct {
	Port int
	Dir  string
}

func (k *kafkaRole) serve() error {
	_, err := kfake.NewCluster(kfake.Ports(k.Port), kfake.NumBrokers(1), kfake.DataDir(k.Dir), kfake.SyncWrites(),
		kfake.GroupMinSessionTimeout(time.Second))
	if err != nil {
		return err
	}
	fmt.Println("up")
	select {}
}

// A workerRole is a worker that stops at a step, if there is one, says so, and
// goes on when a line comes in.
type workerRole struct {
	Link link
	At   string
	N    int
}

func (w *workerRole) work(input <-chan string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	set, err := newSet()
	if err != nil {
		return err
	}
	c, err := w.Link.open(ctx, set)
	if err != nil {
		return err
	}
	defer c.close()
	source, leave, err := c.source(ctx)
	if err != nil {
		return err
	}
	tap := &tap{source: source, store: c.store, sink: c.sink}
	var visits atomic.Int64
	tap.at = func(step string) {
		if step == w.At && visits.Add(1) == int64(w.N) {
			fmt.Println("at")
			<-input
		}
	}
	wk, err := worker.New(set, tap, tap, tap, &worker.Options{Retry: patient})
	if err != nil {
		return err
	}
	err = wk.Run(ctx)
	leave()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// patient reports what failed, the first time, and waits, for a minute or so.
func patient(ctx context.Context, attempt int, err error) error {
	if attempt == 1 {
		fmt.Fprintln(os.Stderr, "trying again:", err)
	}
	if attempt > 60 {
		return err
	}
	select {
	case <-time.After(min(time.Duration(attempt)*50*time.Millisecond, time.Second)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A tap sits between a worker and all that it works with, and is told of each
// step.
type tap struct {
	source worker.Source
	store  baseline.Store
	sink   worker.Sink
	at     func(step string)
}

func (t *tap) around(call string, f func() error) error {
	t.at("before " + call)
	err := f()
	t.at("after " + call)
	return err
}

func (t *tap) Next(ctx context.Context) ([]worker.Message, error) { return t.source.Next(ctx) }

func (t *tap) Ack(ctx context.Context, m []worker.Message) error {
	return t.around("acknowledge", func() error { return t.source.Ack(ctx, m) })
}

func (t *tap) Load(ctx context.Context, keys []string) ([]baseline.Record, error) {
	return t.store.Load(ctx, keys)
}

func (t *tap) Save(ctx context.Context, r []baseline.Record) error {
	return t.around("save", func() error { return t.store.Save(ctx, r) })
}

func (t *tap) Publish(ctx context.Context, a []worker.Alert) error {
	return t.around("publish", func() error { return t.sink.Publish(ctx, a) })
}

func (t *tap) Reject(ctx context.Context, l []worker.Letter) error {
	return t.around("reject", func() error { return t.sink.Reject(ctx, l) })
}

// freePort returns a port that nobody listens on now.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(port)
}
