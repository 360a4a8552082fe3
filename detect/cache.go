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

// get returns the entry and marks it as used, or nil. An entry put as nil is
// a placeholder and comes back without a profile.
func (c *cache) get(group int, key string) *cached {
	el := c.entries[cacheKey{group, key}]
	if el == nil {
		return nil
	}
	c.order.MoveToFront(el)
	return el.Value.(*cached)
}

func (c *cache) peek(k cacheKey) *cached { return c.entries[k].Value.(*cached) }

func (c *cache) put(k cacheKey, e *cached) {
	if e == nil {
		e = &cached{}
	}
	e.key = k
	if el := c.entries[k]; el != nil {
		el.Value = e
		return
	}
	c.entries[k] = c.order.PushFront(e)
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

// An idSet remembers at least the last size ids added to it, and at most
// twice as many, in two generations.
type idSet struct {
	size         int
	young, aging map[uint64]struct{}
}

func newIDSet(size int) *idSet {
	return &idSet{size: size, young: make(map[uint64]struct{}), aging: make(map[uint64]struct{})}
}

func (s *idSet) has(id uint64) bool {
	if _, ok := s.young[id]; ok {
		return true
	}
	_, ok := s.aging[id]
	return ok
}

func (s *idSet) add(id uint64) {
	if len(s.young) >= s.size {
		s.young, s.aging = s.aging, s.young
		clear(s.young)
	}
	s.young[id] = struct{}{}
}
