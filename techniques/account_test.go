package techniques_test

import (
	"bufio"
	"context"
	"io"
	"iter"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/backtest"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/examples/account"
	"github.com/cloudtell/cloudtell/techniques"
)

// TestAccount runs all rules over 35 days of the generated account, with its
// attacks and its honest oddities, and measures what a person would have to
// bear: every attack must be found by a rule meant for it, and not just in
// passing, with at most one high or critical false finding per day per 100
// principals after 14 days of learning. It does so with what the organisation
// could tell, and without. examples/backtest does it for more accounts.
func TestAccount(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	a := account.New(&account.Options{Seed: 1, Attacks: true, Traps: true})
	for _, test := range []struct {
		name   string
		config *techniques.Config
	}{
		{"nothing configured", withReputation(&techniques.Config{}, a)},
		{"organisation configured", withReputation(organisation(a), a)},
	} {
		t.Run(test.name, func(t *testing.T) {
			detectors, err := techniques.All(test.config)
			require.NoError(t, err)
			r, err := backtest.Run(context.Background(), detectors, labelled(a), nil)
			require.NoError(t, err)
			t.Logf("\n%s", r)
			assert.GreaterOrEqual(t, r.Stats.Events, int64(200_000))
			assert.Equal(t, r.Stats.Events, r.Stats.Evaluated+r.Stats.Duplicate+r.Stats.Late+r.Stats.Rejected)

			found := make(map[string]backtest.Attack)
			for _, k := range r.Attacks {
				found[k.Name] = k
			}
			for _, attack := range a.Truth() {
				k := found[attack.Name]
				assert.Equal(t, len(attack.EventIDs), k.Events)
				assert.GreaterOrEqual(t, k.Severity(), detect.Medium, "attack %s", k.Name)
				if part, elsewhere := k.Incident(); attack.MultiStage {
					assert.GreaterOrEqual(t, part.Severity, detect.High, "attack %s as one story", k.Name)
					assert.Zero(t, elsewhere, "findings about attack %s apart from its incident", k.Name)
				}
				assert.True(t, slices.ContainsFunc(k.FoundBy, func(s backtest.Sighting) bool { return slices.Contains(attack.Rules, s.Rule) }),
					"attack %s is not found by any of the rules meant for it: %v", attack.Name, attack.Rules)
			}

			for _, f := range r.Findings {
				if f.False() && f.Severity >= detect.Medium {
					t.Logf("false: %s %v %s: %s (%s) %v", f.Time.Format(time.DateTime), f.Severity, f.Rule, f.Title, f.PrincipalName, f.Evidence)
				}
			}
			assert.LessOrEqual(t, r.FalseRate(detect.High), 1.0)
		})
	}
}

func labelled(a *account.Account) iter.Seq2[backtest.Event, error] {
	return func(yield func(backtest.Event, error) bool) {
		for record := range a.Records() {
			e, err := event.Parse(record.JSON)
			if !yield(backtest.Event{Event: e, Attack: record.Attack}, err) {
				return
			}
		}
	}
}

func organisation(a *account.Account) *techniques.Config {
	o := a.Organisation()
	return &techniques.Config{
		Networks:         o.Networks,
		VPCEndpoints:     o.VPCEndpoints,
		Accounts:         []string{o.AccountID, o.PartnerAccountID},
		SensitiveBuckets: o.SensitiveBuckets,
		PublicBuckets:    o.PublicBuckets,
		Scanners:         []techniques.Scanner{{Principal: o.Scanner, Networks: []netip.Prefix{o.ScannerNetwork}}},
		Locate: func(ip netip.Addr) techniques.Location {
			p := o.Locate(ip)
			return techniques.Location{ASN: p.ASN, Country: p.Country, City: p.City, Hosting: p.Hosting}
		},
	}
}

func withReputation(c *techniques.Config, a *account.Account) *techniques.Config {
	bad := a.Organisation().BadAddress
	c.Reputation = func(ip netip.Addr) string {
		if ip == bad {
			return "on a block list"
		}
		return ""
	}
	return c
}

// Rules, features and engine keep nothing of an event's memory: events whose
// strings last no longer than the event give the same findings.
func TestReusedMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	a := account.New(&account.Options{Seed: 1, Attacks: true, Days: 18})
	config := withReputation(organisation(a), a)
	found := func(reuse bool) (all []detect.Finding) {
		detectors, err := techniques.All(config)
		require.NoError(t, err)
		set, err := detect.NewSet(detectors, nil)
		require.NoError(t, err)
		engine, err := detect.NewEngine(set, nil, &detect.EngineOptions{Shards: 1, Updates: true})
		require.NoError(t, err)
		r, w := io.Pipe()
		go func() {
			out := bufio.NewWriter(w)
			for record := range a.Records() {
				out.WriteString(record.JSON)
				out.WriteByte('\n')
			}
			out.Flush()
			w.Close()
		}()
		for e, err := range event.Read(r, &event.ReadOptions{Reuse: reuse}) {
			require.NoError(t, err)
			findings, err := engine.Process(context.Background(), []*event.Event{e})
			require.NoError(t, err)
			all = append(all, findings...)
		}
		return all
	}
	want := found(false)
	require.NotEmpty(t, want)
	assert.Empty(t, cmp.Diff(want, found(true)))
}
