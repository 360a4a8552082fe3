package worker

// An entry is a record as it was last loaded or saved.
type entry struct {
	envelope
	version uint64
	// owed says that the outbox may not have been published.
	owed bool
}

// A cache keeps the entries used last, in two generations: when the younger is
// full, the older is dropped.
type cache struct {
	max        int // of both together
	young, old map[string]*entry
}

func newCache(size int) *cache {
	return &cache{max: size, young: make(map[string]*entry)}
}

func (c *cache) get(key string) *entry {
	e := c.young[key]
	if e == nil {
		if e = c.old[key]; e != nil {
			delete(c.old, key)
			c.young[key] = e
		}
	}
	return e
}

func (c *cache) put(key string, e *entry) { c.young[key] = e }

func (c *cache) remove(key string) {
	delete(c.young, key)
	delete(c.old, key)
}

// trim makes room. Between two calls the cache may grow beyond its size, by the
// keys of a batch.
func (c *cache) trim() {
	if len(c.young) > c.max/2 {
		c.young, c.old = make(map[string]*entry), c.young
	}
}
