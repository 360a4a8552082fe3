package benthosplugin

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// chunkSize is the number of events that detection takes at once: a message may
// hold a large log file, and a batch many of them.
const chunkSize = 4096

// clockSkew is how far ahead of this machine's clock a record may be dated. One
// wrong clock must not make all other records of its principal look late.
const clockSkew = time.Hour

// A processor is the component cloudtell.
type processor struct {
	keeper *keeper
	set    *detect.Set
	read   event.ReadOptions
	outbox int // findings kept per key
	log    *service.Logger

	events, findings, unread, retries *service.MetricCounter
}

// ProcessBatch implements [service.BatchProcessor]. It returns an error only if
// the context has ended.
func (p *processor) ProcessBatch(ctx context.Context, batch service.MessageBatch) ([]service.MessageBatch, error) {
	b := &batchRun{processor: p, batch: batch, problems: make(map[int]*problems)}
	options := p.read
	options.NotAfter = time.Now().Add(clockSkew)
	for i, m := range batch {
		data, err := m.AsBytes()
		if err != nil {
			b.problem(i, err)
			continue
		}
		for e, err := range event.Read(bytes.NewReader(data), &options) {
			if err != nil {
				b.problem(i, err)
				continue
			}
			b.events = append(b.events, e.Clone())
			b.messages = append(b.messages, i)
			if len(b.events) == chunkSize {
				if err := b.evaluate(ctx); err != nil {
					return nil, err
				}
			}
		}
	}
	if err := b.evaluate(ctx); err != nil {
		return nil, err
	}
	out := b.out
	for i, m := range batch {
		if pr := b.problems[i]; pr != nil {
			m.SetError(pr)
			out = append(out, m)
			p.unread.Incr(1)
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	return []service.MessageBatch{out}, nil
}

// Close implements [service.BatchProcessor]. All that was learnt is saved
// already.
func (p *processor) Close(context.Context) error { return nil }

// A batchRun is one batch on its way through the processor.
type batchRun struct {
	*processor
	batch    service.MessageBatch
	events   []*event.Event // not evaluated yet
	messages []int          // by event: the message it came in
	out      service.MessageBatch
	problems map[int]*problems // by message
}

// evaluate takes a step with the events at hand, and returns their findings as
// messages.
func (b *batchRun) evaluate(ctx context.Context) error {
	units := units(b.set, b.events, func(n int, err error) { b.problem(b.messages[n], err) })
	changes := make([]*change, len(units))
	for i, u := range units {
		u.apply = func(v *envelope) error { return u.step(b.set, v, b.outbox) }
		changes[i] = &u.change
	}
	err := b.keeper.update(ctx, changes, func(err error) {
		b.retries.Incr(1)
		b.log.Warnf("cloudtell: trying again: %v", err)
	})
	if err != nil {
		return fmt.Errorf("cloudtell: %w", err)
	}
	type report struct {
		number int
		record string
		*sent
	}
	var reports []report
	for _, u := range units {
		if u.panicked != nil {
			b.log.Errorf("cloudtell: %v", u.panicked)
		}
		if u.err != nil {
			for _, n := range u.numbers {
				b.problem(b.messages[n], fmt.Errorf("record of %q: %w", u.key, u.err))
			}
			continue
		}
		u.findings(func(n int, s *sent) { reports = append(reports, report{n, u.key, s}) })
	}
	slices.SortStableFunc(reports, func(a, b report) int { return cmp.Compare(a.number, b.number) })
	for _, r := range reports {
		m := b.batch[b.messages[r.number]].Copy()
		m.SetBytes(r.Finding)
		m.SetError(nil) // of the message that it was found in
		for name, value := range map[string]string{
			metaID:       r.ID,
			metaRevision: strconv.Itoa(r.Revision),
			metaRule:     r.Rule,
			metaSeverity: r.Severity.String(),
			metaRecord:   r.record,
		} {
			m.MetaSet(name, value)
		}
		b.out = append(b.out, m)
	}
	b.processor.events.Incr(int64(len(b.events)))
	b.findings.Incr(int64(len(reports)))
	clear(b.events)
	b.events, b.messages = b.events[:0], b.messages[:0]
	return nil
}

// The metadata of findings.
const (
	metaID       = "cloudtell_id"
	metaRevision = "cloudtell_revision"
	metaRule     = "cloudtell_rule"
	metaSeverity = "cloudtell_severity"
	metaRecord   = "cloudtell_record" // the key of the record whose outbox it is in
)

// problem notes what is wrong with a message.
func (b *batchRun) problem(message int, err error) {
	pr := b.problems[message]
	if pr == nil {
		pr = &problems{}
		b.problems[message] = pr
	}
	pr.add(err)
}

// problems are what is wrong with one message. It is an error that shows the
// first few.
type problems struct {
	first []error
	more  int
}

func (pr *problems) add(err error) {
	const shown = 3
	if len(pr.first) == shown {
		pr.more++
		return
	}
	pr.first = append(pr.first, err)
}

// Error implements error.
func (pr *problems) Error() string {
	s := errors.Join(pr.first...).Error()
	if pr.more > 0 {
		s += fmt.Sprintf("\nand %d more", pr.more)
	}
	return s
}

// Unwrap returns the errors shown.
func (pr *problems) Unwrap() []error { return pr.first }
