package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// A committer evaluates the events of requests. Requests that come while it is at
// work are evaluated together, and share one save: the busier it is, the less each
// costs.
type committer struct {
	set      *detect.Set // the engine's
	engine   *detect.Engine
	findings io.Writer
	queue    chan pending
	stop     chan struct{} // closed to end run
	stopped  chan struct{} // closed when it has ended

	unwritten []byte // findings that the writer did not take yet

	mu   sync.Mutex
	last error // of the last commit
}

// pending is a request that waits for its commit.
type pending struct {
	events []*event.Event
	done   chan<- error
}

func newCommitter(set *detect.Set, engine *detect.Engine, findings io.Writer) *committer {
	c := &committer{
		set: set, engine: engine, findings: findings,
		queue: make(chan pending), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	go c.run()
	return c
}

var errStopping = errors.New("stopping")

// commit evaluates events, writes what was found, and saves what was learnt. After
// an error it has to be called again with the same events. That a scope panics on
// an event is none: it would each time. The log has that event's record then.
func (c *committer) commit(events []*event.Event) error {
	done := make(chan error, 1)
	select {
	case c.queue <- pending{events, done}:
		return <-done
	case <-c.stop:
		return errStopping
	}
}

func (c *committer) run() {
	defer close(c.stopped)
	for {
		select {
		case p := <-c.queue:
			c.commitAll(p)
		case <-c.stop:
			return
		}
	}
}

// commitAll commits a request and all others that are waiting by now.
func (c *committer) commitAll(p pending) {
	group, events := []pending{p}, p.events
	for more := true; more; {
		select {
		case p := <-c.queue:
			group, events = append(group, p), append(events, p.events...)
		default:
			more = false
		}
	}
	err := c.step(events)
	c.mu.Lock()
	c.last = err
	c.mu.Unlock()
	for _, p := range group {
		p.done <- err
	}
}

// step does what commit says. Findings are written before what was learnt is
// saved: if the process dies in between, the events that come again find them
// again, under the same ids. (Only profiles that have to leave the engine's cache,
// of 100,000 by default, are saved sooner.)
func (c *committer) step(events []*event.Event) error {
	if err := c.write(); err != nil { // nothing more is found until there is room
		return err
	}
	ctx := context.Background() // what has been taken in is finished
	rejected := c.engine.Stats().Rejected
	found, evaluated := c.engine.Process(ctx, events)
	if evaluated != nil {
		slog.Error("evaluating", "error", evaluated)
	}
	for i := range found {
		line, err := json.Marshal(&found[i])
		if err != nil {
			return fmt.Errorf("finding %s: %w", found[i].ID, err)
		}
		c.unwritten = append(append(c.unwritten, line...), '\n')
	}
	if err := c.write(); err != nil {
		return err
	}
	if err := c.engine.Flush(ctx); err != nil {
		slog.Error("saving", "error", err)
		return errors.New("what was learnt cannot be saved")
	}
	if c.engine.Stats().Rejected == rejected {
		return nil
	}
	if !detect.OnlyPanics(evaluated) {
		return errors.New("some events could not be evaluated")
	}
	c.reject(events)
	return nil
}

// reject writes those of the events to the log that a scope panics on, each with
// its record: nobody will send them again.
func (c *committer) reject(events []*event.Event) {
	for _, scope := range c.set.Scopes() {
		for _, e := range events {
			if _, err := scope.Of(e); err != nil {
				slog.Error("rejected", "error", err, "record", e.Text)
			}
		}
	}
}

// write writes the findings that wait. It tells the log what went wrong, and the
// caller, whom senders hear, only that something did.
func (c *committer) write() error {
	if len(c.unwritten) == 0 {
		return nil
	}
	n, err := c.findings.Write(c.unwritten)
	if c.unwritten = c.unwritten[n:]; err != nil {
		slog.Error("writing findings", "error", err)
		return errors.New("findings cannot be written")
	}
	return nil
}

// trouble returns why the last commit failed, if it did and still would.
func (c *committer) trouble() error {
	c.mu.Lock()
	err := c.last
	c.mu.Unlock()
	if err == nil {
		return nil
	}
	return c.commit(nil)
}

// close finishes the commit that is under way, and tries once more what has
// failed.
func (c *committer) close() error {
	close(c.stop)
	<-c.stopped
	return errors.Join(c.write(), c.engine.Flush(context.Background()))
}
