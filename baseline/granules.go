package baseline

import (
	"math/bits"
	"time"
)

// A grid cuts time into granules, so that 64 bits tell in which of the last 64
// something happened. It is fine enough for a window to span 13 to 16 of them,
// and long enough that a window still fits behind an event that is Lateness
// late.
type grid struct {
	granule time.Duration // whole seconds
	window  int64         // granules in a window
}

func newGrid(window time.Duration) grid {
	granule := max(window/16, (window+Lateness)/64)
	granule = (granule + time.Second - 1).Truncate(time.Second)
	return grid{granule: granule, window: max(1, int64(window/granule))}
}

func (g grid) of(t time.Time) int64 {
	return floorDiv(t.Unix(), int64(g.granule/time.Second))
}

// A trace says in which of 64 granules something happened, the last of them
// being the highest granule ever added.
type trace struct {
	last int64  // granule
	bits uint64 // bit i: in granule last-i
}

func (t *trace) add(granule int64) {
	switch {
	case t.bits == 0:
		t.last, t.bits = granule, 1
	case granule > t.last:
		t.bits = t.bits<<(granule-t.last) | 1
		t.last = granule
	case t.last-granule < 64:
		t.bits |= 1 << (t.last - granule)
	}
}

// within returns the bits of the granules from low to high, bit i standing for
// granule high-i.
func (t *trace) within(low, high int64) uint64 {
	if low > high {
		return 0
	}
	var b uint64
	if d := t.last - high; d >= 0 {
		b = t.bits >> min(d, 64)
	} else {
		b = t.bits << min(-d, 64)
	}
	if n := high - low + 1; n < 64 {
		b &= 1<<n - 1
	}
	return b
}

// next returns the first granule from low to high in which it happened.
func (t *trace) next(low, high int64) (granule int64, ok bool) {
	b := t.within(low, high)
	if b == 0 {
		return 0, false
	}
	return high - int64(63-bits.LeadingZeros64(b)), true
}
