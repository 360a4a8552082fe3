package sigma_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/detect/sigma"
)

// What is refused, with the element's name and its place in the file.
func TestRefused(t *testing.T) {
	const head = "title: T\ntags: [attack.t1078]\nlogsource: {product: aws, service: cloudtrail}\n"
	search := func(line string) string { return head + "detection:\n  s:\n    " + line + "\n  condition: s\n" }
	condition := func(c string) string { return head + "detection:\n  s: {eventName: A}\n  condition: " + c + "\n" }
	correlation := func(lines string) string {
		return "title: C\ncorrelation:\n" + indented(lines) + "---\n" + head + "name: base\ndetection: {s: {eventName: A}, condition: s}\n"
	}
	tests := []struct {
		name, text string
		reason     error
		element    string
		line, col  int
		says       string
	}{
		{"an unknown modifier", search("f|soundex: a"), sigma.ErrUnsupported, "modifier soundex", 6, 5, "unknown"},
		{"no modifier behind |", search("'f|': a"), sigma.ErrInvalid, "modifier", 6, 5, "none after |"},
		{"modifiers that exclude each other", search("f|re|cidr: a"), sigma.ErrInvalid, "modifier cidr", 6, 5, "after modifier re"},
		{"contains of a regular expression", search("f|re|contains: a"), sigma.ErrInvalid, "modifier contains", 6, 5, "together with modifier re"},
		{"a flag without re", search("f|i: a"), sigma.ErrInvalid, "modifier i", 6, 5, "not after re"},
		{"two bounds", search("f|lt|gt: 1"), sigma.ErrInvalid, "modifier gt", 6, 5, "after modifier lt"},
		{"a bound that is no number", search("f|gt: a"), sigma.ErrInvalid, "modifier gt", 6, 11, `"a" is not a number`},
		{"exists that is no boolean", search("f|exists: maybe"), sigma.ErrInvalid, "modifier exists", 6, 15, "not one boolean"},
		{"exists twice", search("f|exists: [true, false]"), sigma.ErrInvalid, "modifier exists", 6, 22, "not one boolean"},
		{"cidr that is no network", search("f|cidr: [10.0.0.0/8, 10.0.0.0/33]"), sigma.ErrInvalid, "modifier cidr", 6, 26, "not a network"},
		{"cidr of the whole record", search("'|cidr': 10.0.0.0/8"), sigma.ErrInvalid, "modifier cidr", 6, 5, "without a field"},
		{"a reference to no field", search("f|fieldref: ''"), sigma.ErrInvalid, "modifier fieldref", 6, 17, "names no field"},
		{"looking ahead", search("f|re: 'a(?=b)'"), sigma.ErrUnsupported, "modifier re", 6, 11, "(?="},
		{"looking behind", search("f|re: '(?<!b)a'"), sigma.ErrUnsupported, "modifier re", 6, 11, "(?<"},
		{"looking back", search(`f|re: '(a)\1'`), sigma.ErrUnsupported, "modifier re", 6, 11, `\1`},
		{"an atomic group", search("f|re: '(?>a)'"), sigma.ErrUnsupported, "modifier re", 6, 11, "(?>"},
		{"a possessive quantifier", search("f|re: 'a++'"), sigma.ErrUnsupported, "modifier re", 6, 11, "++"},
		{"a huge regular expression", search("f|re: '((a{100}){100}){100}'"), sigma.ErrUnsupported, "modifier re", 6, 11, "RE2"},
		{"regular expressions that grow", search("f|re: ['" + strings.Repeat("[ab]{1000}", 40) + "', '" + strings.Repeat("a{1000}", 40) + "']"), sigma.ErrUnsupported, "modifier re", 6, 416, "instructions"},
		{"a broken regular expression", search("f|re: 'a('"), sigma.ErrInvalid, "modifier re", 6, 11, "missing closing )"},
		{"base64 of wildcards", search("f|base64: 'a*'"), sigma.ErrInvalid, "modifier base64", 6, 5, "wildcards"},
		{"base64 behind contains", search("f|contains|base64: a"), sigma.ErrInvalid, "modifier base64", 6, 5, "wildcards"},
		{"base64 behind windash", search("f|windash|base64: a"), sigma.ErrUnsupported, "modifier base64", 6, 5, "after windash"},
		{"base64 twice", search("f|base64|base64: a"), sigma.ErrUnsupported, "modifier base64", 6, 5, "base64 of base64"},
		{"base64offset of nothing", search("f|base64offset: ''"), sigma.ErrInvalid, "modifier base64offset", 6, 5, "empty"},
		{"two encodings", search("f|wide|utf16be|base64: a"), sigma.ErrInvalid, "modifier utf16be", 6, 5, "after another"},
		{"UTF-16 as it is", search("f|wide: a"), sigma.ErrUnsupported, "modifier wide", 6, 5, "UTF-8"},
		{"UTF-16 within a text", search("f|utf16|contains: a"), sigma.ErrUnsupported, "modifier utf16", 6, 5, "UTF-8"},
		{"a placeholder without values", search("f|expand: 'x%nobody%'"), sigma.ErrUnsupported, "modifier expand", 6, 15, `no "nobody"`},
		{"half a placeholder", search("f|expand: 'x%nobody'"), sigma.ErrInvalid, "modifier expand", 6, 15, "begins no placeholder"},
		{"null with a modifier", search("f|contains: null"), sigma.ErrInvalid, "f|contains", 6, 5, "null"},
		{"all of null", search("f|all: [a, null]"), sigma.ErrInvalid, "f|all", 6, 5, "null"},
		{"all of too many", search("f|contains|all: [" + strings.Repeat("a, ", 65) + "b]"), sigma.ErrUnsupported, "modifier all", 6, 5, "64"},
		{"a value that is a mapping", search("f: {g: a}"), sigma.ErrInvalid, "f", 6, 9, "neither a text"},
		{"no values", search("f: []"), sigma.ErrInvalid, "f", 6, 5, "no value"},
		{"a value of great length", search("f: " + strings.Repeat("a", 5000)), sigma.ErrUnsupported, "f", 6, 8, "5000 bytes"},
		{"lists in lists", head + "detection:\n  s:\n    - [a]\n  condition: s\n", sigma.ErrInvalid, "s", 6, 7, "neither fields nor a keyword"},
		{"an empty search", head + "detection:\n  s:\n  condition: s\n", sigma.ErrInvalid, "s", 5, 3, "empty"},
		{"contradicting kinds of events", head + "detection:\n  s: {eventName: A}\n  t: {eventName: B}\n  condition: s and t\n", sigma.ErrInvalid, "condition", 7, 3, "no event has"},

		{"an aggregation", condition("s | count() by f > 3"), sigma.ErrUnsupported, "condition", 6, 14, "correlation rules (at character 3)"},
		{"more than one of", condition("2 of s*"), sigma.ErrUnsupported, "condition", 6, 14, "2 of"},
		{"no such search", condition("s and t"), sigma.ErrInvalid, "condition", 6, 14, "no search t (at character 7)"},
		{"no such searches", condition("1 of t*"), sigma.ErrInvalid, "condition", 6, 14, "no search t*"},
		{"an open bracket", condition("(s and s"), sigma.ErrInvalid, "condition", 6, 14, "not closed"},
		{"a bracket too many", condition("s)"), sigma.ErrInvalid, "condition", 6, 14, "unexpected )"},
		{"an operator too many", condition("s and"), sigma.ErrInvalid, "condition", 6, 14, "ends early"},
		{"an operator too few", condition("s s"), sigma.ErrInvalid, "condition", 6, 14, "unexpected s"},
		{"of nothing", condition("1 of"), sigma.ErrInvalid, "condition", 6, 14, "ends early"},
		{"deep brackets", condition(strings.Repeat("(", 100) + "s" + strings.Repeat(")", 100)), sigma.ErrUnsupported, "condition", 6, 14, "nested too deeply"},
		{"many negations", condition(strings.Repeat("not ", 100) + "s"), sigma.ErrUnsupported, "condition", 6, 14, "nested too deeply"},
		{"a long condition", condition(strings.Repeat("s and ", 1000) + "s"), sigma.ErrUnsupported, "condition", 6, 14, "4096 bytes"},
		{"no condition", head + "detection:\n  s: {eventName: A}\n", sigma.ErrInvalid, "condition", 4, 1, "missing"},
		{"a condition that is a mapping", condition("{s: t}"), sigma.ErrInvalid, "condition", 6, 3, "neither a text"},
		{"a timeframe", head + "detection:\n  s: {eventName: A}\n  timeframe: 5m\n  condition: s\n", sigma.ErrUnsupported, "timeframe", 6, 3, "correlation rules"},

		{"another product", strings.Replace(condition("s"), "aws", "azure", 1), sigma.ErrUnsupported, "logsource", 3, 1, "azure"},
		{"another service", strings.Replace(condition("s"), "cloudtrail", "waf", 1), sigma.ErrUnsupported, "logsource", 3, 1, "waf"},
		{"a category", strings.Replace(condition("s"), "{product", "{category: x, product", 1), sigma.ErrUnsupported, "logsource", 3, 1, "category \"x\""},
		{"no logsource", "title: T\ndetection: {s: {a: b}, condition: s}\n", sigma.ErrInvalid, "logsource", 1, 1, "missing"},
		{"no detection", head, sigma.ErrInvalid, "detection", 1, 1, "missing"},
		{"no title", strings.Replace(condition("s"), "title: T\n", "", 1), sigma.ErrInvalid, "title", 1, 1, "missing"},
		{"no technique", strings.Replace(condition("s"), "t1078", "discovery", 1), sigma.ErrUnsupported, "tags", 1, 1, "Options.Technique"},
		{"no letters to name it by", strings.Replace(condition("s"), "title: T", "title: '§§§'", 1), sigma.ErrUnsupported, "title", 1, 1, "name the detector"},
		{"no such level", condition("s") + "level: severe\n", sigma.ErrInvalid, "level", 7, 8, "severe"},
		{"a rule that calls itself unsupported", condition("s") + "status: unsupported\n", sigma.ErrUnsupported, "status", 7, 1, "itself"},
		{"another taxonomy", condition("s") + "taxonomy: ecs\n", sigma.ErrUnsupported, "taxonomy", 7, 1, "ecs"},
		{"a global filter", "title: F\nlogsource: {product: aws, service: cloudtrail}\nfilter: {rules: [a]}\n", sigma.ErrUnsupported, "filter", 3, 1, "suppression"},
		{"a collection", "action: global\ntitle: A\n", sigma.ErrUnsupported, "action", 1, 1, "collection"},
		{"a list for a text", "title: [a, b]\n", sigma.ErrInvalid, "title", 1, 1, "a list"},
		{"no mapping", "- title: a\n", sigma.ErrInvalid, "", 1, 1, "not a mapping"},

		{"an alias", "title: &a T\nid: *a\n", sigma.ErrUnsupported, "YAML", 1, 8, "an anchor"},
		{"a text that begins with *", search("f: *evil"), sigma.ErrUnsupported, "YAML", 6, 8, "must be quoted"},
		{"a tag", "title: !!str T\n", sigma.ErrUnsupported, "YAML", 1, 8, "a tag"},
		{"a merge", "title: T\n<<: {a: b}\n", sigma.ErrUnsupported, "YAML", 2, 1, "a merge"},
		{"a complex key", "? [a]\n: b\n", sigma.ErrUnsupported, "YAML", 1, 1, "key after ?"},
		{"one key twice", "title: T\ntitle: U\n", sigma.ErrInvalid, "YAML", 2, 1, "already defined"},
		{"what is no YAML", "title: 'T\n", sigma.ErrInvalid, "YAML", 1, 8, ""},
		{"what is not UTF-8", "title: \xff\n", sigma.ErrInvalid, "YAML", 1, 1, "UTF-8"},
		{"brackets fifty thousand deep", strings.Repeat("[", 50_000), sigma.ErrUnsupported, "YAML", 1, 17, "nested too deeply"},
		{"entries thirty thousand deep", strings.Repeat("- ", 30_000), sigma.ErrUnsupported, "YAML", 1, 33, "nested too deeply"},
		{"indentation without end", "a:\n" + strings.Repeat(" ", 200) + "b: c\n", sigma.ErrUnsupported, "YAML", 2, 201, "indented too far"},
		{"a huge document", "title: " + strings.Repeat("a", 100_000), sigma.ErrUnsupported, "YAML", 1, 1, "over 65536"},
		{"a huge file", strings.Repeat("# comment\n", 200_000), sigma.ErrUnsupported, "", 0, 0, "over 1048576 bytes"},

		{"no type", correlation("rules: [base]\ntimespan: 1h\ncondition: {gte: 2}"), sigma.ErrInvalid, "correlation.type", 2, 1, "missing"},
		{"another type", correlation("type: value_avg\nrules: [base]\ntimespan: 1h\ncondition: {gte: 2}"), sigma.ErrUnsupported, "correlation.type", 2, 1, "value_avg"},
		{"no rules", correlation("type: event_count\ntimespan: 1h\ncondition: {gte: 2}"), sigma.ErrInvalid, "correlation.rules", 2, 1, "missing"},
		{"no such rule", correlation("type: event_count\nrules: [other]\ntimespan: 1h\ncondition: {gte: 2}"), sigma.ErrInvalid, "correlation.rules", 2, 1, `"other"`},
		{"a rule twice", correlation("type: temporal\nrules: [base, base]\ntimespan: 1h"), sigma.ErrInvalid, "correlation.rules", 2, 1, "twice"},
		{"one rule in proximity", correlation("type: temporal\nrules: [base]\ntimespan: 1h"), sigma.ErrInvalid, "correlation.rules", 2, 1, "alone"},
		{"many rules in order", correlation("type: temporal_ordered\nrules: [a,b,c,d,e,f,g,h,i]\ntimespan: 1h"), sigma.ErrUnsupported, "correlation.rules", 2, 1, "over 8"},
		{"no timespan", correlation("type: event_count\nrules: [base]\ncondition: {gte: 2}"), sigma.ErrInvalid, "correlation.timespan", 2, 1, "missing"},
		{"a strange timespan", correlation("type: event_count\nrules: [base]\ntimespan: 1w\ncondition: {gte: 2}"), sigma.ErrInvalid, "correlation.timespan", 5, 15, "1w"},
		{"a timespan of seconds", correlation("type: event_count\nrules: [base]\ntimespan: 30s\ncondition: {gte: 2}"), sigma.ErrUnsupported, "correlation.timespan", 5, 15, "one minute"},
		{"a timespan of months", correlation("type: event_count\nrules: [base]\ntimespan: 99999999999d\ncondition: {gte: 2}"), sigma.ErrUnsupported, "correlation.timespan", 5, 15, "30 days"},
		{"no bound", correlation("type: event_count\nrules: [base]\ntimespan: 1h"), sigma.ErrInvalid, "correlation.condition", 2, 1, "missing"},
		{"a bound above", correlation("type: event_count\nrules: [base]\ntimespan: 1h\ncondition: {lt: 2}"), sigma.ErrUnsupported, "correlation.condition.lt", 6, 17, "over"},
		{"a range", correlation("type: event_count\nrules: [base]\ntimespan: 1h\ncondition: {gt: 2, lte: 9}"), sigma.ErrUnsupported, "correlation.condition.lte", 6, 24, "over"},
		{"exactly", correlation("type: event_count\nrules: [base]\ntimespan: 1h\ncondition: {eq: 2}"), sigma.ErrUnsupported, "correlation.condition.eq", 6, 17, "over"},
		{"a bound that is no count", correlation("type: event_count\nrules: [base]\ntimespan: 1h\ncondition: {gte: 1.5}"), sigma.ErrInvalid, "correlation.condition.gte", 6, 17, "count"},
		{"a percentile", correlation("type: value_count\nrules: [base]\ntimespan: 1h\ncondition: {gte: 2, field: a, percentile: 9}"), sigma.ErrUnsupported, "correlation.condition.percentile", 6, 35, "unknown"},
		{"values of no field", correlation("type: value_count\nrules: [base]\ntimespan: 1h\ncondition: {gte: 2}"), sigma.ErrInvalid, "correlation.condition.field", 6, 5, "missing"},
		{"a field where events are counted", correlation("type: event_count\nrules: [base]\ntimespan: 1h\ncondition: {gte: 2, field: a}"), sigma.ErrInvalid, "correlation.condition.field", 6, 5, "event_count"},
		{"too many values", correlation("type: value_count\nrules: [base]\ntimespan: 1h\ncondition: {gte: 257, field: a}"), sigma.ErrUnsupported, "correlation.condition", 6, 5, "over 256"},
		{"too many events for long", correlation("type: event_count\nrules: [base]\ntimespan: 2h\ncondition: {gte: 257}"), sigma.ErrUnsupported, "correlation.condition", 6, 5, "over 256"},
		{"a condition by or", correlation("type: temporal\nrules: [base, b]\ntimespan: 1h\ncondition: base or b"), sigma.ErrUnsupported, "correlation.condition", 6, 16, "joined by and"},
		{"a condition by not", correlation("type: temporal\nrules: [base, b]\ntimespan: 1h\ncondition: base and not b"), sigma.ErrUnsupported, "correlation.condition", 6, 16, "joined by and"},
		{"a condition that contradicts itself", correlation("type: temporal\nrules: [base, b]\ntimespan: 1h\ncondition: base and b and not base"), sigma.ErrUnsupported, "correlation.condition", 6, 16, "joined by and"},
		{"a group without a name", correlation("type: event_count\nrules: [base]\ngroup-by: ['']\ntimespan: 1h\ncondition: {gte: 2}"), sigma.ErrInvalid, "correlation.group-by", 2, 1, "without a name"},
		{"values of a field without a name", correlation("type: value_count\nrules: [base]\ntimespan: 1h\ncondition: {gte: 2, field: ''}"), sigma.ErrInvalid, "correlation.condition.field", 6, 5, "missing"},
		{"a mapping for the condition of names", correlation("type: event_count\nrules: [base]\ntimespan: 1h\ncondition: base"), sigma.ErrInvalid, "correlation.condition", 6, 5, "not a mapping"},
		{"more than there are", correlation("type: temporal\nrules: [base, b]\ntimespan: 1h\ncondition: {gte: 3}"), sigma.ErrInvalid, "correlation.condition", 6, 5, "3 of 2"},
		{"some in order", correlation("type: temporal_ordered\nrules: [base, b]\ntimespan: 1h\ncondition: {gte: 1}"), sigma.ErrUnsupported, "correlation.condition", 6, 5, "in order"},
		{"an alias without a field", correlation("type: event_count\nrules: [base]\ngroup-by: [who]\ntimespan: 1h\ncondition: {gte: 2}\naliases: {who: {other: f}}"), sigma.ErrInvalid, "correlation.aliases", 2, 1, `"base"`},
		{"a member unheard of", correlation("type: event_count\nrules: [base]\ntimespan: 1h\nfoo: 1\ncondition: {gte: 2}"), sigma.ErrUnsupported, "correlation.foo", 6, 5, "unknown"},
		{"a correlation of correlations", "title: D\ncorrelation: {type: event_count, rules: [c], timespan: 1h, condition: {gte: 2}}\n---\nname: c\n" +
			correlation("type: event_count\nrules: [base]\ntimespan: 1h\ncondition: {gte: 2}"), sigma.ErrUnsupported, "correlation.rules", 2, 1, "correlation itself"},
		{"a correlation with a detection", condition("s") + "correlation: {}\n", sigma.ErrInvalid, "correlation", 7, 1, "beside"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := sigma.Load(files(tt.text), nil)
			require.ErrorIs(t, err, tt.reason)
			var e *sigma.Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, "rules/a.yml", e.File)
			assert.Equal(t, tt.element, e.Element)
			assert.Equal(t, [2]int{tt.line, tt.col}, [2]int{e.Line, e.Column}, "%v", err)
			assert.Contains(t, err.Error(), tt.says)
			assert.NotContains(t, err.Error(), "\n", "one rule, one line")
		})
	}
}

// A refused rule takes neither its file's other rules with it nor other files,
// and lines count from the file's first.
func TestRefusedAlone(t *testing.T) {
	good := func(title string) string {
		return strings.Replace(ruleOf("s: {eventName: A}\ncondition: s"), "Under test", title, 1)
	}
	fsys := fstest.MapFS{
		"a/first.yml": {Data: []byte("# a comment\n---\n" + good("One") + "---\ntitle: 'broken\n---\n" + good("Two"))},
		"b.yaml":      {Data: []byte(good("Three"))},
		"c.yml":       {Data: []byte(good("One"))},
		"d.yml":       {Data: []byte("id: x\n" + good("Four") + "---\nid: x\n" + good("Five"))},
		"README.md":   {Data: []byte("no rule")},
		"e.yml":       {Mode: fs.ModeDir},
	}
	detectors, err := sigma.Load(fsys, nil)
	var names []string
	for _, d := range detectors {
		names = append(names, d.Info().Name)
	}
	assert.Equal(t, []string{"sigma-one", "sigma-two", "sigma-three", "sigma-four"}, names)
	var said []string
	for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
		said = append(said, e.Error())
	}
	require.Len(t, said, 3)
	assert.Contains(t, said[0], "a/first.yml:10:")
	assert.Equal(t, `d.yml:8:1: rule "Five": not valid: its id or name is that of "Four" in d.yml`, said[1])
	assert.Equal(t, `c.yml:1:1: rule "One": not valid: its title is that of "One" in a/first.yml`, said[2])
}

// What the file system cannot give is an error, too, and not the end.
func TestUnreadableFile(t *testing.T) {
	fsys := files(ruleOf("s: {eventName: A}\ncondition: s"))
	detectors, err := sigma.Load(failing{fsys, "rules/b.yml"}, nil)
	require.NoError(t, err)
	require.Len(t, detectors, 1)

	fsys["rules/b.yml"] = &fstest.MapFile{}
	detectors, err = sigma.Load(failing{fsys, "rules/b.yml"}, nil)
	require.ErrorIs(t, err, errDisk)
	assert.Len(t, detectors, 1)
	var e *sigma.Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, "rules/b.yml", e.File)

	_, err = sigma.Load(failing{fsys, "."}, nil)
	require.ErrorIs(t, err, errDisk)
}

var errDisk = errors.New("the disk is gone")

type failing struct {
	fstest.MapFS
	name string
}

func (f failing) Open(name string) (fs.File, error) {
	if name == f.name {
		return nil, errDisk
	}
	return f.MapFS.Open(name)
}

func (f failing) Stat(name string) (fs.FileInfo, error) {
	if name == f.name && name == "." {
		return nil, errDisk
	}
	return f.MapFS.Stat(name)
}
