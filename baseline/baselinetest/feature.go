package baselinetest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/event/eventtest/stream"
)

// The lines of [baseline.Cell]'s contract.
var cellLines = []line[*trial]{
	{1, "Only one goroutine uses a cell at a time", cellsApart},
	{2, "Fold takes events in any order within Lateness; the order leaves no trace in later answers. The event must not be kept or modified", cellOrder},
	{3, "AppendBinary appends at most the feature's MaxBytes, whatever was folded", cellBounded},
	{4, "Equal histories encode to equal bytes", cellEqual},
	{5, "UnmarshalBinary of those bytes restores a cell that answers and evolves as the original would have", cellRestores},
	{6, "UnmarshalBinary of any other bytes returns an error and leaves the cell as it was, or restores a cell that keeps this contract; it never panics and never allocates more than MaxBytes would need", cellRefuses},
	{7, "FoldValue does what Fold does for an event with that value", cellFoldsValues},
}

// TestFeature holds a feature's cells to the contract of [baseline.Cell], on
// the given events and on streams made of them: out of order, and as a flood
// of hostile values. What a cell remembers is judged by its bytes, so the given
// events should not carry more values than the cell can hold: which of too
// many are kept may depend on the order. The error names each line that was
// broken.
//
// The events should have been decoded from CloudTrail records, so that others
// can be made of them.
func TestFeature(f baseline.Feature, events []*event.Event) error {
	tr, err := newTrial(f, events)
	if err != nil {
		return err
	}
	var errs []error
	for _, l := range cellLines {
		errs = append(errs, l.check(tr.fresh()))
	}
	return errors.Join(errs...)
}

// Feature is [TestFeature] with a subtest for each line.
func Feature(t *testing.T, f baseline.Feature, events []*event.Event) {
	t.Helper()
	tr, err := newTrial(f, events)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range cellLines {
		t.Run(fmt.Sprintf("line %d", l.number), func(t *testing.T) {
			if err := l.check(tr.fresh()); err != nil {
				t.Error(err)
			}
		})
	}
}

// A trial is a feature on trial, and the events that its cells are given.
type trial struct {
	feature baseline.Feature
	given   []*event.Event // in the order of time
	flood   func() []*event.Event
}

const floodSize = 10_000

func newTrial(f baseline.Feature, events []*event.Event) (*trial, error) {
	id, limit := f.ID(), f.MaxBytes()
	if again := f.ID(); id == "" || id != again {
		return nil, fmt.Errorf("the feature's ID is %q, and then %q", id, again)
	}
	if again := f.MaxBytes(); limit <= 0 || limit != again {
		return nil, fmt.Errorf("feature %q: MaxBytes is %d, and then %d", id, limit, again)
	}
	tr := &trial{feature: f, given: slices.Clone(events)}
	slices.SortStableFunc(tr.given, func(a, b *event.Event) int { return a.Time.Compare(b.Time) })
	unasked := func(*event.Event) bool { return false }
	// A cell sees only what its feature asks for.
	if s, ok := f.(interface{ Events() []string }); ok {
		index, err := event.NewIndex(s.Events())
		if err != nil {
			return nil, err
		}
		unasked = func(e *event.Event) bool { return len(index.Lookup(e)) == 0 }
	}
	tr.flood = sync.OnceValue(func() []*event.Event {
		return slices.DeleteFunc(hostile(events), unasked)
	})
	tr.given = slices.DeleteFunc(tr.given, unasked)
	if len(tr.given) == 0 {
		return nil, fmt.Errorf("feature %q: there are no events for it", f.ID())
	}
	empty, err1 := tr.encode(f.NewCell())
	full, err2 := tr.encode(tr.folded(tr.fresh().given))
	if err1 == nil && err2 == nil && bytes.Equal(empty, full) {
		return nil, fmt.Errorf("feature %q: the events leave it empty, so that it cannot be tried on them", f.ID())
	}
	return tr, nil
}

// hostile returns a flood of events like those given.
func hostile(events []*event.Event) []*event.Event {
	var flood []*event.Event
	if f := stream.NewFlood(func(e *event.Event) string { return e.Principal.Key }, events); f != nil {
		for i := range floodSize {
			flood = append(flood, f.Event(i, time.Duration(i)*time.Minute))
		}
	}
	return flood
}

// fresh returns the trial with given events of its own, so that a cell that
// modifies them does not spoil the next line, nor the caller's events.
func (tr *trial) fresh() *trial {
	own := *tr
	own.given = make([]*event.Event, len(tr.given))
	for i, e := range tr.given {
		own.given[i] = e.Clone()
	}
	return &own
}

// newRand returns a source of the same numbers in every run.
func newRand() *rand.Rand { return rand.New(rand.NewPCG(2026, 11)) }

// A history folds events into a cell and keeps the key's clock.
type history struct {
	cell baseline.Cell
	now  time.Time
}

func (h *history) fold(events ...*event.Event) {
	for _, e := range events {
		if e.Time.After(h.now) {
			h.now = e.Time
		}
		h.cell.Fold(e, h.now)
	}
}

// folded returns a cell that has folded the events.
func (tr *trial) folded(events []*event.Event) baseline.Cell {
	h := history{cell: tr.feature.NewCell()}
	h.fold(events...)
	return h.cell
}

// encode encodes a cell and checks the size.
func (tr *trial) encode(c baseline.Cell) ([]byte, error) {
	const prefix = "prefix"
	b, err := c.AppendBinary([]byte(prefix))
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	b, ok := bytes.CutPrefix(b, []byte(prefix))
	if !ok {
		return nil, errors.New("what was there before AppendBinary is gone")
	}
	if len(b) > tr.feature.MaxBytes() {
		return nil, fmt.Errorf("%d bytes, over MaxBytes of %d", len(b), tr.feature.MaxBytes())
	}
	return b, nil
}

// same checks that two cells encode to the same bytes.
func (tr *trial) same(a, b baseline.Cell) error {
	x, err := tr.encode(a)
	if err != nil {
		return err
	}
	y, err := tr.encode(b)
	if err != nil {
		return err
	}
	if !bytes.Equal(x, y) {
		return fmt.Errorf("the bytes differ: %x and %x", clip(x), clip(y))
	}
	return nil
}

func clip(b []byte) []byte { return b[:min(len(b), 64)] }

// cellsApart uses several cells at once, each in a goroutine of its own: cells
// must share nothing.
func cellsApart(tr *trial) error {
	empty, err := tr.encode(tr.feature.NewCell())
	if err != nil {
		return err
	}
	cells := make([]baseline.Cell, 4)
	var wg sync.WaitGroup
	for i := range cells {
		wg.Go(func() { cells[i] = tr.folded(tr.given) })
	}
	wg.Wait()
	for _, c := range cells[1:] {
		if err := tr.same(cells[0], c); err != nil {
			return fmt.Errorf("of cells in different goroutines %w", err)
		}
	}
	fresh, err := tr.encode(tr.feature.NewCell())
	if err != nil {
		return err
	}
	if !bytes.Equal(empty, fresh) {
		return errors.New("a new cell is not empty when another one has folded events")
	}
	return nil
}

func cellOrder(tr *trial) error {
	// An event that is kept is another one the next time.
	var reused event.Event
	h := history{cell: tr.feature.NewCell()}
	for _, e := range tr.given {
		reused = *e.Clone()
		h.fold(&reused)
		if !reflect.DeepEqual(&reused, e) {
			return fmt.Errorf("event %s was modified", e.ID)
		}
	}
	inOrder := tr.folded(tr.given)
	if err := tr.same(inOrder, h.cell); err != nil {
		return fmt.Errorf("with one event that is reused %w", err)
	}
	rng := newRand()
	for range 5 {
		if err := tr.same(inOrder, tr.folded(stream.Shuffle(rng, tr.given, baseline.Lateness))); err != nil {
			return fmt.Errorf("in order and out of order %w", err)
		}
	}
	return nil
}

func cellBounded(tr *trial) error {
	h := history{cell: tr.feature.NewCell()}
	for batch := range slices.Chunk(tr.flood(), 500) {
		h.fold(batch...)
		if _, err := tr.encode(h.cell); err != nil {
			return fmt.Errorf("in a flood of hostile values: %w", err)
		}
	}
	return nil
}

func cellEqual(tr *trial) error {
	for _, events := range [][]*event.Event{tr.given, tr.flood()[:min(len(tr.flood()), 2000)]} {
		c := tr.folded(events)
		once, err := tr.encode(c)
		if err != nil {
			return err
		}
		twice, err := tr.encode(c)
		if err != nil {
			return err
		}
		if !bytes.Equal(once, twice) {
			return errors.New("encoded twice the bytes differ")
		}
		if err := tr.same(c, tr.folded(events)); err != nil {
			return err
		}
	}
	return nil
}

func cellRestores(tr *trial) error {
	rng := newRand()
	for _, events := range [][]*event.Event{stream.Shuffle(rng, tr.given, baseline.Lateness), tr.flood()[:min(len(tr.flood()), 2000)]} {
		original := history{cell: tr.feature.NewCell()}
		restored := history{cell: tr.feature.NewCell()}
		for _, e := range events {
			original.fold(e)
			restored.fold(e)
			if rng.IntN(8) > 0 {
				continue
			}
			b, err := tr.encode(restored.cell)
			if err != nil {
				return err
			}
			restored.cell = tr.feature.NewCell()
			// The bytes are not the cell's to keep.
			given := bytes.Clone(b)
			if err := restored.cell.UnmarshalBinary(given); err != nil {
				return fmt.Errorf("decode: %w", err)
			}
			clear(given)
			if err := tr.same(original.cell, restored.cell); err != nil {
				return fmt.Errorf("saved and loaded on the way, %w", err)
			}
		}
		if err := tr.same(original.cell, restored.cell); err != nil {
			return fmt.Errorf("saved and loaded on the way, %w", err)
		}
	}
	return nil
}

func cellRefuses(tr *trial) error {
	good, err := tr.encode(tr.folded(tr.given))
	if err != nil {
		return err
	}
	for _, data := range damaged(newRand(), good) {
		if err := tr.refuses(data); err != nil {
			return fmt.Errorf("bytes %x: %w", clip(data), err)
		}
	}
	return tr.allocates(good)
}

// A profile gives values to cells that take them.
func cellFoldsValues(tr *trial) error {
	if _, ok := tr.feature.NewCell().(baseline.ValueFolder); !ok {
		return nil
	}
	layout, err := baseline.NewLayout(0, tr.feature)
	if err != nil {
		return err
	}
	profile, h := layout.NewProfile(), history{cell: tr.feature.NewCell()}
	for _, e := range tr.given {
		if profile.Fold(e) == baseline.Evaluated {
			h.fold(e)
		}
	}
	return tr.same(profile.Cell(tr.feature), h.cell)
}

// damaged returns bytes that no cell has written, or hardly ever.
func damaged(rng *rand.Rand, good []byte) [][]byte {
	all := [][]byte{nil, {0}, {1}, bytes.Repeat([]byte{0xff}, 10), bytes.Repeat([]byte{0x80}, 40)}
	for i := range good { // cut short
		all = append(all, good[:i:i])
	}
	all = append(all, append(bytes.Clone(good), 0), append(bytes.Clone(good), good...))
	for range 500 { // flipped bits
		b := bytes.Clone(good)
		if len(b) > 0 {
			b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
		}
		all = append(all, b)
	}
	for i := range 500 { // numbers that are out of all bounds
		b := bytes.Clone(good)
		at := rng.IntN(len(b) + 1)
		huge := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}
		if i%2 == 0 {
			huge = huge[5:]
		}
		all = append(all, slices.Concat(b[:at], huge, b[min(at+1, len(b)):]))
	}
	for range 500 { // noise
		b := make([]byte, rng.IntN(200))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		all = append(all, b)
	}
	return all
}

// refuses gives the bytes to a cell that has a history.
func (tr *trial) refuses(data []byte) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	h := history{cell: tr.folded(tr.given[:len(tr.given)/2]), now: tr.given[len(tr.given)/2].Time}
	before, err := tr.encode(h.cell)
	if err != nil {
		return err
	}
	if h.cell.UnmarshalBinary(data) != nil {
		after, err := tr.encode(h.cell)
		if err != nil {
			return err
		}
		if !bytes.Equal(before, after) {
			return fmt.Errorf("refused, but the cell has changed: it encoded to %x, and now to %x", clip(before), clip(after))
		}
		return nil
	}
	again := tr.feature.NewCell()
	b, err := tr.encode(h.cell)
	if err != nil {
		return fmt.Errorf("accepted, but: %w", err)
	}
	if err := again.UnmarshalBinary(b); err != nil {
		return fmt.Errorf("accepted, but what it encodes to is refused: %w", err)
	}
	if err := tr.same(h.cell, again); err != nil {
		return fmt.Errorf("accepted, but saved and loaded %w", err)
	}
	h.fold(tr.given...)
	h.fold(tr.flood()[:min(len(tr.flood()), 50)]...)
	if _, err := tr.encode(h.cell); err != nil {
		return fmt.Errorf("accepted, but later: %w", err)
	}
	return nil
}

// allocates measures what decoding of hostile bytes allocates.
func (tr *trial) allocates(good []byte) error {
	// A cell may take several times its bytes in memory, and other goroutines
	// allocate meanwhile.
	limit := uint64(64*tr.feature.MaxBytes() + 64<<10)
	cell := tr.feature.NewCell()
	var before, after runtime.MemStats
	for _, data := range damaged(newRand(), good) {
		runtime.ReadMemStats(&before)
		_ = cell.UnmarshalBinary(data) // refuses has judged the error
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > limit {
			return fmt.Errorf("bytes %x: decoding them allocates %d bytes; MaxBytes is %d", clip(data), n, tr.feature.MaxBytes())
		}
	}
	return nil
}
