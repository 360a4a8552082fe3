package worker

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/internal/news"
	"github.com/cloudtell/cloudtell/event"
)

// Options configures a [Worker]. Nil, and the zero value of every field, mean
// the defaults.
type Options struct {
	// Cache is the number of records held in memory. Records are saved with
	// every batch all the same: the cache saves loading them. The default is
	// 10,000.
	Cache int
	// Updates publishes later revisions of findings too: of each finding that a
	// batch's events add to the last one, and those that raise the severity.
	// Otherwise only the first is published, and those that raise it.
	Updates bool
	// Retry is asked when the source, the store or the sink has failed, or when
	// other workers keep saving the same records. The default is to give up at
	// once: Run returns the error. Nothing is lost by that: what was not
	// acknowledged is delivered again, to another worker or in another process,
	// and this one begins with it when Run is called again.
	Retry detect.Retry
}

// Stats counts what a worker has done since it was made. At every moment,
// Events = Applied + Replayed + Passed + Rejected. A message that comes again is
// counted again.
type Stats struct {
	// Messages is the number of messages in the batches that were done, Events
	// that of the records of which it was decided what becomes of them.
	Messages int64 `json:"messages"`
	Events   int64 `json:"events"`
	// Applied events were given to the set, which knows duplicates among them.
	Applied int64 `json:"applied"`
	// Replayed events came again and were part of the record already.
	Replayed int64 `json:"replayed"`
	// Passed events concern no key of a scope in use.
	Passed int64 `json:"passed"`
	// Rejected records are not readable, or belong to a stored record that is
	// not.
	Rejected int64 `json:"rejected"`
	// Panics is the number of batches of a key in which a rule or a feature panicked.
	Panics int64 `json:"panics"`

	// Published is the number of alerts given to the sink, those given again
	// included. Suppressed findings are counted by rule instead.
	Published  int64            `json:"published"`
	Suppressed map[string]int64 `json:"suppressed,omitempty"`
	// Loads and Saves count records read from and written to the store,
	// Conflicts those whose save was refused because another worker came first.
	Loads     int64 `json:"loads"`
	Saves     int64 `json:"saves"`
	Conflicts int64 `json:"conflicts"`
}

// A Worker applies a set to the messages of a source. Its Stats may be called
// from any goroutine. It works on one core: run several, in one process or in
// many, to use more.
type Worker struct {
	set    *detect.Set
	scopes map[string]*detect.Scope
	source Source
	store  baseline.Store
	sink   Sink
	o      Options
	cache  *cache
	// unfinished is the batch under way, or that an error has left. A source that
	// is asked for the next one would go on behind it.
	unfinished []Message

	mu    sync.Mutex
	stats Stats
}

// New returns a worker. The records in the store may be those of a
// [detect.Engine] that ran with the same set: its knowledge is taken over. The
// engine cannot read what a worker has saved.
func New(set *detect.Set, source Source, store baseline.Store, sink Sink, o *Options) (*Worker, error) {
	if o == nil {
		o = &Options{}
	}
	if set == nil || source == nil || store == nil || sink == nil || o.Cache < 0 {
		return nil, errors.New("worker: a worker needs a set, a source, a store, a sink, and a cache that is not negative")
	}
	w := &Worker{set: set, source: source, store: store, sink: sink, o: *o, scopes: make(map[string]*detect.Scope)}
	for _, scope := range set.Scopes() {
		w.scopes[scope.Name] = scope
	}
	w.cache = newCache(cmp.Or(o.Cache, 10_000))
	w.stats.Suppressed = make(map[string]int64)
	return w, nil
}

// Stats returns the counts so far.
func (w *Worker) Stats() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.stats
	s.Events = s.Applied + s.Replayed + s.Passed + s.Rejected
	s.Suppressed = make(map[string]int64, len(w.stats.Suppressed))
	for rule, n := range w.stats.Suppressed {
		s.Suppressed[rule] = n
	}
	return s
}

func (w *Worker) count(f func(*Stats)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(&w.stats)
}

// Run processes batches until the context ends or something fails for good,
// and returns the reason; nil if the source has come to its end. It is called
// once at a time. After an error it may be called again: it goes on with the batch
// that it was at.
func (w *Worker) Run(ctx context.Context) error {
	for {
		for len(w.unfinished) == 0 {
			ended := false
			err := do(ctx, w.o.Retry, "next batch", func() (err error) {
				w.unfinished, err = w.source.Next(ctx)
				if ended = err == io.EOF; ended {
					return nil
				}
				return err
			})
			if err != nil || ended {
				w.unfinished = nil
				return err
			}
		}
		if err := w.process(ctx, w.unfinished); err != nil {
			return err
		}
		w.unfinished = nil
	}
}

// A batch is messages on their way through a worker.
type batch struct {
	messages []Message
	first    map[uint64]uint64 // by partition: everything before was acknowledged
	tasks    []*task
	letters  []Letter
}

// A task is the events of a batch for one key, in order. Done ones are taken
// away from the front.
type task struct {
	scope *detect.Scope
	key   string // the record's
	items []item

	// What the current round makes of it.
	taken    int       // items applied
	next     *envelope // to be saved
	suppress []string  // rules of suppressed findings
}

type item struct {
	message   *Message
	partition uint64
	event     *event.Event
}

// process brings a batch to its end: everything applied, saved, published and
// acknowledged.
func (w *Worker) process(ctx context.Context, messages []Message) error {
	b := w.decode(messages)
	for attempt := 1; len(b.tasks) > 0; {
		if err := do(ctx, w.o.Retry, "load records", func() error { return w.load(ctx, b) }); err != nil {
			return err
		}
		// What an earlier save has left to tell goes first: the next save
		// replaces the outbox.
		if err := w.publish(ctx, b); err != nil {
			return err
		}
		if err := w.apply(b); err != nil {
			return err
		}
		if err := w.reject(ctx, b); err != nil {
			return err
		}
		err := w.save(ctx, b)
		switch {
		case err == nil:
			attempt = 0
		case onlyConflict(err) && attempt <= patience:
		default:
			if err := again(ctx, w.o.Retry, attempt, err); err != nil {
				return err
			}
		}
		attempt++
		if err := w.publish(ctx, b); err != nil {
			return err
		}
		b.tasks = unfinished(b.tasks)
	}
	if err := w.reject(ctx, b); err != nil {
		return err
	}
	w.cache.trim()
	w.count(func(s *Stats) { s.Messages += int64(len(messages)) })
	return do(ctx, w.o.Retry, "acknowledge", func() error { return w.source.Ack(ctx, messages) })
}

// patience is how often in a row a save may be refused before Retry is asked.
// Each time means that another worker has saved the same record meanwhile.
const patience = 3

func onlyConflict(err error) bool {
	var conflict *baseline.ConflictError
	return errors.As(err, &conflict)
}

func unfinished(tasks []*task) []*task {
	rest := tasks[:0]
	for _, t := range tasks {
		if len(t.items) > 0 {
			rest = append(rest, t)
		}
	}
	return rest
}

// decode sorts the events of the messages by key.
func (w *Worker) decode(messages []Message) *batch {
	b := &batch{messages: messages, first: make(map[uint64]uint64)}
	var stats Stats
	tasks := make(map[string]*task)
	partitions := make(map[string]uint64)
	for i := range messages {
		m := &messages[i]
		p, known := partitions[m.Partition]
		if !known {
			p = baseline.Hash(m.Partition)
			partitions[m.Partition] = p
			b.first[p] = m.Offset
		}
		b.first[p] = min(b.first[p], m.Offset)
		scope, copied, keyless := w.scopes[m.Scope], m.Data, false
		for e, err := range records(m.Data) {
			if err != nil {
				stats.Rejected++
				b.letters = append(b.letters, letterOf(m, err, copied))
				copied = nil
				continue
			}
			key := ""
			if scope != nil {
				if key, err = scope.Of(e); err != nil {
					stats.Rejected++
					if !keyless { // one letter, they would be of one ID
						b.letters = append(b.letters, letterOf(m, err, m.Data))
					}
					keyless = true
					continue
				}
			}
			if key == "" {
				stats.Passed++
				continue
			}
			key = recordKey(scope.Name, key)
			t := tasks[key]
			if t == nil {
				t = &task{scope: scope, key: key}
				tasks[key] = t
				b.tasks = append(b.tasks, t)
			}
			t.items = append(t.items, item{m, p, e})
		}
	}
	w.count(func(s *Stats) {
		s.Rejected += stats.Rejected
		s.Passed += stats.Passed
	})
	return b
}

// recordKey names a key's record in the store, as an engine does.
func recordKey(scope, key string) string { return scope + "/" + key }

// records decodes a message. The events are the caller's to keep.
func records(data []byte) func(yield func(*event.Event, error) bool) {
	return func(yield func(*event.Event, error) bool) {
		// Nearly always a message is one record, as a router writes it.
		if e, err := event.Parse(string(data)); err == nil {
			yield(e, nil)
			return
		}
		for e, err := range event.Read(bytes.NewReader(data), &event.ReadOptions{MaxDecompressed: maxDecompressed}) {
			if err == nil {
				e = e.Clone()
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// maxDecompressed bounds what comes out of a compressed message, all of which
// is held in memory.
const maxDecompressed = 16 << 20

// letterOf makes a letter of a message. Several of one message are told apart
// by the record's number.
func letterOf(m *Message, err error, data []byte) Letter {
	id := m.Partition + "@" + strconv.FormatUint(m.Offset, 10)
	var broken *event.DecodeError
	if errors.As(err, &broken) {
		id += "#" + strconv.Itoa(broken.Record)
	}
	return newLetter(id, fmt.Errorf("worker: message %s: %w", id, err), data)
}

// load brings the records of the batch into the cache. The events of one that
// is corrupt are rejected. One of an unknown version is an error, because it
// was written by a newer program, which will have written others.
func (w *Worker) load(ctx context.Context, b *batch) error {
	var missing []*task
	var keys []string
	for _, t := range b.tasks {
		if w.cache.get(t.key) == nil {
			missing = append(missing, t)
			keys = append(keys, t.key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	stored, err := w.store.Load(ctx, keys)
	if err != nil {
		return err
	}
	if len(stored) != len(keys) {
		return fmt.Errorf("store returned %d records for %d keys", len(stored), len(keys))
	}
	for i, t := range missing {
		if stored[i].Key != t.key {
			return fmt.Errorf("store returned the record of %q for %q", stored[i].Key, t.key)
		}
		v, err := openEnvelope(stored[i].Data)
		if err == nil { // so that a broken record is found before anything is done
			_, err = w.set.Apply(t.scope, v.record, nil, nil)
		}
		switch {
		case errors.Is(err, baseline.ErrCorrupt):
			w.refuse(b, t, err)
			continue
		case err != nil:
			return fmt.Errorf("record of %q: %w", t.key, err)
		}
		w.cache.put(t.key, &entry{envelope: v, version: stored[i].Version, owed: !b.proves(&v)})
	}
	w.count(func(s *Stats) { s.Loads += int64(len(keys)) })
	return nil
}

// proves reports whether the batch shows that the outbox was published: it
// begins behind the last message that was taken in before the save, so that
// one was acknowledged.
func (b *batch) proves(v *envelope) bool {
	if len(v.outbox) == 0 {
		return true
	}
	if len(v.positions) == 0 {
		return false
	}
	last := v.positions[0]
	first, ok := b.first[last.partition]
	return ok && last.next <= first
}

// refuse gives up the events of a key whose record cannot be read.
func (w *Worker) refuse(b *batch, t *task, err error) {
	for i, it := range t.items {
		if i == 0 || it.message != t.items[i-1].message { // one letter, they would be of one ID
			b.letters = append(b.letters, letterOf(it.message, fmt.Errorf("record of %q: %w", t.key, err), it.message.Data))
		}
	}
	w.count(func(s *Stats) { s.Rejected += int64(len(t.items)) })
	t.items = nil
}

// apply works out what the records become. Nothing of it counts before it is
// saved.
func (w *Worker) apply(b *batch) error {
	for _, t := range b.tasks {
		t.next, t.taken, t.suppress = nil, 0, nil
		e := w.cache.get(t.key)
		if e == nil {
			continue // refused
		}
		t.skip(w, e)
		if len(t.items) == 0 {
			continue
		}
		for n := t.run(); ; n = t.half(n) {
			fits, err := w.step(b, t, e, n)
			if err != nil {
				return err
			}
			if fits {
				break
			}
		}
	}
	return nil
}

// skip drops the events that the record knows already.
func (t *task) skip(w *Worker, e *entry) {
	rest := t.items[:0]
	for _, it := range t.items {
		if it.message.Offset >= e.next(it.partition) {
			rest = append(rest, it)
		}
	}
	if n := len(t.items) - len(rest); n > 0 {
		w.count(func(s *Stats) { s.Replayed += int64(n) })
	}
	t.items = rest
}

// run returns how many of the items are of the first one's partition.
func (t *task) run() int {
	for i, it := range t.items {
		if it.partition != t.items[0].partition {
			return i
		}
	}
	return len(t.items)
}

// half returns about half of n, without parting the events of a message; n if
// they are all of one.
func (t *task) half(n int) int {
	for _, start := range []int{n / 2, n - 1} {
		for i := start; i > 0; i-- {
			if t.items[i].message != t.items[i-1].message {
				return i
			}
		}
	}
	return n
}

// maxOutbox is how many bytes of findings a save should carry at most, so that
// no record outgrows what stores take. More come only from a single message.
const maxOutbox = 256 << 10

// step applies the first n items. It reports false if they should be fewer.
func (w *Worker) step(b *batch, t *task, e *entry, n int) (fits bool, err error) {
	events := make([]*event.Event, n)
	for i, it := range t.items[:n] {
		events[i] = it.event
	}
	next := envelope{positions: e.positions}
	last := t.items[n-1]
	next.advance(last.partition, last.message.Offset+1)
	var suppressed []string
	var told news.List[detect.Finding]
	record, err := w.set.Apply(t.scope, e.record, events, func(f detect.Finding) {
		switch {
		case f.Suppressed != "":
			if f.Revision == 0 {
				suppressed = append(suppressed, f.Rule)
			}
		case f.Revision == 0 || f.Raised || w.o.Updates:
			told.Add(f, f.ID, f.Revision, f.Raised)
		}
	})
	size := 0
	for i := range told.Findings {
		a := alertOf(&told.Findings[i])
		next.outbox = append(next.outbox, a)
		size += len(a.ID) + len(a.Data)
	}
	if size > maxOutbox && t.half(n) < n {
		return false, nil
	}
	var panicked *detect.PanicError
	if errors.As(err, &panicked) && record != nil {
		w.count(func(s *Stats) { s.Panics++ })
		m := t.messageOf(panicked.EventID)
		b.letters = append(b.letters, letterOf(m, panicked, m.Data))
		err = nil
	}
	if err != nil {
		return false, fmt.Errorf("worker: record of %q: %w", t.key, err)
	}
	next.record = record
	t.next, t.taken, t.suppress = &next, n, suppressed
	return true, nil
}

func (t *task) messageOf(eventID string) *Message {
	for _, it := range t.items {
		if it.event.ID == eventID {
			return it.message
		}
	}
	return t.items[0].message
}

func alertOf(f *detect.Finding) Alert {
	id := f.ID
	if f.Revision > 0 {
		id += "." + strconv.Itoa(f.Revision)
	}
	data := marshal(f)
	if len(data) > maxAlert {
		short := *f
		for _, s := range []*string{
			&short.Title, &short.Key, &short.Principal, &short.PrincipalName, &short.Session, &short.AccessKeyID, &short.Subject,
			&short.AccountID, &short.Region, &short.SourceAddress, &short.UserAgent,
		} {
			*s = cut(*s)
		}
		short.EventIDs, short.Evidence, short.Checks, short.Unusual = nil, nil, nil, nil
		for _, id := range f.EventIDs[:min(8, len(f.EventIDs))] {
			short.EventIDs = append(short.EventIDs, cut(id))
		}
		data = marshal(&short)
	}
	return Alert{ID: id, Data: data}
}

// maxAlert is the size of the largest finding that is published whole.
const maxAlert = 32 << 10

func marshal(f *detect.Finding) []byte {
	data, err := json.Marshal(f)
	if err != nil {
		panic("worker: a finding has no JSON: " + err.Error()) // it is made of text, numbers and times
	}
	return data
}

// save stores what apply has worked out. The records of which another worker
// has saved other versions are left for the next round, which loads them anew:
// what that worker took in is then replayed. The same goes for records of which
// it is not known whether they were stored. So it does not matter whose
// partition it is: whoever acknowledges a batch has seen all of it saved and
// published.
func (w *Worker) save(ctx context.Context, b *batch) error {
	var changed []*task
	var stored []baseline.Record
	for _, t := range b.tasks {
		if t.next != nil {
			changed = append(changed, t)
			stored = append(stored, baseline.Record{Key: t.key, Version: w.cache.get(t.key).version, Data: t.next.encode()})
		}
	}
	if len(stored) == 0 {
		return nil
	}
	err := w.store.Save(ctx, stored)
	refused := make(map[string]bool)
	var conflict *baseline.ConflictError
	switch {
	case errors.As(err, &conflict):
		for _, key := range conflict.Keys {
			refused[key] = true
		}
	case err != nil:
		for _, t := range changed {
			refused[t.key] = true
		}
	}
	w.count(func(s *Stats) {
		if conflict != nil {
			s.Conflicts += int64(len(refused))
		}
		for _, t := range changed {
			if refused[t.key] {
				continue
			}
			s.Saves++
			s.Applied += int64(t.taken)
			for _, rule := range t.suppress {
				s.Suppressed[rule]++
			}
		}
	})
	for _, t := range changed {
		if refused[t.key] {
			w.cache.remove(t.key)
			continue
		}
		e := w.cache.get(t.key)
		e.envelope, e.version, e.owed = *t.next, e.version+1, len(t.next.outbox) > 0
		t.items = t.items[t.taken:]
	}
	if err != nil {
		return fmt.Errorf("worker: save %d records: %w", len(stored), err)
	}
	return nil
}

// publish gives the sink what the batch's records have in their outboxes.
func (w *Worker) publish(ctx context.Context, b *batch) error {
	var alerts []Alert
	var owing []*entry
	for _, t := range b.tasks {
		if e := w.cache.get(t.key); e != nil && e.owed {
			alerts = append(alerts, e.outbox...)
			owing = append(owing, e)
		}
	}
	if len(owing) == 0 {
		return nil
	}
	if err := do(ctx, w.o.Retry, "publish", func() error { return w.sink.Publish(ctx, alerts) }); err != nil {
		return err
	}
	for _, e := range owing {
		e.owed, e.outbox = false, nil
	}
	w.count(func(s *Stats) { s.Published += int64(len(alerts)) })
	return nil
}

// reject gives the sink the letters of the batch. Those about events that are
// about to become part of a record must be there before it is saved: after that
// nothing would bring them back.
func (w *Worker) reject(ctx context.Context, b *batch) error {
	if len(b.letters) == 0 {
		return nil
	}
	if err := do(ctx, w.o.Retry, "reject", func() error { return w.sink.Reject(ctx, b.letters) }); err != nil {
		return err
	}
	b.letters = nil
	return nil
}
