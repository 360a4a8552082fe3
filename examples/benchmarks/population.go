//go:build unix

package main

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/examples/account"
)

// A population is many principals that do what they have always done: copies
// of the generated account's, each with a key of its own and the baseline that
// the original has learnt in three weeks. It hands out their further events, and
// it is the store that the baselines come from.
//
// Ten minutes of the first copy are followed by the same ten minutes of the
// second, and so on, so that different events follow one another, each key's in
// the order of time. Buckets and sign-in addresses, which a few rules keep
// baselines about, are the same for all copies.
type population struct {
	baseline.Memory                         // records that were saved
	templates       map[string][]byte       // records of the originals, by store key
	seen            map[string]*event.Event // one event of each original, by principal
	names           map[string][]string     // the copies' keys, by principal
	copies          int
	only            detectCase // which events and principals

	records func() (account.Record, bool)
	next    *event.Event   // the first one of the next window
	own     []*event.Event // of the window, made by or for somebody
	service []*event.Event // of the window, AWS's own
	copy, i int            // whose turn it is, and with which of own
	beside  int            // AWS's own events still due
	id      uint32
	ids     []byte
}

// window is how much of one copy's time goes by before the next copy's turn:
// less than [baseline.Lateness].
const window = 10 * time.Minute

// servicesShare is how many events of AWS's own there are to every other one:
// 75 % of the events of real accounts are (27,476 of 36,857 that were looked at).
const servicesShare = 3

var (
	accountStart = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)
	// learnt is until when the originals are learnt: a Monday evening.
	learnt = accountStart.AddDate(0, 0, 21).Add(22 * time.Hour)
)

// newPopulation lets a set learn the account's first three weeks, and makes at
// least as many principals of the account's as the case wants.
func newPopulation(set *detect.Set, d detectCase) (*population, error) {
	p := &population{
		templates: make(map[string][]byte), seen: make(map[string]*event.Event), names: make(map[string][]string), only: d,
	}
	// The process ends with the population, so nothing has to be stopped.
	p.records, _ = iter.Pull(account.New(&account.Options{Seed: 1, Start: accountStart, Days: 60}).Records())

	ctx := context.Background()
	var originals baseline.Memory
	engine, err := detect.NewEngine(set, &originals, &detect.EngineOptions{Shards: 1})
	if err != nil {
		return nil, err
	}
	var events []*event.Event
	process := func() error {
		_, err := engine.Process(ctx, events)
		events = events[:0]
		return err
	}
	for {
		e, err := p.read()
		if err != nil {
			return nil, err
		}
		if !e.Time.Before(learnt) {
			p.next = e
			break
		}
		if key := detect.ByPrincipal.Key(e); key != "" {
			p.seen[key] = e
		}
		if events = append(events, e); len(events) == batchSize {
			if err := process(); err != nil {
				return nil, err
			}
		}
	}
	if err := errors.Join(process(), engine.Flush(ctx)); err != nil {
		return nil, err
	}
	for r := range originals.All() {
		p.templates[r.Key] = r.Data
	}
	if d.typical {
		p.keepTypical()
	}
	p.copies = (d.principals + len(p.seen) - 1) / len(p.seen)
	for key := range p.seen {
		p.name(key)
	}
	return p, nil
}

// keepTypical keeps the fifth of the principals whose records are of middling
// size.
func (p *population) keepTypical() {
	size := func(key string) int { return len(p.templates[detect.ByPrincipal.Name+"/"+key]) }
	keys := slices.SortedFunc(maps.Keys(p.seen), func(a, b string) int {
		return cmp.Or(cmp.Compare(size(a), size(b)), cmp.Compare(a, b))
	})
	n := len(keys)
	for _, key := range slices.Concat(keys[:n*2/5], keys[n*3/5:]) {
		delete(p.seen, key)
	}
}

// principals is how many there are.
func (p *population) principals() int { return len(p.seen) * p.copies }

// name returns the keys of a principal's copies. The first is the principal
// itself.
func (p *population) name(key string) []string {
	names := p.names[key]
	if names == nil {
		names = append(names, key)
		for i := 1; i < p.copies; i++ {
			names = append(names, fmt.Sprintf("%s%c%d", key, copyMark, i))
		}
		p.names[key] = names
	}
	return names
}

// copyMark stands before a copy's number.
const copyMark = '#'

func (p *population) read() (*event.Event, error) {
	r, ok := p.records()
	if !ok {
		return nil, errors.New("the account's log is at its end: fewer rounds, or more principals")
	}
	return event.Parse(r.JSON)
}

// advance reads the next window.
func (p *population) advance() error {
	p.own, p.service, p.copy, p.i = p.own[:0], p.service[:0], 0, 0
	end := p.next.Time.Truncate(window).Add(window)
	for p.next.Time.Before(end) {
		switch key := detect.ByPrincipal.Key(p.next); {
		case key != "" && p.only.typical && p.seen[key] == nil:
		case key != "":
			p.own = append(p.own, p.next)
		case p.only.keyed:
		case p.next.Principal.Kind == event.Service:
			p.service = append(p.service, p.next)
		default:
			p.own = append(p.own, p.next)
		}
		var err error
		if p.next, err = p.read(); err != nil {
			return err
		}
	}
	return nil
}

// skip leaves out what happens until then.
func (p *population) skip(until time.Time) error {
	for p.next.Time.Before(until) {
		if err := p.advance(); err != nil {
			return err
		}
	}
	p.copy, p.i = p.copies, len(p.own)
	return nil
}

// fill sets as many events as there is room for, and returns their number.
// With services, AWS's own are among them. It stops before a window that begins
// at the given time, if any, or later.
func (p *population) fill(events []*event.Event, services bool, until time.Time) (int, error) {
	n, first := 0, p.id
	for n < len(events) {
		switch {
		case services && p.beside > 0 && len(p.service) > 0:
			*events[n] = *p.service[int(p.id)%len(p.service)]
			p.beside--
		case p.i < len(p.own):
			e := p.own[p.i]
			*events[n] = *e
			if e.Principal.Key != "" && p.copy > 0 {
				events[n].Principal.Key = p.name(e.Principal.Key)[p.copy]
			}
			p.i++
			p.beside = servicesShare
		case p.copy < p.copies-1 && len(p.own) > 0:
			p.copy++
			p.i = 0
			continue
		case !until.IsZero() && !p.next.Time.Truncate(window).Before(until):
			return p.identify(events[:n], first), nil
		default:
			if err := p.advance(); err != nil {
				return 0, err
			}
			continue
		}
		p.id++
		n++
	}
	return p.identify(events, first), nil
}

// identify gives the events ids of their own.
func (p *population) identify(events []*event.Event, first uint32) int {
	p.ids = p.ids[:0]
	for i, e := range events {
		var number [4]byte
		binary.BigEndian.PutUint32(number[:], first+uint32(i))
		p.ids = hex.AppendEncode(p.ids, number[:])
		p.ids = append(p.ids, e.ID[8:]...)
	}
	ids := string(p.ids)
	for _, e := range events {
		e.ID, ids = ids[:len(e.ID)], ids[len(e.ID):]
	}
	return len(events)
}

// greetings yields an event for each principal that is too old to be evaluated,
// in batches made in the given room.
func (p *population) greetings(room []*event.Event) iter.Seq[[]*event.Event] {
	return func(yield func([]*event.Event) bool) {
		n := 0
		for i := range p.copies {
			for key, e := range p.seen {
				*room[n] = *e
				room[n].Time = accountStart
				room[n].Principal.Key = p.name(key)[i]
				if n++; n == len(room) {
					if !yield(room) {
						return
					}
					n = 0
				}
			}
		}
		yield(room[:n])
	}
}

// Load returns what was saved of the keys, or the original's record.
//
// To those who use it, every record of an original or a copy was saved once
// before: versions in Memory are one behind.
func (p *population) Load(ctx context.Context, keys []string) ([]baseline.Record, error) {
	records, err := p.Memory.Load(ctx, keys)
	for i := range records {
		r := &records[i]
		t := p.template(r.Key)
		if t == nil {
			continue
		}
		if r.Version == 0 {
			r.Data = slices.Clone(t)
		}
		r.Version++
	}
	return records, err
}

// Save keeps records.
func (p *population) Save(ctx context.Context, records []baseline.Record) error {
	own := slices.Clone(records)
	for i := range own {
		if p.template(own[i].Key) != nil {
			own[i].Version--
		}
	}
	return p.Memory.Save(ctx, own)
}

// template returns the record that everybody begins with who has that key, or
// nil.
func (p *population) template(key string) []byte {
	if original, _, ok := strings.Cut(key, string(copyMark)); ok {
		return p.templates[original]
	}
	return p.templates[key]
}
