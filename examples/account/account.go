// Package account writes the logs of an AWS account that does not exist: its
// people, workloads and AWS's own services at work for some weeks, with
// attacks and honest oddities among them, as CloudTrail and S3 would have
// written them. The same options give the same bytes, on every machine.
//
// It is an oracle for detectors: [Account.Truth] says what was done by whom.
// So it shares nothing with the packages it is used to judge, not even the
// names of types; it only writes text.
//
// An account lives through actors. An actor is a name and a function that
// lives one day ([Account.cast] lists them); each has its own random numbers,
// so that adding an actor changes nothing about the others. To add one, write
// the function beside its likes (services.go, workloads.go, people.go,
// traps.go) and add a line to the list there. An attack is an actor with a
// date and a truth: attacks.go.
package account

import (
	"hash/fnv"
	"iter"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// Options says which account to write. A nil *Options and the zero value mean
// an ordinary account in which nobody attacks.
type Options struct {
	// Seed chooses the account: other seeds have other identifiers, times and
	// amounts, but the same people and the same story. Default: 0.
	Seed uint64
	// Start is the first day. It is rounded down to midnight UTC.
	// Default: Monday, 5 January 2026.
	Start time.Time
	// Days is how long the log goes on. Attacks and traps that come later than
	// that do not happen. Default: 35, or 17 with Small.
	Days int
	// Scale multiplies the people and the small workloads, and with them most
	// of the principals. Default: 1, about 120 principals and 11,000 events a
	// day.
	Scale int
	// Attacks adds the attacks, all after the fifteenth day: most of them one
	// technique on one day, the last ones stories of several stages.
	Attacks bool
	// Traps adds honest behaviour that looks like an attack: a traveller, a
	// new hire, a new service, mistyped permissions, a night on call, a monthly
	// job, a key replaced, a bucket opened on purpose.
	Traps bool
	// Small leaves four principals, a few sessions a day, and one attack on
	// the seventeenth day that goes through all five techniques: enough for a
	// first look. Scale and Traps have no meaning then.
	Small bool
}

// A Record is one CloudTrail record.
type Record struct {
	Time      time.Time // when it happened, to the second
	JSON      string    // the record as CloudTrail writes it, on one line
	AccountID string    // the account whose log it is in
	Region    string
	EventID   string
	// Actor names what wrote the record: "person/hannah", "trap/new-hire".
	// It is not in the JSON.
	Actor string
	// Attack is the name of the attack that the record is part of, or "". It
	// is not in the JSON.
	Attack string
	global bool // AWS delivers it under a second region's prefix, too
}

// An Attack is what really happened.
type Attack struct {
	Name string `json:"name"`
	// Techniques are the ATT&CK ids, the main one first.
	Techniques []string `json:"techniques"`
	// Rules names the rules that could see it. At least one of them should.
	Rules []string `json:"rules"`
	// Principal is the identity the attack was made with, without session
	// names and paths: arn:aws:iam::111122223333:role/deploy, or "anonymous".
	// Principals lists all of them, in the order of use, if there are several.
	Principal  string   `json:"principal"`
	Principals []string `json:"principals,omitempty"`
	// MultiStage says that the attack goes on for hours, from one technique and
	// one identity to the next.
	MultiStage bool      `json:"multi_stage,omitempty"`
	Start      time.Time `json:"start"` // time of the first event
	End        time.Time `json:"end"`   // time of the last event
	EventIDs   []string  `json:"event_ids"`
	Story      string    `json:"story"`
}

// An Organisation is what the account's owner knows about it, and could tell a
// detector.
type Organisation struct {
	AccountID        string
	PartnerAccountID string         // an account that reads a shared bucket, by agreement
	Networks         []netip.Prefix // offices, VPN, NAT gateways
	VPCEndpoints     []string
	PublicBuckets    []string // meant to be read by anyone
	SensitiveBuckets []string
	Scanner          string       // principal that looks at everything, on Mondays
	ScannerNetwork   netip.Prefix // where it calls from
	BadAddress       netip.Addr   // an address with a bad reputation, used by one attack
	Places           []Place      // what a GeoIP database would say
}

// A Place is where a network is, and whose.
type Place struct {
	Network netip.Prefix
	ASN     string
	Country string
	City    string
	Hosting bool // servers rather than people
}

// Locate returns the place of an address; the zero Place if nothing is known.
func (o *Organisation) Locate(ip netip.Addr) Place {
	for _, p := range o.Places {
		if p.Network.Contains(ip) {
			return p
		}
	}
	return Place{}
}

// An Account is a generator of one account's logs. Its methods may be called
// any number of times and from several goroutines.
type Account struct {
	seed    uint64
	start   time.Time
	days    int
	scale   int
	people  []person
	actors  []actor
	attacks []attack
}

// An actor lives one day of its life.
type actor struct {
	name string
	live func(*day)
}

// New returns the account that the options describe.
func New(o *Options) *Account {
	if o == nil {
		o = &Options{}
	}
	a := &Account{seed: o.Seed, start: o.Start, days: o.Days, scale: max(1, o.Scale)}
	if a.start.IsZero() {
		a.start = time.Date(2026, time.January, 5, 0, 0, 0, 0, time.UTC)
	}
	a.start = a.start.UTC().Truncate(24 * time.Hour)
	if a.days <= 0 {
		a.days = 35
		if o.Small {
			a.days = 17
		}
	}
	a.cast(o)
	return a
}

// cast decides who plays.
func (a *Account) cast(o *Options) {
	if o.Small {
		a.actors = a.smallCast()
		if o.Attacks {
			a.attacks = smallAttacks
		}
		return
	}
	a.people = a.everybody(o.Traps)
	a.actors = slices.Concat(services, a.workloads(), a.persons())
	if o.Traps {
		a.actors = append(a.actors, traps...)
	}
	if o.Attacks {
		a.attacks = slices.Concat(attacks, stories)
	}
}

// Records returns the account's records in order of event time, each once.
// Memory holds about one day at a time.
func (a *Account) Records() iter.Seq[Record] {
	return func(yield func(Record) bool) {
		var records []Record
		for n := range a.days {
			records = a.day(n, records)
			slices.SortStableFunc(records, byTime)
			// What began today and ended after midnight belongs to tomorrow.
			midnight := a.start.AddDate(0, 0, n+1)
			today := records
			if n < a.days-1 {
				i, _ := slices.BinarySearchFunc(records, midnight, func(r Record, t time.Time) int {
					return r.Time.Compare(t)
				})
				today = records[:i]
			}
			for _, r := range today {
				if !yield(r) {
					return
				}
			}
			records = append(records[:0], records[len(today):]...)
		}
	}
}

func byTime(a, b Record) int { return a.Time.Compare(b.Time) }

// day appends what everyone does on day n.
func (a *Account) day(n int, records []Record) []Record {
	for _, who := range a.actors {
		who.live(a.dayOf(who.name, n, &records))
	}
	for i := range a.attacks {
		records = append(records, a.attack(&a.attacks[i], n)...)
	}
	return records
}

// Truth returns the attacks in the account's logs, in order of time.
func (a *Account) Truth() []Attack {
	var truth []Attack
	for i := range a.attacks {
		k := &a.attacks[i]
		records := a.attack(k, k.day)
		if len(records) == 0 || k.day >= a.days {
			continue
		}
		slices.SortStableFunc(records, byTime)
		t := Attack{
			Name: k.name, Techniques: k.techniques, Rules: k.rules, Principal: k.principal(a), MultiStage: k.multiStage, Story: k.story,
			Start: records[0].Time, End: records[len(records)-1].Time,
		}
		for _, r := range records {
			t.EventIDs = append(t.EventIDs, r.EventID)
		}
		if len(k.then) > 0 {
			t.Principals = append([]string{t.Principal}, k.then...)
		}
		truth = append(truth, t)
	}
	slices.SortStableFunc(truth, func(a, b Attack) int { return a.Start.Compare(b.Start) })
	return truth
}

// attack returns the events of an attack on day n, if that is its day.
func (a *Account) attack(k *attack, n int) []Record {
	if n != k.day {
		return nil
	}
	var records []Record
	d := a.dayOf("attack/"+k.name, n, &records)
	d.attack = k.name
	k.live(d)
	return records
}

// A day is one day as one actor lives it, with its own random numbers.
type day struct {
	*Account
	*rand.Rand
	n      int // 0 is the first
	start  time.Time
	actor  string
	attack string
	out    *[]Record
}

func (a *Account) dayOf(actor string, n int, out *[]Record) *day {
	return &day{
		Account: a, Rand: a.random(actor, uint64(n)), n: n, start: a.start.AddDate(0, 0, n), actor: actor, out: out,
	}
}

// at returns a time of the day, give or take a few minutes.
func (d *day) at(hour, minute int) time.Time {
	return d.clock(hour, minute).Add(d.upTo(4 * time.Minute))
}

// clock returns a time of the day, exactly.
func (d *day) clock(hour, minute int) time.Time {
	return d.start.Add(time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute)
}

// upTo returns a duration of less than a limit.
func (d *day) upTo(limit time.Duration) time.Duration {
	return time.Duration(d.Int64N(int64(limit)))
}

// chance reports true once in a while: n times in 100.
func (d *day) chance(n int) bool { return d.IntN(100) < n }

func (d *day) weekend() bool {
	return d.start.Weekday() == time.Saturday || d.start.Weekday() == time.Sunday
}

// pick returns one of the choices.
func pick[T any](r *rand.Rand, choices []T) T { return choices[r.IntN(len(choices))] }

// random returns random numbers that depend on the account's seed, a name and
// a number only.
func (a *Account) random(name string, n uint64) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(name))
	return rand.New(rand.NewPCG(a.seed^h.Sum64(), n))
}
