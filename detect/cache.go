package detect

import (
	"container/list"

	"github.com/cloudtell/cloudtell/baseline"
)

// A cache holds profiles, the least recently used of which may be dropped.
type cache struct {
	size    int
	entries map[cacheKey]*list.Element // of *cached
	order   *list.List                 // most recently used first
}

type cacheKey struct {
	group int
	key   string
}

type cached struct {
	key     cacheKey
	profile *baseline.Profile
	version uint64
	dirty   bool // changed since loaded or saved
	// attempt is the hash of the record last given to a save that failed
	// without saying whether the record was stored; 0 if there is none.
	attempt uint64
}

func newCache(size int) *cache {
	return &cache{size: size, entries: make(map[cacheKey]*list.Element), order: list.New()}
}

func (c *cache) len() int { return len(c.entries) }

// get returns the entry and marks it as used, or nil.
func (c *cache) get(group int, key string) *cached {
	el := c.entries[cacheKey{group, key}]
	if el == nil {
		return nil
	}
	c.order.MoveToFront(el)
	return el.Value.(*cached)
}

func (c *cache) peek(k cacheKey) *cached { return c.entries[k].Value.(*cached) }

// put adds an entry, which has no profile yet.
func (c *cache) put(k cacheKey) *cached {
	e := &cached{key: k}
	c.entries[k] = c.order.PushFront(e)
	return e
}

func (c *cache) remove(k cacheKey) {
	if el := c.entries[k]; el != nil {
		c.order.Remove(el)
		delete(c.entries, k)
	}
}

// excess returns the keys that are too many, the least recently used ones.
func (c *cache) excess() []cacheKey {
	var keys []cacheKey
	for el, n := c.order.Back(), c.len()-c.size; n > 0; el, n = el.Prev(), n-1 {
		keys = append(keys, el.Value.(*cached).key)
	}
	return keys
}

// dirty returns the keys of changed profiles.
func (c *cache) dirty() []cacheKey {
	var keys []cacheKey
	for el := c.order.Back(); el != nil; el = el.Prev() {
		if e := el.Value.(*cached); e.dirty {
			keys = append(keys, e.key)
		}
	}
	return keys
}

// An idSet remembers at least the last size ids added to it, and an eighth more
// at most. Ids are added to a small part of it, which stays in the processor's
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
