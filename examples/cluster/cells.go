//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/worker"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/examples/account"
)

// A cell is one thing that goes wrong at one moment: act is done when a worker
// comes to a step for the n-th time. That worker is then the first of the run's.
type cell struct {
	name    string
	short   bool
	kind    string
	servers int  // JetStream servers that are brokers
	apart   bool // records are on a server of their own, behind a proxy
	at      string
	n       int
	act     func(context.Context, *run) error
}

var cells = matrixCells()

func matrixCells() []cell {
	cs := []cell{{name: "JetStream, nothing happens", kind: jetStream, servers: 1, act: nothing, at: "before save", n: 1}}
	for _, kind := range []string{jetStream, kafka} {
		for _, at := range []string{"before save", "after save", "before publish", "after publish", "before acknowledge", "after acknowledge"} {
			n := 2
			if strings.HasSuffix(at, "publish") {
				n = 1 // most batches have nothing to tell
			}
			cs = append(cs, cell{
				name: kind + ", worker killed " + at, short: at == "after save" && kind == jetStream,
				kind: kind, servers: 1, apart: kind == kafka, at: at, n: n, act: killWorker,
			})
		}
		cs = append(cs,
			cell{name: kind + ", worker paused beyond its lease", short: kind == jetStream, kind: kind, servers: 1, apart: kind == kafka, at: "before save", n: 2, act: pauseWorker},
			cell{name: kind + ", broker killed", kind: kind, servers: 1, apart: kind == kafka, at: "before publish", n: 1, act: killBroker},
			cell{name: kind + ", store killed", kind: kind, servers: 1, apart: true, at: "before save", n: 2, act: killStore},
			cell{name: kind + ", network to the store cut", short: kind == jetStream, kind: kind, servers: 1, apart: true, at: "before save", n: 2, act: cutStore},
			cell{name: kind + ", workers come and go", short: kind == kafka, kind: kind, servers: 1, apart: kind == kafka, at: "before save", n: 2, act: comeAndGo},
		)
	}
	return append(cs, cell{name: "JetStream, one of three brokers killed", kind: jetStream, servers: 3, at: "before save", n: 2, act: killBroker})
}

func nothing(context.Context, *run) error { return nil }

func killWorker(ctx context.Context, r *run) error {
	if err := r.workers[0].kill(); err != nil {
		return err
	}
	return r.addWorker("", 0)
}

// pauseWorker stops the process itself: nothing of it goes on meanwhile.
func pauseWorker(ctx context.Context, r *run) error {
	if err := r.workers[0].signal(syscall.SIGSTOP); err != nil {
		return err
	}
	time.Sleep(3 * lease)
	return r.workers[0].signal(syscall.SIGCONT)
}

func killBroker(ctx context.Context, r *run) error { return r.bounce(&r.brokers[0]) }

func killStore(ctx context.Context, r *run) error { return r.bounce(&r.store) }

func cutStore(ctx context.Context, r *run) error {
	r.proxy.setCut(true)
	time.Sleep(lease)
	r.proxy.setCut(false)
	return nil
}

func comeAndGo(ctx context.Context, r *run) error {
	if err := r.workers[0].goOn(); err != nil {
		return err
	}
	for i := range 3 {
		if err := r.addWorker("", 0); err != nil {
			return err
		}
		time.Sleep(300 * time.Millisecond)
		if err := r.workers[i].signal(syscall.SIGTERM); err != nil {
			return err
		}
	}
	return nil
}

// An outcome is what a cell came to.
type outcome struct {
	events, alerts, again int
	took                  time.Duration
}

// A run is a cell at work.
type run struct {
	cell    cell
	dir     string
	link    link
	brokers []*process
	store   *process
	proxy   *proxy
	workers []*process
}

// limit is how long a cell may take. Servers that share two cores with
// everything else take long to elect a leader.
const limit = 2 * time.Minute

func (c cell) run(ctx context.Context) (o outcome, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	begin := time.Now()
	dir, err := os.MkdirTemp("", "cluster")
	if err != nil {
		return o, err
	}
	defer os.RemoveAll(dir)
	r := &run{cell: c, dir: dir}
	defer func() {
		r.end()
		for _, w := range r.workers {
			if err != nil {
				err = fmt.Errorf("%w; worker: %s", err, w.log)
			}
		}
	}()
	if err := r.start(ctx); err != nil {
		return o, err
	}
	s, err := tell()
	if err != nil {
		return o, err
	}
	want := s.alerts
	set, err := newSet()
	if err != nil {
		return o, err
	}
	var conn *connection
	err = eventually(ctx, func() (bool, error) { // a cluster needs a moment
		short, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		conn, err = r.link.open(short, set)
		return err == nil, err
	})
	if err != nil {
		return o, err
	}
	defer func() { conn.close() }()
	if err := r.addWorker(c.at, c.n); err != nil {
		return o, err
	}
	if err := r.addWorker(c.at, c.n); err != nil {
		return o, err
	}
	feeding := make(chan error, 1)
	go func() { feeding <- feed(ctx, set, conn, s.log) }()
	if err := r.await(ctx); err != nil {
		return o, err
	}
	if err := c.act(ctx, r); err != nil {
		return o, err
	}
	r.workers[0].goOn() // unless it is dead
	if err := <-feeding; err != nil {
		return o, err
	}

	var got []string
	still := 0
	err = eventually(ctx, func() (bool, error) {
		now, err := conn.alerts(ctx)
		if err != nil {
			return false, err
		}
		if len(now) == len(got) {
			still++
		} else {
			still = 0
		}
		got = now
		missing := difference(want, got)
		if len(missing) > 0 {
			return false, fmt.Errorf("%d of %d alerts are missing: %s", len(missing), len(want), missing[0])
		}
		return still >= 20, nil // and nothing more comes
	})
	if err != nil {
		return o, err
	}
	if others := difference(got, want); len(others) > 0 {
		return o, fmt.Errorf("%d alerts that a single process does not have: %s", len(others), others[0])
	}
	slices.Sort(got)
	o = outcome{events: len(s.log), alerts: len(want), again: len(got) - len(slices.Compact(slices.Clone(got))), took: time.Since(begin)}
	// JetStream knows duplicates itself. Kafka's readers know them by the key.
	if c.kind == jetStream && o.again > 0 {
		return o, fmt.Errorf("%d alerts are in the sink twice", o.again)
	}
	return o, nil
}

// await waits until one of the two workers comes to the cell's step, and makes it
// the first. The other one is not kept there.
func (r *run) await(ctx context.Context) error {
	first := make(chan int, 2)
	errs := make(chan error, 2)
	for i, w := range r.workers {
		go func() {
			errs <- w.wait(ctx, "at")
			first <- i
		}()
	}
	if err := <-errs; err != nil {
		return err
	}
	if <-first == 1 {
		slices.Reverse(r.workers)
	}
	other := r.workers[1]
	go func() {
		if <-errs == nil {
			other.goOn()
		}
	}()
	return nil
}

// difference returns what is in a and not in b.
func difference(a, b []string) []string {
	in := make(map[string]bool)
	for _, s := range b {
		in[s] = true
	}
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return in[s] })
}

// start starts the servers. A port that was free may be taken before a server has
// it: then it starts others.
func (r *run) start(ctx context.Context) error {
	for tries := 3; ; tries-- {
		err := r.startServers(ctx)
		if err == nil || tries == 1 || ctx.Err() != nil {
			return err
		}
		r.end()
		r.brokers, r.store, r.proxy = nil, nil, nil
		if err := os.RemoveAll(r.dir); err != nil {
			return err
		}
		if err := os.Mkdir(r.dir, 0o700); err != nil {
			return err
		}
	}
}

// startServers starts the servers.
func (r *run) startServers(ctx context.Context) error {
	r.link = link{Kind: r.cell.kind, Replicas: r.cell.servers}
	var roles []role
	if r.cell.kind == kafka {
		port, err := freePort()
		if err != nil {
			return err
		}
		roles = append(roles, role{Kafka: &kafkaRole{Port: port, Dir: filepath.Join(r.dir, "kafka")}})
		r.link.Brokers = []string{"127.0.0.1:" + strconv.Itoa(port)}
	} else {
		var routes []int
		for i := range r.cell.servers {
			port, err := freePort()
			if err != nil {
				return err
			}
			n := &natsRole{Name: fmt.Sprint("n", i), Port: port, Dir: filepath.Join(r.dir, fmt.Sprint("n", i))}
			if r.cell.servers > 1 {
				if n.Route, err = freePort(); err != nil {
					return err
				}
				routes = append(routes, n.Route)
			}
			roles = append(roles, role{Nats: n})
			r.link.Brokers = append(r.link.Brokers, "nats://127.0.0.1:"+strconv.Itoa(port))
		}
		for _, role := range roles {
			role.Nats.Routes = routes
		}
	}
	for _, role := range roles {
		p, err := start(role)
		if err != nil {
			return err
		}
		r.brokers = append(r.brokers, p)
	}
	if r.cell.apart {
		port, err := freePort()
		if err != nil {
			return err
		}
		if r.store, err = start(role{Nats: &natsRole{Name: "store", Port: port, Dir: filepath.Join(r.dir, "store")}}); err != nil {
			return err
		}
		if r.proxy, err = newProxy("127.0.0.1:" + strconv.Itoa(port)); err != nil {
			return err
		}
		r.link.Store = "nats://" + r.proxy.addr()
	}
	for _, p := range r.servers() {
		if err := p.wait(ctx, "up"); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) servers() []*process {
	if r.store == nil {
		return r.brokers
	}
	return append(slices.Clone(r.brokers), r.store)
}

// bounce kills a server and starts it again, on its files.
func (r *run) bounce(p **process) error {
	if err := (*p).kill(); err != nil {
		return err
	}
	time.Sleep(time.Second)
	again, err := start((*p).role)
	if err != nil {
		return err
	}
	*p = again
	return nil
}

// addWorker starts a worker that stops at a step, if it is named.
func (r *run) addWorker(at string, n int) error {
	l := r.link
	for p := range partitions {
		if p%2 == len(r.workers)%2 {
			l.First = append(l.First, p)
		}
	}
	p, err := start(role{Worker: &workerRole{Link: l, At: at, N: n}})
	if err != nil {
		return err
	}
	r.workers = append(r.workers, p)
	return nil
}

func (r *run) end() {
	for _, p := range append(r.workers, r.servers()...) {
		p.kill()
	}
	if r.proxy != nil {
		r.proxy.listener.Close()
		r.proxy.setCut(true)
	}
}

// A story is the log of a small account, and the ids of what a single process
// finds in it.
type story struct{ log, alerts []string }

var tell = sync.OnceValues(func() (*story, error) {
	set, err := newSet()
	if err != nil {
		return nil, err
	}
	en, err := detect.NewEngine(set, nil, nil)
	if err != nil {
		return nil, err
	}
	s := &story{}
	for r := range account.New(&account.Options{Small: true, Attacks: true}).Records() {
		e, err := event.Parse(r.JSON)
		if err != nil {
			return nil, err
		}
		findings, err := en.Process(context.Background(), []*event.Event{e})
		if err != nil {
			return nil, err
		}
		s.log = append(s.log, r.JSON)
		for _, f := range findings {
			id := f.ID
			if f.Revision > 0 {
				id += "." + strconv.Itoa(f.Revision)
			}
			s.alerts = append(s.alerts, id)
		}
	}
	return s, nil
})

// feed routes a log in files of 50 records, not all at once: so that there is
// something left to do when something goes wrong.
func feed(ctx context.Context, set *detect.Set, c *connection, log []string) error {
	router, err := worker.NewRouter(set, c.queue, partitions, &worker.RouterOptions{Retry: patient})
	if err != nil {
		return err
	}
	n := 0
	for records := range slices.Chunk(log, 50) {
		n++
		if err := router.Route(ctx, fmt.Sprint("file ", n), []byte(`{"Records":[`+strings.Join(records, ",")+`]}`)); err != nil {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil
}
