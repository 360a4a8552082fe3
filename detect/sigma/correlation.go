package sigma

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// A correlation is what a correlation rule adds to a rule.
type correlation struct {
	at       node
	kind     string // event_count, value_count, temporal, temporal_ordered
	names    []string
	groupBy  []string
	aliases  map[string]map[string]string // alias, name of a rule, field
	timespan time.Duration
	window   string   // the timespan as written: "10m"
	atLeast  int      // what the count must reach
	fields   []string // that value_count counts
	generate bool

	rules []*rule // that names name
	scope string  // names the correlations that share one
}

// The bounds of correlations.
const (
	maxExact = 256 // up to which baseline.Distinct counts exactly, of at most 512
	maxSteps = 8   // of baseline.Sequence
)

func (r *rule) readCorrelation(p pair) error {
	members, ok := pairs(p.value)
	if !ok {
		return invalid(p.at, "correlation", "not a mapping")
	}
	c := &correlation{at: p.at}
	r.correlation = c
	var condition *pair
	for i := range members {
		m := &members[i]
		var err error
		switch m.key {
		case "type":
			c.kind, err = text(*m)
		case "rules":
			c.names, err = texts(*m)
		case "group-by":
			c.groupBy, err = texts(*m)
		case "timespan":
			err = c.readTimespan(*m)
		case "aliases":
			err = c.readAliases(*m)
		case "condition":
			condition = m
		case "generate":
			c.generate = strings.EqualFold(scalarText(m.value), "true")
		default:
			err = unsupported(m.at, "correlation."+m.key, "unknown")
		}
		if err != nil {
			return err
		}
	}
	switch {
	case slices.Contains(c.groupBy, ""):
		return invalid(p.at, "correlation.group-by", "a field without a name")
	case len(c.names) == 0:
		return invalid(p.at, "correlation.rules", "missing")
	case c.timespan == 0:
		return invalid(p.at, "correlation.timespan", "missing")
	}
	switch c.kind {
	case "event_count", "value_count":
		if condition == nil {
			return invalid(p.at, "correlation.condition", "missing")
		}
	case "temporal", "temporal_ordered":
		c.atLeast = len(c.names)
		if len(c.names) < 2 {
			return invalid(p.at, "correlation.rules", "one rule alone cannot come close to another")
		}
		if c.kind == "temporal_ordered" && len(c.names) > maxSteps {
			return unsupported(p.at, "correlation.rules", "%d rules in order, over %d", len(c.names), maxSteps)
		}
	case "":
		return invalid(p.at, "correlation.type", "missing")
	default:
		return unsupported(p.at, "correlation.type", "%q; known are event_count, value_count, temporal and temporal_ordered", c.kind)
	}
	if condition != nil {
		return c.readCondition(*condition)
	}
	return nil
}

// readTimespan reads a number and a letter. Features remember for a minute to 30
// days.
func (c *correlation) readTimespan(p pair) error {
	s, err := text(p)
	if err != nil {
		return err
	}
	units := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": baseline.Day}
	n := 0
	var unit time.Duration
	if s != "" {
		unit = units[s[len(s)-1:]]
		n, err = strconv.Atoi(s[:len(s)-1])
	}
	if unit == 0 || err != nil || n < 1 {
		return invalid(p.value, "correlation.timespan", "%q is not a number above 0 with one of s, m, h and d behind it", s)
	}
	if n > int(30*baseline.Day/unit) || time.Duration(n)*unit < time.Minute {
		return unsupported(p.value, "correlation.timespan", "%s is not from one minute to 30 days", s)
	}
	c.timespan, c.window = time.Duration(n)*unit, s
	return nil
}

func (c *correlation) readAliases(p pair) error {
	aliases, ok := pairs(p.value)
	if !ok {
		return invalid(p.at, "correlation.aliases", "not a mapping")
	}
	c.aliases = make(map[string]map[string]string)
	for _, a := range aliases {
		fields, ok := pairs(a.value)
		if !ok {
			return invalid(a.at, "correlation.aliases", "not a mapping")
		}
		c.aliases[a.key] = make(map[string]string)
		for _, f := range fields {
			s, err := text(f)
			if err != nil {
				return err
			}
			c.aliases[a.key][f.key] = s
		}
	}
	return nil
}

// readCondition reads what must be reached. A bound above is refused: whether it
// holds is known only when the timespan is over, and findings are not taken
// back.
func (c *correlation) readCondition(p pair) error {
	const element = "correlation.condition"
	temporal := strings.HasPrefix(c.kind, "temporal")
	if isScalar(p.value) {
		return c.readNames(p, temporal)
	}
	members, ok := pairs(p.value)
	if !ok {
		return invalid(p.at, element, "not a mapping")
	}
	bounded := false
	for _, m := range members {
		switch m.key {
		case "gt", "gte":
			n, ok := number(m.value)
			if m.key == "gt" {
				n++
			}
			if !ok || n != math.Trunc(n) || n < 1 || n > math.MaxInt32 || bounded {
				return invalid(m.at, element+"."+m.key, "not one count above 0")
			}
			c.atLeast, bounded = int(n), true
		case "lt", "lte", "eq", "neq":
			return unsupported(m.at, element+"."+m.key, "whether a count stays below a bound is known only when the timespan is over")
		case "field":
			var err error
			if c.fields, err = texts(m); err != nil {
				return err
			}
		default:
			return unsupported(m.at, element+"."+m.key, "unknown")
		}
	}
	switch {
	case !bounded:
		return invalid(p.at, element, "neither gt nor gte")
	case c.kind == "value_count" && (len(c.fields) == 0 || slices.Contains(c.fields, "")):
		return invalid(p.at, element+".field", "missing")
	case c.kind != "value_count" && len(c.fields) > 0:
		return invalid(p.at, element+".field", "in a correlation of type %s", c.kind)
	case c.kind == "value_count" && c.atLeast > maxExact:
		return unsupported(p.at, element, "%d values, over %d", c.atLeast, maxExact)
	case c.kind == "event_count" && c.atLeast > maxExact && c.timespan > time.Hour:
		return unsupported(p.at, element, "%d events, over %d, in a timespan over an hour", c.atLeast, maxExact)
	case temporal && c.atLeast > len(c.names):
		return invalid(p.at, element, "%d of %d rules", c.atLeast, len(c.names))
	case c.kind == "temporal_ordered" && c.atLeast < len(c.names):
		return unsupported(p.at, element, "some of several rules in order")
	}
	return nil
}

// readNames reads a condition that joins the names of the rules by and.
func (c *correlation) readNames(p pair, temporal bool) error {
	const element = "correlation.condition"
	if !temporal {
		return invalid(p.at, element, "not a mapping")
	}
	searches := make([]*search, len(c.names))
	for i, name := range c.names {
		searches[i] = &search{name: name}
	}
	x, err := parseCondition(scalarText(p.value), searches)
	if err != nil {
		return invalid(p.value, element, "%v", err)
	}
	named := make(map[string]bool)
	plain := x.op == '&'
	for _, part := range x.part {
		if plain = plain && part.op == 's'; plain {
			named[part.of.name] = true
		}
	}
	if !plain || len(named) != len(c.names) {
		return unsupported(p.value, element, "%q; all rules must be joined by and", x.text)
	}
	return nil
}

// resolve finds the rules that are correlated.
func (c *correlation) resolve(byName map[string]*rule) error {
	for _, name := range c.names {
		r := byName[name]
		switch {
		case r == nil:
			return invalid(c.at, "correlation.rules", "no rule has the name or id %q, or it was refused", name)
		case r.correlation != nil:
			return unsupported(c.at, "correlation.rules", "%q is a correlation itself", name)
		case slices.Contains(c.rules, r):
			return invalid(c.at, "correlation.rules", "%q twice", name)
		}
		c.rules = append(c.rules, r)
	}
	for _, alias := range c.groupBy {
		fields, ok := c.aliases[alias]
		for i, r := range c.rules {
			if ok && fields[r.name] == "" && fields[r.id] == "" {
				return invalid(c.at, "correlation.aliases", "%q has no field for rule %q", alias, c.names[i])
			}
		}
	}
	return nil
}

// grouping returns for each rule the fields to group its events by.
func (c *correlation) grouping() map[*rule][]field {
	fields := make(map[*rule][]field)
	for _, r := range c.rules {
		for _, g := range c.groupBy {
			if of, ok := c.aliases[g]; ok {
				g = of[r.name]
				if g == "" {
					g = of[r.id]
				}
			}
			fields[r] = append(fields[r], newField(g))
		}
	}
	return fields
}

// group returns what stands for the values of the fields, "" if one of them has
// none. It is at most 512 bytes long.
func group(e *event.Event, fields []field) string {
	const most = 512
	if len(fields) == 0 {
		return "all"
	}
	var key string
	for i := range fields {
		s := fields[i].text(e)
		switch {
		case s == "":
			return ""
		case len(fields) > 1:
			s = strconv.Quote(s)
		}
		if i > 0 {
			key += ","
		}
		key += s
	}
	if len(key) > most {
		sum := sha256.Sum256([]byte(key))
		key = cut(key, most-2*sha256.Size) + hex.EncodeToString(sum[:])
	}
	return strings.Clone(key) // whoever keeps it must not keep the event's text
}

// scopeKey names what correlations must agree on to share a scope.
func (c *correlation) scopeKey() string {
	if len(c.aliases) == 0 {
		return strings.Join(c.groupBy, " ")
	}
	return fmt.Sprint(c.groupBy, c.aliases, c.names)
}

// maxShared bounds the records of correlations that share a scope: half of what
// a set allows, which leaves room for what is not the correlations'.
const maxShared = detect.MaxRecordBytes / 2

// maxBytes is about what the correlation's feature may take of a record.
func (c *correlation) maxBytes() int {
	if c.atLeast > maxExact {
		return 1 << 10 // baseline.Rate
	}
	return 2 * c.atLeast * 128 // baseline.Distinct needs up to 80 bytes for a value
}

// scopeOf makes the scope of correlations that group by the same fields.
func scopeOf(cs []*correlation, o *Options) *detect.Scope {
	var rules []*rule
	for _, c := range cs {
		for _, r := range c.rules {
			if !slices.Contains(rules, r) {
				rules = append(rules, r)
			}
		}
	}
	x := newIndex(rules)
	fields := make(map[*rule][]field)
	for _, c := range cs {
		for r, f := range c.grouping() {
			fields[r] = f
		}
	}
	key := sha256.Sum256([]byte(cs[0].scope))
	return &detect.Scope{
		Name: fmt.Sprintf("%s-by-%s-%x", o.Name, slug(strings.Join(cs[0].groupBy, " ")), key[:4]),
		Key: func(e *event.Event) string {
			if r := x.match(e); r != nil {
				return group(e, fields[r])
			}
			return ""
		},
	}
}

// correlate makes the detector of a correlation.
func (r *rule) correlate(info detect.Info) detect.Detector {
	c := r.correlation
	var all kinds
	for i, of := range c.rules {
		k := of.kinds
		if i == 0 {
			all = k
		} else if all != nil && k != nil {
			all = append(slices.Clip(all), k...)
		} else {
			all = nil
		}
	}
	info.Events = all.patterns()
	hash := sha256.New()
	hash.Write(r.hash[:])
	for _, of := range c.rules {
		hash.Write(of.hash[:])
	}
	// The name changes with the rules, so what was counted by others is not
	// taken for a count of these.
	name := fmt.Sprintf("%s %x", info.Name, hash.Sum(nil)[:6])
	count := c.counter(name, &info)
	return detect.New(info, func(p *detect.Pass) {
		if !p.Require("the event matches one of the rules", c.matches(p.Event)) {
			return
		}
		n, ids, values := count(p)
		if !p.Reaches(n) {
			return
		}
		evidence := []detect.Evidence{{Name: info.Threshold.Of, Observed: strconv.Itoa(n), Expected: fmt.Sprintf("below %d", c.atLeast), EventIDs: ids}}
		if len(values) > 0 {
			evidence = append(evidence, detect.Evidence{Name: "of which the last", Observed: cut(strings.Join(values, ", "), maxObserved)})
		}
		for _, of := range c.rules {
			if of.match(p.Event) {
				evidence = append(evidence, of.evidence(p.Event)...)
				break
			}
		}
		p.Report("", fmt.Sprintf("%s: %d %s", r.title, n, info.Threshold.Of), evidence...)
	})
}

func (c *correlation) matches(e *event.Event) bool {
	return slices.ContainsFunc(c.rules, func(r *rule) bool { return r.match(e) })
}

// counter declares the feature that the correlation needs, and returns what asks
// it: the count, the ids of the events counted, and the values.
func (c *correlation) counter(name string, info *detect.Info) func(*detect.Pass) (n int, ids, values []string) {
	info.Threshold = detect.Threshold{Value: c.atLeast, Min: 1, Max: maxExact}
	ask := func(f *baseline.Of[baseline.Window], named bool) func(*detect.Pass) (int, []string, []string) {
		info.Uses = []baseline.Feature{f}
		return func(p *detect.Pass) (int, []string, []string) {
			w := f.In(p)
			if w.Count < c.atLeast {
				return w.Count, nil, nil
			}
			if !named {
				return w.Count, w.EventIDs(), nil
			}
			values := w.Values()
			return w.Count, w.EventIDs(), values[max(0, len(values)-5):]
		}
	}
	switch c.kind {
	case "event_count":
		info.Threshold.Of = "events within " + c.window
		if c.atLeast > maxExact {
			info.Threshold.Max = math.MaxInt32
			rate := baseline.Rate(name, func(e *event.Event) int64 {
				if c.matches(e) {
					return 1
				}
				return 0
			}, c.timespan)
			info.Uses = []baseline.Feature{rate}
			return func(p *detect.Pass) (int, []string, []string) { return int(rate.In(p).Now), nil, nil }
		}
		return ask(baseline.Distinct(name, func(e *event.Event) string {
			if c.matches(e) {
				return e.ID
			}
			return ""
		}, 2*c.atLeast, c.timespan), false)
	case "value_count":
		info.Threshold.Of = "different values of " + strings.Join(c.fields, " and ") + " within " + c.window
		return ask(baseline.DistinctEach(name, c.counted(), 2*c.atLeast, c.timespan), true)
	case "temporal":
		info.Threshold.Of = "of the rules within " + c.window
		return ask(baseline.DistinctEach(name, func(list []string, e *event.Event) []string {
			for i, r := range c.rules {
				if r.match(e) {
					list = append(list, c.names[i])
				}
			}
			return list
		}, 2*len(c.rules), c.timespan), true)
	}
	info.Threshold.Of = "of the rules in their order within " + c.window
	steps := make([]baseline.Step, len(c.rules))
	for i, r := range c.rules {
		steps[i] = r.match
	}
	sequence := baseline.Sequence(name, c.timespan, steps...)
	info.Uses = []baseline.Feature{sequence}
	return func(p *detect.Pass) (int, []string, []string) {
		progress := sequence.In(p)
		return progress.Steps, progress.EventIDs(), nil
	}
}

// counted returns the values that an event counts for: each value of the field,
// or of several fields, what they are together.
func (c *correlation) counted() func([]string, *event.Event) []string {
	fields := make([]field, len(c.fields))
	for i, name := range c.fields {
		fields[i] = newField(name)
	}
	return func(list []string, e *event.Event) []string {
		switch {
		case !c.matches(e):
		case len(fields) == 1:
			fields[0].texts(e, func(s string) bool {
				list = append(list, s)
				return true
			})
		default:
			list = append(list, group(e, fields))
		}
		return list
	}
}
