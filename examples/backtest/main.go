// Backtest runs all rules over generated accounts, with attacks and honest
// oddities in them, and measures what they find and what they say about honest
// work, one line for each account:
//
//	go run ./examples/backtest -seeds 5
//	go run ./examples/backtest -v -organisation
//	go run ./examples/backtest -budget 0.1
//	go run ./examples/backtest -thresholds userdata-bulk=20
//
// Package account writes the accounts, package detect/backtest measures. The
// exit status is 1 if an attack was missed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/backtest"
	"github.com/cloudtell/cloudtell/detect/incident"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/examples/account"
	"github.com/cloudtell/cloudtell/techniques"
)

// The exit statuses.
const (
	statusDone    = 0
	statusMissed  = 1
	statusTrouble = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without the process.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return statusDone
	case err == nil:
		var missed bool
		if missed, err = measure(ctx, o, stdout); err == nil && missed {
			return statusMissed
		}
	}
	if err != nil {
		fmt.Fprintln(stderr, "backtest:", err)
		return statusTrouble
	}
	return statusDone
}

// options are what the command line says.
type options struct {
	account      account.Options // but for the seed
	seed         uint64
	seeds        int
	organisation bool
	verbose      bool
	budget       float64 // below 0: none
	thresholds   thresholds
}

func parse(args []string, stderr io.Writer) (options, error) {
	o := options{account: account.Options{Attacks: true, Traps: true}, thresholds: thresholds{}}
	flags := flag.NewFlagSet("backtest", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the caller prints errors
	flags.IntVar(&o.seeds, "seeds", 1, "`number` of accounts")
	flags.Uint64Var(&o.seed, "seed", 1, "seed of the first account; the others' follow")
	flags.IntVar(&o.account.Days, "days", 0, "days of each account (default 35, or 17 with -small)")
	flags.BoolVar(&o.account.Small, "small", false, "accounts of four principals with one attack")
	flags.BoolVar(&o.organisation, "organisation", false, "tell the rules what the organisation knows: networks, buckets, scanners, places")
	flags.BoolVar(&o.verbose, "v", false, "list the false findings from medium up, and tell of each severity, rule and attack")
	flags.Float64Var(&o.budget, "budget", -1, "propose changes for at most this `number` of false notifications a day per 100 principals")
	flags.Var(o.thresholds, "thresholds", "compare these thresholds with the default ones: `rule=number,...`")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			flags.SetOutput(stderr)
			flags.Usage()
		}
		return o, err
	}
	if flags.NArg() > 0 || o.seeds < 1 || o.account.Days < 0 {
		return o, errors.New("usage: backtest [options]; -help lists them")
	}
	return o, nil
}

// thresholds are values by rule.
type thresholds map[string]int

// String implements flag.Value: "a=1,b=2".
func (t thresholds) String() string {
	var parts []string
	for _, rule := range slices.Sorted(maps.Keys(t)) {
		parts = append(parts, fmt.Sprintf("%s=%d", rule, t[rule]))
	}
	return strings.Join(parts, ",")
}

// Set implements flag.Value.
func (t thresholds) Set(s string) error {
	for part := range strings.SplitSeq(s, ",") {
		rule, number, _ := strings.Cut(part, "=")
		n, err := strconv.Atoi(number)
		if rule == "" || err != nil {
			return fmt.Errorf("%q is not rule=number", part)
		}
		t[rule] = n
	}
	return nil
}

// measure runs the rules over the accounts and prints what comes of it.
func measure(ctx context.Context, o options, out io.Writer) (missed bool, err error) {
	line := func(cells ...any) {
		fmt.Fprintf(out, "%-6v %9v %10v %7v %7v %8v %7v %7v %7v %9v %9v %9v %9v\n", cells...)
	}
	fmt.Fprintln(out, "False findings are given a day per 100 principals, after 14 days of learning; times are to a high or critical finding.\n"+
		"Stories are attacks of several stages whose findings are all in one incident; false incidents are those at high or above.")
	line("seed", "events", "principals", "found", "recall", "high up", "medium", "low", "info", "p50", "max", "stories", "incidents")
	summary := func(name any, r *backtest.Report) {
		rate := func(s detect.Severity) string { return fmt.Sprintf("%.2f", r.Level(s).Rate) }
		all, told := r.Level(detect.Informational), r.Level(r.Notify)
		line(name, r.Stats.Events, r.Principals, fmt.Sprintf("%d/%d", all.Found, len(r.Attacks)), fmt.Sprintf("%.1f%%", 100*all.Recall),
			fmt.Sprintf("%.2f", r.FalseRate(detect.High)), rate(detect.Medium), rate(detect.Low), rate(detect.Informational),
			told.MedianDelay.Round(time.Second), told.MaxDelay.Round(time.Second), stories(r), fmt.Sprintf("%.2f", r.FalseIncidentRate(detect.High)))
	}
	var reports, defaults []*backtest.Report
	for i := range o.seeds {
		seed := o.seed + uint64(i)
		r, err := replay(ctx, o, seed, o.thresholds)
		if err != nil {
			return false, err
		}
		reports = append(reports, r)
		summary(seed, r)
		if o.verbose {
			listFalse(out, r)
		}
		if len(o.thresholds) > 0 {
			d, err := replay(ctx, o, seed, nil)
			if err != nil {
				return false, err
			}
			defaults = append(defaults, d)
		}
	}
	total := backtest.Merge(reports...)
	if o.seeds > 1 {
		summary("all", total)
	}
	if o.verbose {
		fmt.Fprintf(out, "\n%s", total)
	}
	for _, a := range total.Missed(detect.Informational) {
		fmt.Fprintf(out, "missed: %s, from %s on\n", a.Name, a.Start.Format(time.DateTime))
		missed = true
	}
	if len(defaults) > 0 {
		fmt.Fprintf(out, "\nThe default thresholds first, then %s:\n%s", o.thresholds, backtest.Compare(backtest.Merge(defaults...), total))
	}
	if o.budget >= 0 {
		propose(out, total, o.budget)
	}
	return missed, nil
}

// stories says how many of the attacks of several stages are one incident.
func stories(r *backtest.Report) string {
	several := make(map[string]bool)
	for _, k := range account.New(&account.Options{Attacks: true}).Truth() {
		several[k.Name] = k.MultiStage
	}
	all, one := 0, 0
	for i := range r.Attacks {
		name, _, _ := strings.Cut(r.Attacks[i].Name, "@")
		if !several[name] {
			continue
		}
		all++
		if part, elsewhere := r.Attacks[i].Incident(); part.Findings > 1 && elsewhere == 0 {
			one++
		}
	}
	return fmt.Sprintf("%d/%d", one, all)
}

// replay runs the rules over the account of a seed.
func replay(ctx context.Context, o options, seed uint64, t thresholds) (*backtest.Report, error) {
	of := o.account
	of.Seed = seed
	a := account.New(&of)
	c := config(a, o.organisation, t)
	detectors, err := techniques.All(c)
	if err != nil {
		return nil, err
	}
	return backtest.Run(ctx, detectors, events(a, seed), &backtest.Options{
		Incidents: &incident.Options{SharedNetworks: c.Networks},
	})
}

// events returns an account's events. The names of attacks end in the account's
// seed, since all accounts have the same.
func events(a *account.Account, seed uint64) iter.Seq2[backtest.Event, error] {
	return func(yield func(backtest.Event, error) bool) {
		for record := range a.Records() {
			e, err := event.Parse(record.JSON)
			attack := record.Attack
			if attack != "" {
				attack = fmt.Sprintf("%s@%d", attack, seed)
			}
			if !yield(backtest.Event{Event: e, Attack: attack}, err) {
				return
			}
		}
	}
}

// config is what the rules are told: which address is on a block list, and
// what else the organisation knows.
func config(a *account.Account, organisation bool, t thresholds) *techniques.Config {
	o := a.Organisation()
	c := &techniques.Config{
		Thresholds: t,
		Reputation: func(ip netip.Addr) string {
			if ip == o.BadAddress {
				return "on a block list"
			}
			return ""
		},
	}
	if organisation {
		c.Networks = o.Networks
		c.VPCEndpoints = o.VPCEndpoints
		c.Accounts = []string{o.AccountID, o.PartnerAccountID}
		c.SensitiveBuckets = o.SensitiveBuckets
		c.PublicBuckets = o.PublicBuckets
		c.Scanners = []techniques.Scanner{{Principal: o.Scanner, Networks: []netip.Prefix{o.ScannerNetwork}}}
		c.Locate = func(ip netip.Addr) techniques.Location {
			p := o.Locate(ip)
			return techniques.Location{ASN: p.ASN, Country: p.Country, City: p.City, Hosting: p.Hosting}
		}
	}
	return c
}

// listFalse lists the false findings that are more than a hint.
func listFalse(out io.Writer, r *backtest.Report) {
	for i := range r.Findings {
		if f := &r.Findings[i]; f.False() && f.Severity >= detect.Medium {
			fmt.Fprintf(out, "  false: %s %s %s: %s (%s)\n", f.Time.Format(time.DateTime), f.Severity, f.Rule, f.Title, f.PrincipalName)
		}
	}
}

// propose says how to stay within a budget.
func propose(out io.Writer, r *backtest.Report, budget float64) {
	fmt.Fprintf(out, "\n%.2f false notifications a day per 100 principals; for at most %.2f:\n", r.FalseRate(r.Notify), budget)
	proposals := r.Propose(budget)
	for _, p := range proposals {
		fmt.Fprintf(out, "- %s\n", p)
	}
	switch {
	case len(proposals) == 0 && r.FalseRate(r.Notify) <= budget:
		fmt.Fprintln(out, "nothing to do")
	case len(proposals) == 0 || proposals[len(proposals)-1].Rate > budget:
		fmt.Fprintln(out, "no more without losing an attack, or counting further than the rules can")
	}
	if t := thresholds(backtest.Thresholds(proposals)); len(t) > 0 {
		fmt.Fprintf(out, "To try the thresholds: -thresholds %s\n", t)
	}
}
