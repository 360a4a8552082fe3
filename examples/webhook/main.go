// Command webhook is an HTTP endpoint that takes logs as they are pushed: by
// Firehose, by EventBridge's API destinations, by a collector of one's own. It
// takes every shape that event.Read knows, and writes findings as lines of JSON to
// standard output. It does not confirm a subscription of SNS, which cannot show the
// token either.
//
//	go run ./examples/webhook -state state
//	curl --data-binary @trail.json.gz http://127.0.0.1:8080/
//
// An answer of 200 is a receipt: the findings are written, and what was learnt is
// saved. Whoever got another answer, or none, sends again; what was learnt already
// then counts as duplicate. So the endpoint may be killed at any time. An event that
// a scope of one's own panics on would do so each time: the log has it then, with
// its record, and the sender gets his receipt.
//
// Senders show the token in CLOUDTELL_TOKEN as a bearer token or as Firehose's
// access key. Without one, the endpoint serves this machine only, under its own
// names (localhost, 127.0.0.0/8, [::1]), so that no page in a browser here can
// reach it under a name that it had pointed here: who can send it logs can teach
// it what is normal.
package main

import (
	"context"
	"errors"
	"expvar"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/examples/customstore"
	"github.com/cloudtell/cloudtell/techniques"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "`address` to listen on")
	state := flag.String("state", "", "`folder` to keep what is learnt in (default: it is forgotten)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, *state, os.Getenv("CLOUDTELL_TOKEN")); err != nil {
		slog.Error("webhook", "error", err)
		os.Exit(1)
	}
}

// run serves until the context ends, answers whoever is waiting, and saves what
// was learnt.
func run(ctx context.Context, addr, state, token string) error {
	set, engine, err := newEngine(state)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	if ip := listener.Addr().(*net.TCPAddr).IP; token == "" && !ip.IsLoopback() {
		listener.Close()
		return fmt.Errorf("set CLOUDTELL_TOKEN to serve %v, or listen on 127.0.0.1", ip)
	}
	s := newServer(set, engine, os.Stdout, &limits{token: token})
	expvar.Publish("cloudtell", expvar.Func(func() any { return engine.Stats() }))
	expvar.Publish("webhook", &s.vars)
	slog.Info("listening", "address", listener.Addr().String())
	return s.serve(ctx, listener)
}

func newEngine(state string) (*detect.Set, *detect.Engine, error) {
	detectors, err := techniques.All(nil)
	if err != nil {
		return nil, nil, err
	}
	set, err := detect.NewSet(detectors, nil)
	if err != nil {
		return nil, nil, err
	}
	var store baseline.Store
	if state != "" {
		if store, err = customstore.Open(state); err != nil {
			return nil, nil, err
		}
	}
	engine, err := detect.NewEngine(set, store, nil)
	return set, engine, err
}

// serve serves until the context ends. Then it takes no more connections, but
// answers whoever it has taken something from, for half a minute at most.
func (s *server) serve(ctx context.Context, listener net.Listener) error {
	web := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute, // a slow sender must not keep its place for ever
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	failed := make(chan error, 1)
	go func() { failed <- web.Serve(listener) }()
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
		s.stopping.Store(true)
		patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		if err = web.Shutdown(patience); err != nil {
			err = errors.Join(err, web.Close())
		}
	}
	return errors.Join(err, s.close())
}
