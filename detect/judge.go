package detect

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cloudtell/cloudtell/baseline"
)

// Judge keeps what a person decided about a finding in the record of its key,
// and returns the new record. Benign makes what was unusual about the finding
// ([Finding.Unusual]) normal for the key at once, Malicious keeps it from ever
// becoming normal, Undecided takes an earlier verdict back. The finding may
// come from JSON.
//
// The error wraps [baseline.ErrVerdict] if nothing was unusual, so that there
// is nothing to decide (a [Suppression] is the way then), or if not all of it
// could be kept; the record then has what could.
func (s *Set) Judge(record []byte, f *Finding, verdict baseline.Verdict) ([]byte, error) {
	g, err := s.groupOfFinding(f)
	if err != nil {
		return nil, err
	}
	profile, err := g.layout.Decode(record)
	if err != nil {
		return nil, err
	}
	kept, judged := judge(profile, f, verdict)
	if !kept {
		return record, judged
	}
	if record, err = profile.AppendBinary(nil); err != nil {
		return nil, err
	}
	return record, judged
}

// judge reports whether the profile has kept anything of the verdict.
func judge(p *baseline.Profile, f *Finding, verdict baseline.Verdict) (kept bool, err error) {
	if len(f.Unusual) == 0 {
		return false, fmt.Errorf("%w: finding %s (%s) is about no value that could be learnt; suppress it if it is harmless",
			baseline.ErrVerdict, f.ID, f.Rule)
	}
	var errs []error
	for _, u := range f.Unusual {
		err := p.Decide(u, verdict, f.Last)
		kept, errs = kept || err == nil, append(errs, err)
	}
	return kept, errors.Join(errs...)
}

func (s *Set) groupOfFinding(f *Finding) (*group, error) {
	i := slices.IndexFunc(s.groups, func(g *group) bool { return g.scope.Name == f.Scope })
	if i < 0 || f.Key == "" {
		return nil, fmt.Errorf("%w: of scope %q and key %q", ErrKey, f.Scope, f.Key)
	}
	return s.groups[i], nil
}

// Judge keeps what a person decided about a finding; see [Set.Judge]. Like all
// that is learnt it is in the cache until Flush.
func (en *Engine) Judge(ctx context.Context, f *Finding, verdict baseline.Verdict) error {
	en.mu.Lock()
	defer en.mu.Unlock()
	g, err := en.set.groupOfFinding(f)
	if err != nil {
		return err
	}
	group, s := slices.Index(en.set.groups, g), en.shardOf(f.Key)
	entry := s.cache.peek(group, f.Key)
	if entry == nil {
		entry = s.cache.put(group, f.Key)
		if err := s.admit(ctx, []*cached{entry}); err != nil {
			return err
		}
	}
	kept, err := judge(entry.profile, f, verdict)
	entry.dirty = entry.dirty || kept
	return errors.Join(err, s.evict(ctx))
}
