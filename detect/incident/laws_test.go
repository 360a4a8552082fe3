package incident_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/incident"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/event/eventtest"
)

// An input is what a joiner takes in at one moment.
type input struct {
	finding *detect.Finding
	event   *event.Event
}

func (in input) into(j *incident.Joiner) {
	if in.event != nil {
		j.Observe(in.event)
	} else {
		j.Add(*in.finding)
	}
}

// random makes a stream of findings with revisions that grow, as an engine's
// do, and of role chains, by few principals so that much is shared.
func random(t testing.TB, rng *rand.Rand, n int, offset time.Duration) []input {
	techniques := []detect.Technique{"T1078.004", "T1580", "T1619", "T1552", "T1552.005", "T1530", "T1098"}
	principals := []string{user("alice"), user("bob"), role("hop"), role("deploy"), role("audit"), "anonymous", "unknown:1", "service:ec2.amazonaws.com"}
	keys := []string{"", "", "AKIAEXAMPLEA", "AKIAEXAMPLEB", "ASIAEXAMPLEC", "ASIAEXAMPLED", "ASIAEXAMPLEE"}
	pick := func(s []string) string { return s[rng.IntN(len(s))] }
	when := func() time.Time {
		return eventtest.Start.Add(offset + time.Duration(rng.IntN(20*24*60))*time.Minute)
	}
	var all []input
	for i := range n {
		if i%5 == 0 {
			by := eventtest.User(account, pick([]string{"alice", "bob"})).With("accessKeyId", pick(keys[2:]))
			if rng.IntN(2) == 0 {
				by = eventtest.Role(account, "hop", "s").With("accessKeyId", pick(keys[2:]))
			}
			all = append(all, input{event: assume(t, by, when(), pick([]string{"hop", "deploy", "audit"}), "s", pick(keys[4:]))})
			continue
		}
		first := when()
		f := with(found(fmt.Sprint("f", i), techniques[rng.IntN(len(techniques))], detect.Severity(1+rng.IntN(5)), pick(principals), first),
			func(f *detect.Finding) {
				f.AccessKeyID, f.Session = pick(keys), "s"
				f.SourceAddress = fmt.Sprint("203.0.113.", rng.IntN(6))
				f.AboutSource = rng.IntN(4) == 0
			})
		for r := range 1 + rng.IntN(3) {
			f.Revision = r
			f.Last = f.Last.Add(time.Duration(rng.IntN(600)) * time.Minute)
			f.First = f.First.Add(-time.Duration(rng.IntN(20)) * time.Minute)
			f.Severity = min(detect.Critical, f.Severity+detect.Severity(rng.IntN(2)))
			revision := f
			all = append(all, input{finding: &revision})
		}
	}
	return all
}

// run gives a joiner the inputs and returns it.
func run(t testing.TB, o *incident.Options, inputs []input) *incident.Joiner {
	j := joiner(t, o)
	for _, in := range inputs {
		in.into(j)
	}
	return j
}

// The laws, with room for everything and with room for little.
func TestLaws(t *testing.T) {
	for _, tt := range []struct {
		name    string
		options *incident.Options
	}{
		{"room", &incident.Options{Gap: 3 * time.Hour}},
		{"no room", &incident.Options{Gap: 3 * time.Hour, MaxFindings: 40, MaxLinks: 7}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for seed := range uint64(60) {
				rng := rand.New(rand.NewPCG(seed, 1))
				inputs := random(t, rng, 100, 0)
				j := run(t, tt.options, inputs)
				want, record := text(t, j.Incidents()), save(t, j)
				same := func(j *incident.Joiner, law string) {
					t.Helper()
					require.Empty(t, cmp.Diff(want, text(t, j.Incidents())), "%s, seed %d", law, seed)
					require.Equal(t, record, save(t, j), "%s, seed %d", law, seed)
				}

				shuffled := slices.Clone(inputs)
				rng.Shuffle(len(shuffled), func(a, b int) { shuffled[a], shuffled[b] = shuffled[b], shuffled[a] })
				same(run(t, tt.options, shuffled), "Shuffled")

				var duplicated []input
				for i, in := range shuffled {
					duplicated = append(duplicated, in)
					if rng.IntN(3) == 0 {
						duplicated = append(duplicated, shuffled[rng.IntN(i+1)])
					}
				}
				same(run(t, tt.options, duplicated), "Duplicated")

				frozen := joiner(t, tt.options)
				for _, in := range shuffled {
					in.into(frozen)
					if rng.IntN(4) == 0 {
						b := save(t, frozen)
						frozen = joiner(t, tt.options)
						require.NoError(t, frozen.UnmarshalBinary(b))
					}
					if rng.IntN(50) == 0 {
						frozen.Incidents() // looking changes nothing
					}
				}
				same(frozen, "Frozen")

				crash := rng.IntN(len(inputs))
				saved := rng.IntN(crash + 1)
				resumed := joiner(t, tt.options)
				require.NoError(t, resumed.UnmarshalBinary(save(t, run(t, tt.options, inputs[:crash]))))
				for _, in := range inputs[saved:] {
					in.into(resumed)
				}
				same(resumed, "Resumed")
			}
		})
	}
}

// The streams of TestLaws are such that there is something to join.
func TestRandomStreams(t *testing.T) {
	joined, chained, severities := 0, 0, make(map[detect.Severity]int)
	for seed := range uint64(60) {
		for _, in := range run(t, &incident.Options{Gap: 3 * time.Hour}, random(t, rand.New(rand.NewPCG(seed, 1)), 100, 0)).Incidents() {
			severities[in.Severity]++
			if len(in.Principals) > 1 {
				joined++
			}
			if len(in.Issuers) > 0 {
				chained++
			}
		}
	}
	assert.Greater(t, joined, 100)
	assert.Greater(t, chained, 10)
	for s := detect.Informational; s <= detect.Critical; s++ {
		assert.Positive(t, severities[s], s)
	}
}

// The same findings a year later are the same incidents a year later.
func TestClock(t *testing.T) {
	const year = 365 * day
	for seed := range uint64(20) {
		now := run(t, nil, random(t, rand.New(rand.NewPCG(seed, 2)), 100, 0)).Incidents()
		later := run(t, nil, random(t, rand.New(rand.NewPCG(seed, 2)), 100, year)).Incidents()
		for i := range later {
			in := &later[i]
			in.First, in.Last, in.Summary = in.First.Add(-year), in.Last.Add(-year), now[i].Summary
			for k := range in.Timeline {
				s := &in.Timeline[k]
				s.Time, s.First, s.Last = s.Time.Add(-year), s.First.Add(-year), s.Last.Add(-year)
			}
		}
		require.Empty(t, cmp.Diff(now, later))
	}
}

// Incidents are what the rules in the package's documentation say, found by
// looking at every pair.
func TestJoinsLikeEveryPair(t *testing.T) {
	const gap = 3 * time.Hour
	for seed := range uint64(60) {
		inputs := random(t, rand.New(rand.NewPCG(seed, 3)), 100, 0)
		steps := make(map[string]detect.Finding)
		for _, in := range inputs {
			if in.finding != nil {
				steps[in.finding.ID] = *in.finding // revisions come in order
			}
		}
		// Chains are tested elsewhere: here they are taken from the result.
		incidents := run(t, &incident.Options{Gap: gap}, inputs).Incidents()
		chains := make(map[string][]string)
		group := make(map[string]int)
		for n, in := range incidents {
			for _, s := range in.Timeline {
				chains[s.ID], group[s.ID] = s.Chain, n
			}
		}
		require.Len(t, group, len(steps))

		shares := func(a, b detect.Finding) bool {
			for _, p := range append([]string{a.Principal}, chains[a.ID]...) {
				for _, q := range append([]string{b.Principal}, chains[b.ID]...) {
					if p == q && p != "anonymous" && p != "unknown:1" && p != "service:ec2.amazonaws.com" {
						return true
					}
				}
			}
			return a.AccessKeyID != "" && a.AccessKeyID == b.AccessKeyID ||
				a.SourceAddress == b.SourceAddress && (a.AboutSource || b.AboutSource || a.Principal == "anonymous" && b.Principal == "anonymous")
		}
		for _, a := range steps {
			for _, b := range steps {
				if near := !a.Last.Add(gap).Before(b.First) && !b.Last.Add(gap).Before(a.First); near && shares(a, b) {
					require.Equal(t, group[a.ID], group[b.ID], "%s and %s, seed %d", a.ID, b.ID, seed)
				}
			}
		}
		// And nothing but pairs holds incidents together: without the keys of
		// chains, which are not in the result, it is enough to look at streams
		// that have none.
		var plain []input
		for _, in := range inputs {
			if in.event == nil {
				plain = append(plain, in)
			}
		}
		clear(chains)
		for _, in := range run(t, &incident.Options{Gap: gap}, plain).Incidents() {
			reached := map[string]bool{in.Timeline[0].ID: true}
			for grown := true; grown; {
				grown = false
				for _, s := range in.Timeline {
					for id := range reached {
						a, b := steps[s.ID], steps[id]
						if near := !a.Last.Add(gap).Before(b.First) && !b.Last.Add(gap).Before(a.First); near && shares(a, b) && !reached[s.ID] {
							reached[s.ID], grown = true, true
						}
					}
				}
			}
			require.Len(t, reached, len(in.Timeline), "seed %d", seed)
		}
	}
}

// Severe findings outlast a flood of weak ones.
func TestWhatMakesWay(t *testing.T) {
	weak := func(i int, hours float64) detect.Finding {
		return found(fmt.Sprint("weak", i), "T1580", detect.Informational, user(fmt.Sprint("u", i)), at(hours))
	}
	for _, tt := range []struct {
		name     string
		severity detect.Severity
		days     float64
		stays    bool
	}{
		{"an old info finding", detect.Informational, 0.1, false},
		{"a low finding of six days ago", detect.Low, 6, true},
		{"a low finding of eight days ago", detect.Low, 8, false},
		{"a medium finding of 29 days ago", detect.Medium, 29, true},
		{"a medium finding of 31 days ago", detect.Medium, 31, false},
		{"a high finding of 89 days ago", detect.High, 89, true},
		{"a high finding of 91 days ago", detect.High, 91, false},
		{"a critical finding of 179 days ago", detect.Critical, 179, true},
		{"a critical finding of 181 days ago", detect.Critical, 181, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j := joiner(t, &incident.Options{MaxFindings: 10})
			j.Add(found("old", "T1580", tt.severity, user("old"), at(0)))
			for i := range 100 {
				j.Add(weak(i, 24*tt.days+float64(i)/1000))
			}
			in := j.Incidents()
			assert.Len(t, in, 10)
			assert.Equal(t, tt.stays, slices.ContainsFunc(in, func(in incident.Incident) bool { return in.Principals[0] == user("old") }))
		})
	}
}
