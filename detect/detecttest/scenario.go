package detecttest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// A Scenario is a scenario file: cases for one rule.
type Scenario struct {
	// Name is the file's name, as given to [Parse].
	Name string
	// Rule is the name of the detector that the cases are about.
	Rule string
	// Cases are the file's cases, at least one, in its order.
	Cases []*Case
}

// A Case is one case of a scenario: calls, and the findings to expect.
type Case struct {
	// Name is the rest of the line that starts the case, Line its number.
	Name string
	Line int
	// Config is the JSON that configures the detectors, nil if there is none.
	Config []byte

	scenario     *Scenario
	principals   map[string]*principal
	calls        []*call
	expectations []*expectation
	nothing      bool // "expect nothing" was said

	records []string // in the order of time; so are events and their callers
	events  []*event.Event
	callers []*principal
}

// A call is one line of calls of a case: a template for its records.
type call struct {
	line     int
	by       *principal
	service  string
	name     string
	days     []int
	clock    time.Duration // since midnight
	times    int
	every    time.Duration
	data     bool
	region   string
	account  string
	errCode  string
	source   string
	agent    string
	request  string // this and the following are JSON objects or ""
	response string
	extra    string
	set      string
}

// An expectation is one line of findings to expect. What is zero or nil is not
// compared.
type expectation struct {
	line     int
	severity detect.Severity
	by       *principal
	subject  *string
	title    string
	events   int
	day      int
	count    int // at least 1
}

const (
	maxDay    = 366
	maxEvents = 200_000 // of a case
)

// DayOne is midnight UTC of day 1 in every scenario, a Monday.
var DayOne = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)

// Parse reads a scenario file. The name is used in complaints and in the ids
// of events. An error is a [*SyntaxError].
func Parse(name, text string) (*Scenario, error) {
	p := parser{scenario: &Scenario{Name: name}, principals: make(map[string]*principal)}
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for i := 0; i < len(lines); {
		first := i
		logical := lines[i]
		i++
		if rest, ok := strings.CutPrefix(strings.TrimSpace(logical), "case "); ok {
			if err := p.startCase(strings.TrimSpace(rest), first+1); err != nil {
				return nil, &SyntaxError{name, first + 1, err.Error()}
			}
			continue
		}
		tokens, open, err := lex(logical)
		for open && err == nil && i < len(lines) && strings.HasPrefix(lines[i]+" ", " ") {
			logical += "\n" + lines[i]
			i++
			tokens, open, err = lex(logical)
		}
		if open {
			err = fmt.Errorf("the braces are not closed, here or on the indented lines that follow")
		}
		s := &statement{line: first + 1, tokens: tokens, err: err}
		if s.more() {
			p.statement(s)
		}
		if s.err != nil {
			return nil, &SyntaxError{name, s.line, s.err.Error()}
		}
	}
	if err := p.finish(); err != nil {
		return nil, &SyntaxError{name, len(lines), err.Error()}
	}
	for _, c := range p.scenario.Cases {
		if err := c.build(); err != nil {
			return nil, err
		}
	}
	return p.scenario, nil
}

type parser struct {
	scenario   *Scenario
	principals map[string]*principal // of the file
	config     []byte                // of the file
	current    *Case
}

func (p *parser) statement(s *statement) {
	switch directive := s.word("a directive"); directive {
	case "rule":
		p.rule(s)
	case "config":
		p.setConfig(s)
	case "principal":
		p.principal(s)
	case "day":
		p.call(s)
	case "expect":
		p.expect(s)
	case "case":
		s.fail("the case has no name")
	default:
		s.fail("%q is none of rule, config, principal, case, day, expect", directive)
	}
	s.end()
}

func (p *parser) rule(s *statement) {
	name := s.word("the rule's name")
	if p.scenario.Rule != "" || p.current != nil {
		s.fail("the rule is named once, before the first case")
	}
	p.scenario.Rule = name
}

func (p *parser) setConfig(s *statement) {
	config := s.object("the config")
	if p.current != nil {
		p.current.Config = []byte(config)
		return
	}
	p.config = []byte(config)
}

func (p *parser) startCase(name string, line int) error {
	if err := p.finishCase(); err != nil {
		return err
	}
	if name == "" {
		return fmt.Errorf("the case has no name")
	}
	for _, c := range p.scenario.Cases {
		if c.Name == name {
			return fmt.Errorf("the case of line %d has the same name", c.Line)
		}
	}
	p.current = &Case{
		Name: name, Line: line, Config: p.config,
		scenario: p.scenario, principals: make(map[string]*principal),
	}
	p.scenario.Cases = append(p.scenario.Cases, p.current)
	return nil
}

func (p *parser) finishCase() error {
	c := p.current
	switch {
	case p.scenario.Rule == "":
		return fmt.Errorf("no rule is named before the first case")
	case c == nil:
	case len(c.calls) == 0:
		return fmt.Errorf("the case of line %d has no calls", c.Line)
	case len(c.expectations) == 0 && !c.nothing:
		return fmt.Errorf("the case of line %d does not say what to expect; if nothing, say so", c.Line)
	case len(c.expectations) > 0 && c.nothing:
		return fmt.Errorf("the case of line %d expects nothing and something", c.Line)
	}
	return nil
}

func (p *parser) finish() error {
	if err := p.finishCase(); err != nil {
		return err
	}
	if p.current == nil {
		return fmt.Errorf("the file has no case")
	}
	return nil
}

func (p *parser) lookup(s *statement) *principal {
	name := s.word("the principal")
	if p.current != nil && p.current.principals[name] != nil {
		return p.current.principals[name]
	}
	who := p.principals[name]
	if who == nil {
		s.fail("no principal is called %q", name)
	}
	return who
}

func (p *parser) principal(s *statement) {
	name := s.word("the principal's name")
	s.need("=")
	who := readPrincipal(s)
	if p.principals[name] != nil || p.current != nil && p.current.principals[name] != nil {
		s.fail("principal %q is there already", name)
	}
	if s.err != nil {
		return
	}
	who.name = name
	if p.current != nil {
		p.current.principals[name] = who
		return
	}
	p.principals[name] = who
}

func (p *parser) call(s *statement) {
	if p.current == nil {
		s.fail("a call stands before the first case")
	}
	c := &call{line: s.line, times: 1, every: time.Second, region: "us-east-1"}
	c.days = readDays(s)
	c.clock = readClock(s)
	c.by = p.lookup(s)
	service, name, ok := strings.Cut(s.word("service:EventName"), ":")
	if !ok || service == "" || name == "" {
		s.fail("the call is not of the form service:EventName")
	}
	c.service, c.name = service, name
	if s.next(object) {
		c.request = s.object("the request")
	}
	for s.more() {
		switch option := s.word("an option"); option {
		case "times":
			c.times = s.number("times", 1, maxEvents)
		case "every":
			c.every = readDuration(s)
		case "from":
			c.source = s.text("the source")
		case "agent":
			c.agent = s.text("the agent")
		case "error":
			c.errCode = s.text("the error code")
		case "response":
			c.response = s.object("the response")
		case "additional":
			c.extra = s.object("the additional data")
		case "set":
			c.set = s.object("set")
		case "region":
			c.region = s.word("the region")
		case "account":
			c.account = readAccount(s)
		case "data":
			c.data = true
		default:
			s.fail("%q is no option of a call", option)
		}
	}
	if s.err != nil {
		return
	}
	if c.source == "" && c.by.source == "" {
		s.fail(`no source: write "from ADDRESS" here or with principal %q`, c.by.name)
	}
	if c.agent == "" && c.by.agent == "" {
		s.fail(`no user agent: write "agent TEXT" here or with principal %q`, c.by.name)
	}
	p.current.calls = append(p.current.calls, c)
}

func (p *parser) expect(s *statement) {
	if p.current == nil {
		s.fail("an expectation stands before the first case")
		return
	}
	if s.accept("nothing") {
		p.current.nothing = true
		return
	}
	x := &expectation{line: s.line, count: 1}
	if err := x.severity.UnmarshalText([]byte(s.word("the severity"))); err != nil || x.severity == detect.Silent {
		s.fail(`expect "nothing", or a severity: info, low, medium, high, critical`)
	}
	s.need("by")
	x.by = p.lookup(s)
	for s.more() {
		switch option := s.word("an option"); option {
		case "subject":
			subject := s.text("the subject")
			x.subject = &subject
		case "title":
			x.title = s.text("the title")
		case "events":
			x.events = s.number("events", 1, maxEvents)
		case "count":
			x.count = s.number("count", 1, maxEvents)
		case "on":
			s.need("day")
			x.day = s.number("the day", 1, maxDay)
		default:
			s.fail("%q is no option of an expectation", option)
		}
	}
	p.current.expectations = append(p.current.expectations, x)
}

// readDays reads "3", "1-20" or "1-20 weekdays".
func readDays(s *statement) []int {
	text := s.word("the day")
	low, high, isRange := strings.Cut(text, "-")
	first, err1 := strconv.Atoi(low)
	last, err2 := first, error(nil)
	if isRange {
		last, err2 = strconv.Atoi(high)
	}
	if s.err != nil {
		return nil
	}
	if err1 != nil || err2 != nil || first < 1 || last < first || last > maxDay {
		s.fail("%q is neither a day from 1 to %d nor a range of them", text, maxDay)
		return nil
	}
	weekdays := s.accept("weekdays")
	var days []int
	for d := first; d <= last; d++ {
		if !weekdays || (d-1)%7 < 5 {
			days = append(days, d)
		}
	}
	if days == nil {
		s.fail("there is no weekday among the days %s", text)
	}
	return days
}

func readClock(s *statement) time.Duration {
	text := s.word("the time")
	for _, layout := range []string{"15:04", "15:04:05"} {
		if t, err := time.Parse(layout, text); err == nil && len(text) == len(layout) {
			return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second
		}
	}
	s.fail("the time %q is not of the form HH:MM or HH:MM:SS", text)
	return 0
}

// readDuration reads Go's durations and whole days, such as "7d".
func readDuration(s *statement) time.Duration {
	text := s.word("the duration")
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n <= maxDay {
			return time.Duration(n) * 24 * time.Hour
		}
	}
	d, err := time.ParseDuration(text)
	if s.err == nil && (err != nil || d <= 0 || d > maxDay*24*time.Hour) {
		s.fail("%q is no duration, such as 500ms, 5s, 10m, 1h30m or 1d", text)
	}
	return d
}

func readAccount(s *statement) string {
	text := s.word("the account")
	if s.err == nil && (len(text) != 12 || strings.Trim(text, "0123456789") != "") {
		s.fail("account %q is not twelve digits", text)
	}
	return text
}

// build makes the case's records and events.
func (c *Case) build() error {
	type made struct {
		record string
		event  *event.Event
		by     *principal
	}
	var all []made
	size := 0
	for _, call := range c.calls {
		if size += len(call.days) * call.times; size > maxEvents {
			return &SyntaxError{c.scenario.Name, call.line, fmt.Sprintf("the case has more than %d events", maxEvents)}
		}
	}
	for _, call := range c.calls {
		for _, day := range call.days {
			for n := 1; n <= call.times; n++ {
				t := DayOne.AddDate(0, 0, day-1).Add(call.clock + time.Duration(n-1)*call.every)
				seed := fmt.Sprintf("%s/%s/%d/%d/%d", c.scenario.Name, c.Name, call.line, day, n)
				record, err := call.record(t, day, n, seed)
				if err != nil {
					return &SyntaxError{c.scenario.Name, call.line, err.Error()}
				}
				e, err := event.Parse(record)
				if err != nil {
					return &SyntaxError{c.scenario.Name, call.line, fmt.Sprintf("the event cannot be decoded: %v", err)}
				}
				all = append(all, made{record, e, call.by})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b made) int { return a.event.Time.Compare(b.event.Time) })
	for _, m := range all {
		c.records, c.events, c.callers = append(c.records, m.record), append(c.events, m.event), append(c.callers, m.by)
	}
	return nil
}

// Records returns the case's CloudTrail records as JSON, in the order of time.
func (c *Case) Records() []string { return slices.Clone(c.records) }

// Events returns the case's events, in the order of time. They are shared:
// the caller must not modify them.
func (c *Case) Events() []*event.Event { return slices.Clone(c.events) }
