package benthosplugin

import (
	"context"
	"slices"
	"strconv"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// A delivered is the component cloudtell_delivered.
type delivered struct {
	keeper *keeper
	log    *service.Logger
}

func (p *plugin) newDelivered(conf *service.ParsedConfig, res *service.Resources) (out service.BatchOutput, policy service.BatchPolicy, inFlight int, err error) {
	if inFlight, err = conf.FieldMaxInFlight(); err != nil {
		return nil, policy, 0, err
	}
	k, err := p.keeper(conf)
	return &delivered{keeper: k, log: res.Logger()}, policy, inFlight, err
}

// Connect implements [service.BatchOutput].
func (d *delivered) Connect(context.Context) error { return nil }

// WriteBatch implements [service.BatchOutput]: it takes the findings out of their
// outboxes. It waits for a store that fails.
func (d *delivered) WriteBatch(ctx context.Context, batch service.MessageBatch) error {
	type name struct {
		id       string
		revision int
	}
	byRecord := make(map[string][]name)
	for _, m := range batch {
		record, ok := m.MetaGet(metaRecord)
		if !ok {
			continue
		}
		id, _ := m.MetaGet(metaID)
		text, _ := m.MetaGet(metaRevision)
		revision, err := strconv.Atoi(text)
		if err != nil {
			continue
		}
		byRecord[record] = append(byRecord[record], name{id, revision})
	}
	var changes []*change
	for record, names := range byRecord {
		changes = append(changes, &change{key: record, apply: func(v *envelope) error {
			v.outbox = slices.DeleteFunc(v.outbox, func(s sent) bool { return slices.Contains(names, name{s.ID, s.Revision}) })
			return nil
		}})
	}
	err := d.keeper.update(ctx, changes, func(err error) { d.log.Warnf("cloudtell_delivered: trying again: %v", err) })
	if err != nil {
		return err
	}
	for _, c := range changes {
		if c.err != nil { // the findings are out, and nobody can read their outbox
			d.log.Errorf("cloudtell_delivered: record of %q: %v", c.key, c.err)
		}
	}
	return nil
}

// Close implements [service.BatchOutput].
func (d *delivered) Close(context.Context) error { return nil }
