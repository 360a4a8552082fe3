package detect

import "github.com/cloudtell/cloudtell/baseline"

// A cache holds profiles, the least recently used of which may be dropped.
type cache struct {
	size   int
	count  int
	groups []cacheGroup
	order  cached // the ring of entries begins and ends here: next is the most recently used
}

// A cacheGroup has the entries of one group, by key.
type cacheGroup struct {
	prefix  string // of the keys in the store
	entries map[string]*cached
}

type cached struct {
	group   int
	name    string // of the record in the store: the group's prefix and the key
	profile *baseline.Profile
	version uint64
	dirty   bool // changed since loaded or saved
	// attempt is the hash of the record last given to a save that failed
	// without saying whether the record was stored; 0 if there is none.
	attempt uint64

	next, previous *cached // in the cache's order; nil for an entry that has left it
}

func newCache(size int, groups []*group) *cache {
	c := &cache{size: size}
	for _, g := range groups {
		c.groups = append(c.groups, cacheGroup{g.scope.Name + "/", make(map[string]*cached)})
	}
	c.order.next, c.order.previous = &c.order, &c.order
	return c
}

func (c *cache) len() int { return c.count }

// name is what the record of a key is called in the store.
func (c *cache) name(group int, key string) string { return c.groups[group].prefix + key }

// peek returns an entry, or nil.
func (c *cache) peek(group int, key string) *cached { return c.groups[group].entries[key] }

// get returns an entry and marks it as used, or nil.
func (c *cache) get(group int, key string) *cached {
	e := c.peek(group, key)
	if e != nil && e != c.order.next {
		e.leave()
		c.lead(e)
	}
	return e
}

// put adds an entry, which has no profile yet. It does not keep the key, which
// may be an event's memory.
func (c *cache) put(group int, key string) *cached {
	e := &cached{group: group, name: c.name(group, key)}
	g := &c.groups[group]
	g.entries[e.name[len(g.prefix):]] = e
	c.count++
	c.lead(e)
	return e
}

// remove drops an entry, if it is there.
func (c *cache) remove(e *cached) {
	if e.next == nil {
		return
	}
	e.leave()
	e.next, e.previous = nil, nil
	g := &c.groups[e.group]
	delete(g.entries, e.name[len(g.prefix):])
	c.count--
}

// lead makes an entry that is not in the order the most recently used one.
func (c *cache) lead(e *cached) {
	e.next, e.previous = c.order.next, &c.order
	e.next.previous, e.previous.next = e, e
}

// leave takes an entry out of the order.
func (e *cached) leave() { e.next.previous, e.previous.next = e.previous, e.next }

// excess returns the entries that are too many, the least recently used ones
// first.
func (c *cache) excess() []*cached {
	var some []*cached
	for e := c.order.previous; len(some) < c.count-c.size; e = e.previous {
		some = append(some, e)
	}
	return some
}

// dirty returns the entries of changed profiles.
func (c *cache) dirty() []*cached {
	var some []*cached
	for e := c.order.previous; e != &c.order; e = e.previous {
		if e.dirty {
			some = append(some, e)
		}
	}
	return some
}

// An idSet remembers at least the last size ids added to it, and not many
// more. Ids are added to a small part of it, which stays in the processor's
// cache; to look one up, which is seldom needed, takes a look at each part.
type idSet struct {
	size  int
	parts [idParts + 1]ids
	young int // the part that ids are added to; the next is the oldest
}

const idParts = 8

func newIDSet(size int) *idSet { return &idSet{size: size} }

func (s *idSet) has(id uint64) bool {
	id = max(id, 1)
	for i := range s.parts {
		if s.parts[i].has(id) {
			return true
		}
	}
	return false
}

// add adds an id that the set does not have.
func (s *idSet) add(id uint64) {
	young := &s.parts[s.young]
	if young.count*idParts >= s.size {
		s.young = (s.young + 1) % len(s.parts)
		young = &s.parts[s.young]
		clear(young.slots)
		young.count = 0
	}
	young.add(max(id, 1))
}

// ids is a hash table of ids, which are random and not 0, at most half full.
type ids struct {
	slots []uint64 // a power of two; 0 is none
	count int
}

func (t *ids) has(id uint64) bool { return len(t.slots) > 0 && t.slots[t.find(id)] == id }

// find returns the slot that an id is in, or would be.
func (t *ids) find(id uint64) uint64 {
	mask := uint64(len(t.slots) - 1)
	i := id & mask
	for t.slots[i] != id && t.slots[i] != 0 {
		i = (i + 1) & mask
	}
	return i
}

func (t *ids) add(id uint64) {
	if 2*t.count >= len(t.slots) {
		old := t.slots
		t.slots = make([]uint64, max(16, 2*len(old)))
		for _, id := range old {
			if id != 0 {
				t.slots[t.find(id)] = id
			}
		}
	}
	t.slots[t.find(id)] = id
	t.count++
}
