package baseline

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cloudtell/cloudtell/baseline/internal/wire"
	"github.com/cloudtell/cloudtell/event"
)

// Errors of layouts and records.
var (
	// ErrFeature says that a set of features cannot stand together.
	ErrFeature = errors.New("baseline: bad feature")
	// ErrCorrupt says that a record is not what was saved.
	ErrCorrupt = errors.New("baseline: corrupt record")
	// ErrVersion says that a record has a format version that this code does
	// not know.
	ErrVersion = errors.New("baseline: unknown record version")
)

// MaxLateness is the most that a [Layout] may allow.
const MaxLateness = 24 * time.Hour

// A Layout is a set of features that are kept together for each key. It never
// changes, so any number of goroutines may use it.
type Layout struct {
	lateness time.Duration
	features []Feature
	ids      []featureID
	slots    map[Feature]int
	byID     map[featureID]int
	serials  []serialSlot // the slots of features made here, a hash table by serial
	index    *event.Index
	empty    []Cell // what a feature answers from before its cell exists
	noters   []noter
	maxBytes int
}

// NewLayout makes a layout of the features. An event that is older than the
// key's latest event by more than lateness is refused as late; 0 means
// [Lateness], and at most [MaxLateness] is possible. Answers are exact for
// disorder up to Lateness; events that come later still are folded as well as
// they can be.
//
// It returns an error that wraps [ErrFeature] if a feature is nil, has an
// empty ID, or shares its ID, or what records keep of it, with another one.
func NewLayout(lateness time.Duration, features ...Feature) (*Layout, error) {
	l := &Layout{
		lateness: clamp(cmp.Or(lateness, Lateness), time.Second, MaxLateness),
		features: slices.Clone(features),
		slots:    make(map[Feature]int, len(features)),
		byID:     make(map[featureID]int, len(features)),
		maxBytes: maxHeaderBytes,
	}
	byID := make(map[featureID]string, len(features))
	patterns := make([][]string, len(features))
	for i, f := range features {
		if f == nil || f.ID() == "" {
			return nil, fmt.Errorf("%w: feature %d is nil or has no ID", ErrFeature, i)
		}
		id := featureID(Hash(f.ID()) >> (64 - 8*idBytes))
		if other, taken := byID[id]; taken {
			if other != f.ID() {
				return nil, fmt.Errorf("%w: the IDs %q and %q are the same three bytes in records; rename one", ErrFeature, f.ID(), other)
			}
			return nil, fmt.Errorf("%w: two features have the ID %q; share one value instead", ErrFeature, f.ID())
		}
		byID[id] = f.ID()
		l.byID[id] = i
		l.slots[f] = i
		l.ids = append(l.ids, id)
		l.empty = append(l.empty, f.NewCell())
		var note noter
		if f, ok := f.(interface{ noter() noter }); ok {
			note = f.noter()
		}
		l.noters = append(l.noters, note)
		l.maxBytes += maxSlotBytes + f.MaxBytes()
		if s, ok := f.(interface{ Events() []string }); ok {
			patterns[i] = s.Events()
		}
	}
	index, err := event.NewIndex(patterns...)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFeature, err)
	}
	l.index = index
	l.hashSerials()
	return l, nil
}

// A featureID is what a record names a feature by: the beginning of the hash of
// its ID.
type featureID uint32

const idBytes = 3

func (id featureID) appendTo(b []byte) []byte {
	return append(b, byte(id>>16), byte(id>>8), byte(id))
}

func readID(r *wire.Reader) featureID {
	b := r.Fixed(idBytes)
	if b == nil {
		return 0
	}
	return featureID(b[0])<<16 | featureID(b[1])<<8 | featureID(b[2])
}

// find returns the slot of a feature, or -1. Records have their features in the
// order of the layout that wrote them, so it looks ahead of the last one's
// first: a comparison is a tenth of the cost of asking the map.
func (l *Layout) find(id featureID, ahead int) int {
	const few = 16
	for i := ahead; i < min(ahead+few, len(l.ids)); i++ {
		if l.ids[i] == id {
			return i
		}
	}
	if i, ok := l.byID[id]; ok {
		return i
	}
	return -1
}

// Features returns the layout's features. The caller must not modify the slice.
func (l *Layout) Features() []Feature { return l.features }

// MaxBytes is an upper bound of a record's size, in bytes.
func (l *Layout) MaxBytes() int { return l.maxBytes }

func (l *Layout) slot(f Feature) int {
	i, ok := l.slots[f]
	if !ok {
		panic(fmt.Sprintf("baseline: feature %q is not in this layout; a detector must declare it", f.ID()))
	}
	return i
}

// A serialSlot is an entry of a layout's hash table; serial 0 is none.
type serialSlot struct {
	serial uint32
	slot   int32
}

// hashSerials makes the table of serials, at most half full.
func (l *Layout) hashSerials() {
	size := 4
	for size < 2*len(l.features) {
		size *= 2
	}
	l.serials = make([]serialSlot, size)
	for i, f := range l.features {
		s, ok := f.(interface{ number() uint32 })
		if !ok {
			continue
		}
		at := int(s.number()) & (size - 1)
		for l.serials[at].serial != 0 {
			at = (at + 1) & (size - 1)
		}
		l.serials[at] = serialSlot{s.number(), int32(i)}
	}
}

// slotOf is slot for a feature made here, without hashing an interface. Rules
// ask for many features of each event.
func (l *Layout) slotOf(serial uint32, f Feature) int {
	mask := len(l.serials) - 1
	for at := int(serial) & mask; l.serials[at].serial != 0; at = (at + 1) & mask {
		if l.serials[at].serial == serial {
			return int(l.serials[at].slot)
		}
	}
	return l.slot(f) // panics
}

// maxHeaderBytes bounds a record without its cells; maxSlotBytes what a cell
// takes besides its own bytes.
const (
	maxHeaderBytes = 4 + 4 + 4*binary.MaxVarintLen64 + 3 + maxRecent*(8+binary.MaxVarintLen64) + 3 + 3
	maxSlotBytes   = idBytes + 2*binary.MaxVarintLen64 + binary.MaxVarintLen32
)
