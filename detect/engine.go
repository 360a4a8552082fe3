package detect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"runtime"
	"slices"
	"sync"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect/internal/news"
	"github.com/cloudtell/cloudtell/event"
)

// EngineOptions configures an [Engine]. Nil, and the zero value of every
// field, mean the defaults.
type EngineOptions struct {
	// Shards is the number of goroutines that detection is spread over, by
	// key. Findings do not depend on it. The default is GOMAXPROCS.
	Shards int
	// Cache is the number of profiles held in memory, over all shards; the
	// rest are in the store. Changed profiles are saved when they have to
	// leave, and by Flush. At least one per shard is held. The default is
	// 100,000: about 0.8 GB, at 5 KB for a typical principal and 8 KB on
	// average.
	Cache int
	// Dedup is the number of recent event ids remembered to know duplicates
	// of busy keys by, beyond the up to 512 in each record. It costs 18 to 36 bytes
	// each. The default is 65,536.
	Dedup int
	// Updates makes Process return later revisions of findings too: of each
	// finding that a batch's events add to the last one, and those that raise the
	// severity. Otherwise only the first is returned, and those that raise it.
	Updates bool
	// Retry is asked when the store fails, but for conflicts. A batch waits as
	// long as it does. The default gives up at once: see [Engine.Process] for
	// what that means. [Backoff] has one.
	Retry Retry
}

// An Engine runs a [Set] in the process: it routes events to the profiles of
// their keys, which it caches and keeps in a store. Its methods may be called
// from any number of goroutines; batches are processed one after the other.
type Engine struct {
	set   *Set
	store baseline.Store
	retry Retry

	mu     sync.Mutex // held for a batch
	seed   maphash.Seed
	shards []*shard
	marks  []mark // of the current batch, by event

	statsMu sync.Mutex
	stats   Stats
}

// Stats counts what an engine has done with its events. At every moment,
// Events = Evaluated + Duplicate + Late + Rejected.
type Stats struct {
	// Events is the number of events taken in.
	Events int64 `json:"events"`
	// Evaluated events were folded into at least one profile, or concern no
	// key of any scope.
	Evaluated int64 `json:"evaluated"`
	// Duplicate events had been evaluated before.
	Duplicate int64 `json:"duplicate"`
	// Late events were older than the allowed lateness.
	Late int64 `json:"late"`
	// Rejected events could not be evaluated because one of their keys could not
	// be told, or its profile not be loaded. Giving them again completes them,
	// once the reason is gone.
	Rejected int64 `json:"rejected"`

	// Findings is the number of findings returned, without revisions.
	Findings int64 `json:"findings"`
	// Suppressed counts the findings kept back, by rule.
	Suppressed map[string]int64 `json:"suppressed,omitempty"`
	// Profiles is the number of profiles in the cache. Loads and Saves count
	// profiles read from and written to the store.
	Profiles int64 `json:"profiles"`
	Loads    int64 `json:"loads"`
	Saves    int64 `json:"saves"`
}

// mark collects what the scopes of an event made of it.
type mark uint8

const (
	evaluated mark = 1 << iota
	duplicate
	late
	rejected
)

// NewEngine returns an engine for the set. A nil store means a new
// [baseline.Memory].
func NewEngine(set *Set, store baseline.Store, o *EngineOptions) (*Engine, error) {
	if o == nil {
		o = &EngineOptions{}
	}
	if set == nil || o.Shards < 0 || o.Cache < 0 || o.Dedup < 0 {
		return nil, errors.New("detect: engine needs a set, and options that are not negative")
	}
	if store == nil {
		store = &baseline.Memory{}
	}
	n := cmp.Or(o.Shards, runtime.GOMAXPROCS(0))
	en := &Engine{set: set, store: store, retry: o.Retry, seed: maphash.MakeSeed()}
	en.stats.Suppressed = make(map[string]int64)
	for range n {
		s := &shard{
			engine: en,
			cache:  newCache(max(1, cmp.Or(o.Cache, 100_000)/n), set.groups),
			seen:   newIDSet(max(1, cmp.Or(o.Dedup, 1<<16)/n)),
		}
		s.step = step{set: set, emit: s.keep, firsts: !o.Updates, scratch: baseline.NewScratch()}
		en.shards = append(en.shards, s)
	}
	return en, nil
}

// Process evaluates a batch of events in the order given and returns what was
// found, in the order of time. The events are not kept: they may be reused
// when Process returns. Larger batches cost less per event, but memory; a
// thousand is a good size.
//
// An error does not void the findings. It says that some events were rejected
// because the store failed or a record is not readable, that a changed
// profile could not be saved and stays in the cache, or that a detector or what
// it is made of panicked ([*PanicError]). Rejected events may be given again,
// unless the error says [OnlyPanics]: those of the batch that were evaluated then
// count as duplicates.
func (en *Engine) Process(ctx context.Context, events []*event.Event) ([]Finding, error) {
	return en.batch(ctx, events, true)
}

// Warm folds history without reporting findings, so that detection starts
// with a baseline. It is Process otherwise.
func (en *Engine) Warm(ctx context.Context, events []*event.Event) error {
	_, err := en.batch(ctx, events, false)
	return err
}

func (en *Engine) batch(ctx context.Context, events []*event.Event, detecting bool) ([]Finding, error) {
	en.mu.Lock()
	defer en.mu.Unlock()
	var errs []error
	if err := en.route(events); err != nil {
		errs = append(errs, err)
	}
	if len(en.shards) == 1 { // as each, which costs an allocation
		en.shards[0].process(ctx, detecting)
	} else {
		en.each(func(s *shard) { s.process(ctx, detecting) })
	}

	var findings []Finding
	var delta Stats
	for _, s := range en.shards {
		for i := range s.tasks {
			en.marks[s.tasks[i].event] |= s.tasks[i].mark
		}
		clear(s.tasks)
		s.tasks = s.tasks[:0]
		findings = s.hand(findings)
		if s.err != nil {
			errs = append(errs, s.err)
			s.err = nil
		}
		delta.Loads, delta.Saves = delta.Loads+s.loads, delta.Saves+s.saves
		s.loads, s.saves = 0, 0
		delta.Profiles += int64(s.cache.len())
	}
	for _, m := range en.marks {
		switch {
		case m&rejected != 0:
			delta.Rejected++
		case m == 0 || m&evaluated != 0:
			delta.Evaluated++
		case m&duplicate != 0:
			delta.Duplicate++
		default:
			delta.Late++
		}
	}
	if len(findings) > 0 {
		findings, delta.Findings = en.told(findings)
	}
	en.count(int64(len(events)), delta)
	return findings, errors.Join(errs...)
}

// route gives each event to the shards that own its keys. It returns the first
// panic of a scope.
func (en *Engine) route(events []*event.Event) (panicked error) {
	en.marks = slices.Grow(en.marks[:0], len(events))[:len(events)]
	clear(en.marks)
	for next := (place{}); next.event < len(events); {
		next = en.routeFrom(next, events, &panicked)
	}
	return panicked
}

// A place is a scope of an event of a batch.
type place struct{ event, group int }

// routeFrom routes from a place on up to where a scope panics, and returns where
// to go on.
func (en *Engine) routeFrom(at place, events []*event.Event, panicked *error) (next place) {
	groups := en.set.groups
	defer func() {
		if v := recover(); v != nil {
			if *panicked == nil {
				*panicked = groups[at.group].scope.panicked(events[at.event], v)
			}
			en.marks[at.event] |= rejected
			next = place{at.event, at.group + 1}
		}
	}()
	for ; at.event < len(events); at = (place{at.event + 1, 0}) {
		e := events[at.event]
		id := uint64(0) // 0: not worked out yet
		for ; at.group < len(groups); at.group++ {
			key := groups[at.group].scope.Key(e)
			if key == "" {
				continue
			}
			if id == 0 {
				id = maphash.String(en.seed, e.ID)
			}
			h := maphash.String(en.seed, key)
			s := en.shards[h%uint64(len(en.shards))]
			s.tasks = append(s.tasks, task{e: e, event: at.event, group: at.group, key: key, id: id ^ h ^ uint64(at.group)<<56})
		}
	}
	return at
}

// shardOf returns the shard that owns a key.
func (en *Engine) shardOf(key string) *shard {
	return en.shards[maphash.String(en.seed, key)%uint64(len(en.shards))]
}

// each runs f for every shard at once.
func (en *Engine) each(f func(*shard)) {
	if len(en.shards) == 1 {
		f(en.shards[0])
		return
	}
	var wg sync.WaitGroup
	for _, s := range en.shards {
		wg.Go(func() { f(s) })
	}
	wg.Wait()
}

// told returns the findings that are not suppressed, in their order, and how many
// of them are no revisions.
func (en *Engine) told(findings []Finding) (told []Finding, fresh int64) {
	told = slices.DeleteFunc(findings, func(f Finding) bool { return f.Suppressed != "" && en.suppressed(f) })
	for i := range told {
		if told[i].Revision == 0 {
			fresh++
		}
	}
	slices.SortStableFunc(told, func(a, b Finding) int {
		return cmp.Or(a.Last.Compare(b.Last), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Revision, b.Revision))
	})
	return told, fresh
}

func (en *Engine) suppressed(f Finding) bool {
	if f.Revision == 0 {
		en.statsMu.Lock()
		en.stats.Suppressed[f.Rule]++
		en.statsMu.Unlock()
	}
	return true
}

func (en *Engine) count(events int64, d Stats) {
	en.statsMu.Lock()
	s := &en.stats
	s.Events += events
	s.Evaluated += d.Evaluated
	s.Duplicate += d.Duplicate
	s.Late += d.Late
	s.Rejected += d.Rejected
	s.Findings += d.Findings
	s.Loads += d.Loads
	s.Saves += d.Saves
	s.Profiles = d.Profiles
	en.statsMu.Unlock()
}

// Stats returns the counts so far. It may be called while a batch runs, which
// is counted when it ends.
func (en *Engine) Stats() Stats {
	en.statsMu.Lock()
	defer en.statsMu.Unlock()
	s := en.stats
	s.Suppressed = maps.Clone(s.Suppressed)
	return s
}

// Flush saves all changed profiles. What could not be saved stays in the
// cache, to be tried again by the next Flush, except profiles that another
// writer has saved meanwhile ([*baseline.ConflictError]): those are dropped,
// and what this engine had learnt about them since it loaded them is lost.
// That happens only when two engines use one store for the same keys.
func (en *Engine) Flush(ctx context.Context) error {
	en.mu.Lock()
	defer en.mu.Unlock()
	en.each(func(s *shard) { s.err = s.save(ctx, s.cache.dirty()) })
	var errs []error
	var d Stats
	for _, s := range en.shards {
		errs = append(errs, s.err)
		s.err = nil
		d.Saves += s.saves
		s.saves = 0
		d.Profiles += int64(s.cache.len())
	}
	en.count(0, d)
	return errors.Join(errs...)
}

// A shard owns the keys that hash to it: nothing of it is shared with other
// goroutines during a batch, so it needs no lock.
type shard struct {
	engine *Engine
	cache  *cache
	seen   *idSet
	step   step
	tasks  []task
	news   news.List[Finding]
	err    error
	loads  int64
	saves  int64
	room   []byte // for the records of a save
}

// A task is one event for one key.
type task struct {
	e     *event.Event
	event int // its number in the batch
	group int
	key   string
	id    uint64 // of the event and the key together
	entry *cached
	mark  mark
}

// keep takes in what the rules report. Those that are suppressed are only counted,
// each.
func (s *shard) keep(f Finding) {
	revision := f.Revision
	if f.Suppressed != "" {
		revision = 0
	}
	s.news.Add(f, f.ID, revision, f.Raised)
}

// hand appends what was found, and keeps none of it.
func (s *shard) hand(findings []Finding) []Finding {
	if len(s.news.Findings) == 0 {
		return findings
	}
	findings = append(findings, s.news.Findings...)
	s.news.Reset()
	return findings
}

func (s *shard) process(ctx context.Context, detecting bool) {
	if len(s.tasks) == 0 {
		return
	}
	var errs []error
	if err := s.load(ctx); err != nil {
		errs = append(errs, err)
	}
	for i := range s.tasks {
		t := &s.tasks[i]
		entry := t.entry
		if entry.profile == nil {
			t.mark = rejected
			continue
		}
		if !entry.profile.Remembers(t.e.Time) && s.seen.has(t.id) {
			t.mark = duplicate
			continue
		}
		var outcome baseline.Outcome
		if detecting {
			outcome = s.step.detect(s.engine.set.groups[t.group], t.key, entry.profile, t.e)
		} else {
			outcome = s.step.fold(entry.profile, t.e)
		}
		switch outcome {
		case baseline.Evaluated:
			t.mark = evaluated
			entry.dirty = true
			s.seen.add(t.id)
		case baseline.Duplicate:
			t.mark = duplicate
		case baseline.Late:
			t.mark = late
		}
	}
	if s.step.err != nil {
		errs = append(errs, s.step.err)
		s.step.err = nil
	}
	s.step.close()
	for i := range s.news.Findings { // those that no later one replaced
		s.news.Findings[i].detach()
	}
	if err := s.evict(ctx); err != nil {
		errs = append(errs, err)
	}
	s.err = errors.Join(errs...)
}

// load brings the profiles of the batch's keys into the cache, with one call
// of the store. Keys whose profile cannot be had stay out of it.
func (s *shard) load(ctx context.Context) error {
	var missing []*cached
	for i := range s.tasks {
		t := &s.tasks[i]
		if t.entry = s.cache.get(t.group, t.key); t.entry != nil {
			continue
		}
		t.entry = s.cache.put(t.group, t.key) // asked for once
		missing = append(missing, t.entry)
	}
	return s.admit(ctx, missing)
}

// admit fills the cache's new entries. Those whose profile cannot be had leave
// it again.
func (s *shard) admit(ctx context.Context, missing []*cached) error {
	if len(missing) == 0 {
		return nil
	}
	keys := make([]string, len(missing))
	for i, entry := range missing {
		keys[i] = entry.name
	}
	records, err := s.fetch(ctx, keys)
	if err != nil {
		for _, entry := range missing {
			s.cache.remove(entry)
		}
		return err
	}
	var errs []error
	for i, entry := range missing {
		profile, err := s.engine.set.groups[entry.group].layout.Decode(records[i].Data)
		if err != nil {
			s.cache.remove(entry)
			errs = append(errs, fmt.Errorf("detect: profile of %q: %w", entry.name, err))
			continue
		}
		entry.profile, entry.version = profile, records[i].Version
	}
	return errors.Join(errs...)
}

// fetch is fetchOnce until it succeeds or the engine gives up.
func (s *shard) fetch(ctx context.Context, keys []string) (records []baseline.Record, err error) {
	err = s.engine.retry.Do(ctx, func() (err error) {
		records, err = s.fetchOnce(ctx, keys)
		return err
	})
	return records, err
}

// fetchOnce loads records and checks that they are those asked for.
func (s *shard) fetchOnce(ctx context.Context, keys []string) ([]baseline.Record, error) {
	records, err := s.engine.store.Load(ctx, keys)
	if err == nil && len(records) != len(keys) {
		err = fmt.Errorf("store returned %d records", len(records))
	}
	for i := 0; err == nil && i < len(keys); i++ {
		if records[i].Key != keys[i] {
			err = fmt.Errorf("store returned the record of %q for %q", records[i].Key, keys[i])
		}
	}
	if err != nil {
		return nil, fmt.Errorf("detect: load %d profiles: %w", len(keys), err)
	}
	s.loads += int64(len(keys))
	return records, nil
}

// evict brings the cache back to its size. Profiles that cannot be saved stay.
func (s *shard) evict(ctx context.Context) error {
	victims := s.cache.excess()
	if len(victims) == 0 {
		return nil
	}
	var changed []*cached
	for _, entry := range victims {
		if entry.dirty {
			changed = append(changed, entry)
		}
	}
	err := s.save(ctx, changed)
	for _, entry := range victims {
		if !entry.dirty {
			s.cache.remove(entry)
		}
	}
	return err
}

// saveSize is how many profiles are given to the store at once: their records
// need memory besides.
const saveSize = 4096

// save writes the profiles to the store and marks them clean.
func (s *shard) save(ctx context.Context, entries []*cached) error {
	var errs []error
	for some := range slices.Chunk(entries, saveSize) {
		records, encoded, err := s.encode(some)
		errs = append(errs, err)
		if err = s.commit(ctx, encoded, records); err == nil {
			continue
		}
		errs = append(errs, err)
		if !errors.As(err, new(*baseline.ConflictError)) {
			break // the store is away: the others would only wait for it as long
		}
	}
	return errors.Join(errs...)
}

// encode returns the records of profiles, and those whose they are: a cell may
// break its contract. They are valid until the next call.
func (s *shard) encode(entries []*cached) (records []baseline.Record, encoded []*cached, err error) {
	var errs []error
	s.room = s.room[:0]
	for _, entry := range entries {
		start := len(s.room)
		room, err := entry.profile.AppendBinary(s.room)
		if err != nil {
			errs = append(errs, fmt.Errorf("detect: profile of %q: %w", entry.name, err))
			continue
		}
		s.room = room
		records = append(records, baseline.Record{Key: entry.name, Data: room[start:len(room):len(room)]})
		encoded = append(encoded, entry)
	}
	return records, encoded, errors.Join(errs...)
}

// commit has the store keep records, and drops profiles that it refuses as another
// writer's.
func (s *shard) commit(ctx context.Context, entries []*cached, records []baseline.Record) error {
	if len(entries) == 0 {
		return nil
	}
	var conflict *baseline.ConflictError
	err := s.engine.retry.Do(ctx, func() error {
		err := s.put(ctx, entries, records)
		if errors.As(err, &conflict) {
			return nil // is not mended by trying again
		}
		return err
	})
	if err != nil {
		return err
	}
	if conflict != nil {
		err = fmt.Errorf("detect: save %d profiles: %w", len(records), conflict)
		// Events of the profiles about to be dropped may come again.
		s.seen = newIDSet(s.seen.size)
	}
	for _, entry := range entries {
		if conflict != nil && slices.Contains(conflict.Keys, entry.name) {
			s.cache.remove(entry)
			continue
		}
		entry.version, entry.dirty = entry.version+1, false
		s.saves++
	}
	return err
}

// put gives the store the records of the profiles, once it is settled what
// became of those it was given before.
func (s *shard) put(ctx context.Context, entries []*cached, records []baseline.Record) error {
	if err := s.settle(ctx, entries); err != nil {
		return err
	}
	for i, entry := range entries {
		records[i].Version = entry.version
	}
	err := s.engine.store.Save(ctx, records)
	if err == nil {
		return nil
	}
	if !errors.As(err, new(*baseline.ConflictError)) {
		for i, entry := range entries {
			entry.attempt = baseline.Hash(string(records[i].Data))
		}
	}
	return fmt.Errorf("detect: save %d profiles: %w", len(records), err)
}

// settle finds out what became of records whose save failed without saying
// whether they were stored. Without it, the next save of one that was would be
// refused as another writer's, and what was learnt since would be lost. It asks
// once: it is a part of a save that may be tried again.
func (s *shard) settle(ctx context.Context, entries []*cached) error {
	var unsure []*cached
	var names []string
	for _, entry := range entries {
		if entry.attempt != 0 {
			unsure = append(unsure, entry)
			names = append(names, entry.name)
		}
	}
	if len(unsure) == 0 {
		return nil
	}
	records, err := s.fetchOnce(ctx, names)
	if err != nil {
		return err
	}
	for i, entry := range unsure {
		if r := records[i]; r.Version == entry.version+1 && baseline.Hash(string(r.Data)) == entry.attempt {
			entry.version++
			s.saves++
		}
		entry.attempt = 0
	}
	return nil
}
