package techniques_test

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/examples/account"
	"github.com/cloudtell/cloudtell/techniques"
)

// TestAccount runs all rules over 35 days of the generated account, with its
// attacks and its honest oddities, and measures what a person would have to
// bear: every attack must be found, with at most two high or critical false
// findings per day per 100 principals after 14 days of learning. It does so
// with what the organisation could tell, and without.
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
			r := evaluate(t, a, test.config)
			t.Logf("%d events of %d principals, %d findings", r.stats.Events, r.principals, len(r.findings))
			assert.GreaterOrEqual(t, r.stats.Events, int64(200_000))
			assert.Equal(t, r.stats.Events, r.stats.Evaluated+r.stats.Duplicate+r.stats.Late+r.stats.Rejected)

			for _, attack := range a.Truth() {
				var by []string
				for _, f := range r.findings {
					if proves(f, attack) && !slices.Contains(by, f.Rule) {
						by = append(by, f.Rule)
					}
				}
				t.Logf("attack %-28s found by %v", attack.Name, by)
				assert.True(t, slices.ContainsFunc(attack.Rules, func(rule string) bool { return slices.Contains(by, rule) }),
					"attack %s is not found by any of the rules meant for it: %v", attack.Name, attack.Rules)
			}

			alarms := 0
			bySeverity := make(map[detect.Severity]int)
			for _, f := range r.findings {
				if f.Time.Before(r.start.Add(14*baseline.Day)) || slices.ContainsFunc(a.Truth(), func(k account.Attack) bool { return proves(f, k) }) {
					continue
				}
				bySeverity[f.Severity]++
				if f.Severity >= detect.Medium {
					t.Logf("false: %s %v %s: %s (%s) %v", f.Time.Format(time.DateTime), f.Severity, f.Rule, f.Title, f.PrincipalName, f.Evidence)
				}
				if f.Severity >= detect.High {
					alarms++
				}
			}
			days := r.end.Sub(r.start.Add(14*baseline.Day)).Hours() / 24
			rate := float64(alarms) / days / float64(r.principals) * 100
			t.Logf("false findings after 14 days, by severity: %v; high or critical: %.2f per day per 100 principals", bySeverity, rate)
			assert.LessOrEqual(t, rate, 2.0)
		})
	}
}

type evaluation struct {
	findings   []detect.Finding // latest revisions
	stats      detect.Stats
	principals int
	start, end time.Time
}

func evaluate(t *testing.T, a *account.Account, c *techniques.Config) evaluation {
	t.Helper()
	detectors, err := techniques.All(c)
	require.NoError(t, err)
	set, err := detect.NewSet(detectors, nil)
	require.NoError(t, err)
	engine, err := detect.NewEngine(set, nil, &detect.EngineOptions{Updates: true})
	require.NoError(t, err)

	var r evaluation
	latest := make(map[string]detect.Finding)
	principals := make(map[string]bool)
	var batch []*event.Event
	flush := func() {
		findings, err := engine.Process(context.Background(), batch)
		require.NoError(t, err)
		for _, f := range findings {
			latest[f.ID] = f
		}
		batch = batch[:0]
	}
	for record := range a.Records() {
		e, err := event.Parse(record.JSON)
		require.NoError(t, err)
		if r.start.IsZero() {
			r.start = e.Time.Truncate(baseline.Day)
		}
		r.end = e.Time
		if key := detect.ByPrincipal.Key(e); key != "" {
			principals[key] = true
		}
		if batch = append(batch, e); len(batch) == 4096 {
			flush()
		}
	}
	flush()
	for _, f := range latest {
		r.findings = append(r.findings, f)
	}
	slices.SortFunc(r.findings, func(a, b detect.Finding) int { return a.Time.Compare(b.Time) })
	r.stats, r.principals = engine.Stats(), len(principals)
	return r
}

// proves reports whether a finding names an event of the attack.
func proves(f detect.Finding, k account.Attack) bool {
	return slices.ContainsFunc(f.EventIDs, func(id string) bool { return slices.Contains(k.EventIDs, id) })
}

func organisation(a *account.Account) *techniques.Config {
	o := a.Organisation()
	return &techniques.Config{
		Networks:         o.Networks,
		Accounts:         []string{o.AccountID, o.PartnerAccountID},
		SensitiveBuckets: o.SensitiveBuckets,
		PublicBuckets:    o.PublicBuckets,
		Scanners:         []techniques.Scanner{{Principal: o.Scanner, Networks: []netip.Prefix{o.ScannerNetwork}}},
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
