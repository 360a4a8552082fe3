package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/techniques"
)

// options is what the command line says, with the files it names already read,
// except logs and baseline.
type options struct {
	paths, warm  []string
	config       techniques.Config
	suppressions []detect.Suppression
	rules        []string // nil: all
	baseline     string   // a file, or ""
	format       string   // one of formats
	output       string   // a file, or ""
	minSeverity  detect.Severity
	failOn       detect.Severity // Silent: never
	coverage     bool            // say what the logs let the rules see
	navigator    string          // a file, or ""
	incidents    string          // a file, or ""
	verdicts     []verdict       // on findings of earlier scans
	explain      string          // the id of an event, or ""
	shards       int             // 0: one per processor
	memory       int64           // bytes
	lag          time.Duration   // of delivery
	quiet        bool
}

const usage = `Usage: scan [flags] PATH...

Scan reads CloudTrail logs and S3 server access logs, learns what is normal for
each principal, and prints what it finds. Findings of GuardDuty among the logs
join the incidents. A PATH is a file, a folder, which is searched for logs at any
depth, or "-", which is standard input. Logs may be compressed with gzip and in
any order; files that hold no log are passed over. CloudTrail's files should keep
their names, which tell when they were delivered: of others all is put in order
first, in temporary files beyond -memory, which takes about three times as long.

The exit status is 0 when the scan is done, 1 when it is done and -fail-on says
so, 2 for bad use, for input that could not be read, or an interruption.

Flags:
`

// parseOptions reads a command line. It returns [flag.ErrHelp], after printing
// how to use the command on out, if that was asked for.
func parseOptions(args []string, out io.Writer) (*options, error) {
	o := &options{minSeverity: detect.Informational}
	fs := flag.NewFlagSet("scan", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // the caller prints errors

	list := func(to *[]string, name, help string) {
		fs.Func(name, help+" Separated by commas; may be repeated", func(s string) error {
			*to = append(*to, fields(s)...)
			return nil
		})
	}
	c := &o.config
	configFile := fs.String("config", "", "read what is known about the organisation from this JSON `file`; the flags below add to it")
	fs.Func("networks", "address `ranges` that the organisation calls from. Separated by commas; may be repeated", func(s string) error {
		networks, err := prefixes(fields(s))
		c.Networks = append(c.Networks, networks...)
		return err
	})
	list(&c.VPCEndpoints, "vpc-endpoints", "`ids` of the organisation's own VPC endpoints.")
	list(&c.Accounts, "accounts", "`ids` of the organisation's AWS accounts.")
	list(&c.SensitiveBuckets, "sensitive-buckets", "`names` of buckets that matter most; a final * stands for any rest.")
	list(&c.PublicBuckets, "public-buckets", "`names` of buckets meant to be read by anyone; a final * stands for any rest.")
	list(&c.SensitivePrefixes, "sensitive-prefixes", "object key `prefixes` that matter, besides the built-in ones.")
	list(&c.SensitiveNames, "sensitive-names", "`words` that make a parameter's name sensitive, besides the built-in ones.")
	fs.Func("scanners", "a `principal` expected to look at everything, such as a posture scanner, and after spaces the ranges it calls from; a final * stands for any rest of a user's or role's name. May be repeated", func(s string) error {
		scanner, err := parseScanner(s)
		c.Scanners = append(c.Scanners, scanner)
		return err
	})
	fs.Func("thresholds", "`rule=number` pairs: what a rule has to count before it speaks. Separated by commas; may be repeated", func(s string) error {
		return parseThresholds(s, &c.Thresholds)
	})
	locations := fs.String("locations", "", "`file` that says where addresses are: on each line a range, ASN, country, city and \"hosting\" or nothing, with commas between")
	badAddresses := fs.String("bad-addresses", "", "`file` of addresses with a bad reputation: on each line an address or range, and why")
	suppressions := fs.String("suppressions", "", "JSON `file` of findings not to report: a list of {rule, principal, subject, reason, expires}")
	list(&o.rules, "rules", "report findings of these `rules` only.")
	fs.StringVar(&o.baseline, "baseline", "", "`file` to keep what is learnt in: read before the scan if it exists, written after it")
	fs.Func("warm", "learn from the logs at this `path` first, without findings. May be repeated", func(s string) error {
		o.warm = append(o.warm, s)
		return nil
	})
	fs.StringVar(&o.format, "format", "text", "`form` of the findings: text, markdown, html (one page for people), json (one a line), ocsf, ocsf-1.1 and ecs (the same for other systems), or asff (requests to Security Hub, one a line)")
	fs.StringVar(&o.output, "o", "", "write what is printed to this `file` instead")
	fs.TextVar(&o.minSeverity, "min-severity", detect.Informational, "print findings of at least this `severity`: info, low, medium, high or critical")
	fs.TextVar(&o.failOn, "fail-on", detect.Silent, "exit with status 1 on a finding or an incident of at least this `severity`, printed or not; silent means never")
	fs.BoolVar(&o.coverage, "coverage", false, "say which logging was seen, which rules are blind for want of it, and what to switch on")
	fs.StringVar(&o.navigator, "navigator", "", "write what can be seen, and what was found, as a layer of the ATT&CK Navigator to this `file`")
	fs.StringVar(&o.incidents, "incidents", "", "write the incidents, which are findings joined into one story, of at least medium severity, to this `file`, one line of JSON each")
	verdicts := fs.String("verdicts", "", "`file` of findings as -format json prints them, each with a \"verdict\": benign, malicious or undecided; what they say is learnt first")
	fs.StringVar(&o.explain, "explain", "", "say of the event of this `id` why each rule reports it or not; with -format json, every condition")
	fs.IntVar(&o.shards, "shards", 0, "number of `goroutines` that detect; findings do not depend on it (default one per processor)")
	megabytes := fs.Int64("memory", 256, "`MB` of memory for putting records in order; beyond it, compressed temporary files are used (in $TMPDIR)")
	fs.DurationVar(&o.lag, "lag", 15*time.Minute, "the longest `time` that CloudTrail takes to deliver an event; a longer one costs memory")
	fs.BoolVar(&o.quiet, "quiet", false, "print only findings, and what went wrong")

	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprint(out, usage)
			fs.SetOutput(out)
			fs.PrintDefaults()
		}
		return nil, err
	}
	o.paths = fs.Args()
	const mb, maxMB = 1 << 20, 1 << 20
	if *megabytes < 1 || *megabytes > maxMB {
		return nil, fmt.Errorf("-memory %d: it is from 1 to %d MB", *megabytes, maxMB)
	}
	o.memory = *megabytes * mb
	if err := o.check(); err != nil {
		return nil, err
	}
	if *configFile != "" {
		if err := readConfig(*configFile, c); err != nil {
			return nil, err
		}
	}
	if *badAddresses != "" {
		lookup, err := readReputation(*badAddresses)
		if err != nil {
			return nil, err
		}
		c.Reputation = lookup
	}
	if *locations != "" {
		locate, err := readLocations(*locations)
		if err != nil {
			return nil, err
		}
		c.Locate = locate
	}
	if *verdicts != "" {
		var err error
		if o.verdicts, err = readVerdicts(*verdicts); err != nil {
			return nil, err
		}
	}
	if *suppressions != "" {
		if err := readJSON(*suppressions, &o.suppressions); err != nil {
			return nil, err
		}
	}
	return o, nil
}

func (o *options) check() error {
	inputs := slices.Concat(o.warm, o.paths)
	stdin := 0
	for _, p := range inputs {
		if p == "-" {
			stdin++
		} else if strings.HasPrefix(p, "-") {
			return fmt.Errorf("%s: flags come before paths; for a file of that name, write ./%s", p, p)
		}
	}
	switch {
	case len(o.paths) == 0:
		return errors.New("nothing to scan; name files, folders, or - for standard input")
	case slices.Contains(inputs, ""):
		return errors.New("a path is empty")
	case stdin > 1:
		return errors.New("standard input can be read only once")
	case !slices.Contains(formats, o.format):
		return fmt.Errorf("-format %s: it is one of %s", o.format, strings.Join(formats, ", "))
	case o.forMachines() && o.format != "json" && (o.coverage || o.explain != ""):
		return fmt.Errorf("-format %s has findings only, no -coverage and no -explain", o.format)
	case o.shards < 0:
		return errors.New("-shards is negative")
	case o.lag < 0:
		return errors.New("-lag is negative")
	case o.minSeverity == detect.Silent:
		return errors.New("-min-severity silent would print every finding; info does")
	}
	return nil
}

// fields splits a list at commas.
func fields(s string) []string {
	var list []string
	for field := range strings.SplitSeq(s, ",") {
		if field = strings.TrimSpace(field); field != "" {
			list = append(list, field)
		}
	}
	return list
}

// prefixes parses address ranges; an address alone is a range of one.
func prefixes(list []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, s := range list {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, err := netip.ParseAddr(s)
			if err != nil || a.Zone() != "" {
				return nil, fmt.Errorf("%q is neither an address nor a range such as 203.0.113.0/24", s)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		if p.Addr().Is4In6() {
			return nil, fmt.Errorf("%q: write IPv4 addresses the usual way", s)
		}
		all = append(all, p.Masked())
	}
	return all, nil
}

// parseScanner reads a principal and the ranges that follow it. Names of
// principals may have commas in them, but no spaces.
func parseScanner(s string) (techniques.Scanner, error) {
	words := strings.Fields(s)
	if len(words) == 0 {
		return techniques.Scanner{}, errors.New("no principal")
	}
	networks, err := prefixes(words[1:])
	return techniques.Scanner{Principal: words[0], Networks: networks}, err
}

// readConfig adds what a file says to c.
func readConfig(name string, c *techniques.Config) error {
	var file techniques.Config
	if err := readJSON(name, &file); err != nil {
		return err
	}
	c.Networks = append(file.Networks, c.Networks...)
	c.VPCEndpoints = append(file.VPCEndpoints, c.VPCEndpoints...)
	c.Accounts = append(file.Accounts, c.Accounts...)
	c.SensitiveBuckets = append(file.SensitiveBuckets, c.SensitiveBuckets...)
	c.PublicBuckets = append(file.PublicBuckets, c.PublicBuckets...)
	c.SensitivePrefixes = append(file.SensitivePrefixes, c.SensitivePrefixes...)
	c.SensitiveNames = append(file.SensitiveNames, c.SensitiveNames...)
	c.Scanners = append(file.Scanners, c.Scanners...)
	if file.Thresholds != nil {
		maps.Copy(file.Thresholds, c.Thresholds)
		c.Thresholds = file.Thresholds
	}
	return nil
}

// parseThresholds reads rules and numbers into a map, which it makes if there
// is none.
func parseThresholds(s string, to *map[string]int) error {
	for _, pair := range fields(s) {
		rule, number, _ := strings.Cut(pair, "=")
		n, err := strconv.Atoi(number)
		if err != nil || rule == "" {
			return fmt.Errorf("%q is not of the form rule=number", pair)
		}
		if *to == nil {
			*to = make(map[string]int)
		}
		(*to)[rule] = n
	}
	return nil
}

// readJSON reads a file that holds one JSON value with no unknown fields: a
// misspelt name must not go unnoticed.
func readJSON(name string, to any) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("%s: text follows the JSON value", name)
	}
	return nil
}

// readReputation reads a list of bad addresses and returns its look-up
// function. Each line is an address or a range, and the reason.
func readReputation(name string) (func(netip.Addr) string, error) {
	return readRanges(name, func(text string) (address, reason string, err error) {
		address = text
		if i := strings.IndexAny(text, " \t"); i >= 0 {
			address, reason = text[:i], strings.TrimSpace(text[i:])
		}
		if reason == "" {
			err = fmt.Errorf("no reason after %s", address)
		}
		return address, reason, err
	})
}

// readLocations reads a list of networks and returns its look-up function.
// Each line is a range, the ASN, the country, the city, and "hosting" for
// networks of servers, VPNs and anonymisers; fields may be empty.
func readLocations(name string) (func(netip.Addr) techniques.Location, error) {
	return readRanges(name, func(text string) (address string, l techniques.Location, err error) {
		f := strings.Split(text, ",")
		for i := range f {
			f[i] = strings.TrimSpace(f[i])
		}
		if f = append(f, "", "", "", ""); len(f) > 9 || f[4] != "" && f[4] != "hosting" {
			return "", l, errors.New("the line is not of the form range,ASN,country,city,hosting")
		}
		return f[0], techniques.Location{ASN: f[1], Country: f[2], City: f[3], Hosting: f[4] != ""}, nil
	})
}

// readRanges reads a file that says something of addresses or ranges of them,
// one a line, and returns its look-up function: of ranges that overlap the
// smallest one counts, and the zero value stands for none. Empty lines and those
// that start with # do not count.
func readRanges[V any](name string, parse func(line string) (address string, value V, err error)) (func(netip.Addr) V, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	values := make(map[netip.Prefix]V)
	used := make(map[int]bool) // lengths of prefixes
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		address, value, err := parse(text)
		var parsed []netip.Prefix
		if err == nil {
			parsed, err = prefixes([]string{address})
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, n, err)
		}
		values[parsed[0]] = value
		used[parsed[0].Bits()] = true
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var lengths []int // longest first
	for bits := 128; bits >= 0; bits-- {
		if used[bits] {
			lengths = append(lengths, bits)
		}
	}
	return func(a netip.Addr) (none V) {
		for _, bits := range lengths {
			if p, err := a.Unmap().Prefix(bits); err == nil {
				if v, ok := values[p]; ok {
					return v
				}
			}
		}
		return none
	}, nil
}

// choose silences the rules that are not asked for. They go on learning, so
// that a baseline does not depend on the choice.
func choose(detectors []detect.Detector, rules []string) ([]detect.Detector, error) {
	if rules == nil {
		return detectors, nil
	}
	var names []string
	for _, d := range detectors {
		names = append(names, d.Info().Name)
	}
	for _, rule := range rules {
		if !slices.Contains(names, rule) {
			return nil, fmt.Errorf("-rules: there is no rule %q; the rules are %s", rule, strings.Join(names, ", "))
		}
	}
	chosen := slices.Clone(detectors)
	for i, d := range detectors {
		if !slices.Contains(rules, names[i]) {
			chosen[i] = detect.New(d.Info(), func(*detect.Pass) {})
		}
	}
	return chosen, nil
}

// newSet puts the detectors together as the options say.
func (o *options) newSet() (*detect.Set, error) {
	detectors, err := techniques.All(&o.config)
	if err != nil {
		return nil, err
	}
	for _, s := range o.suppressions {
		if !slices.ContainsFunc(detectors, func(d detect.Detector) bool { return matches(s.Rule, d.Info().Name) }) {
			return nil, fmt.Errorf("-suppressions: there is no rule %q", s.Rule)
		}
	}
	if detectors, err = choose(detectors, o.rules); err != nil {
		return nil, err
	}
	return detect.NewSet(detectors, &detect.SetOptions{Suppressions: o.suppressions})
}

// matches reports whether a suppression's pattern of a rule matches a name.
func matches(pattern, name string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(name, prefix)
	}
	return pattern == "" || pattern == name
}
