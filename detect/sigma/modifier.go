package sigma

import (
	"encoding/base64"
	"errors"
	"net/netip"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"time"
	"unicode/utf16"
)

// The bounds of an item.
const (
	maxValues  = 10_000 // of one item, with its placeholders filled in
	maxAll     = 64     // of an item with modifier all
	maxPattern = 4096   // bytes of a value
	// maxProgram bounds what the regular expressions of a file are compiled to, in
	// instructions of some 40 bytes: each repetition counts.
	maxProgram = 1 << 16
)

// An itemParser reads one line of a search.
type itemParser struct {
	at       node   // the key
	key      string // as written
	name     string // of the field
	options  *Options
	kind     string // of the values: "", "re", "cidr", "exists", "fieldref", "lt", …, or a part of time
	op       string // lt and its like, also behind a part of time
	flags    string // of a regular expression
	affix    string // of a field reference
	cased    bool
	expand   bool
	patterns []pattern
	utf16    string // the encoding that the patterns wait to be brought into, or ""
	encoded  bool   // in base64
	dashed   bool
	brackets bool // a value has one
	item     *item
}

// parts are the modifiers that take a part of a time.
var parts = map[string]func(time.Time) int{
	"minute": time.Time.Minute,
	"hour":   time.Time.Hour,
	"day":    time.Time.Day,
	"week":   func(t time.Time) int { _, w := t.ISOWeek(); return w },
	"month":  func(t time.Time) int { return int(t.Month()) },
	"year":   time.Time.Year,
}

// parseItem reads a key with its modifiers, and its values. A key without a name
// is about the whole record.
func parseItem(key string, at node, values []node, o *Options) (*item, error) {
	name, mods, _ := strings.Cut(key, "|")
	p := &itemParser{at: at, key: key, name: name, options: o, item: &item{field: newField(name)}}
	var list []string
	if mods != "" {
		list = strings.Split(mods, "|")
	} else if strings.HasSuffix(key, "|") {
		return nil, invalid(at, "modifier", "none after |")
	}
	if slices.Contains(list, "expand") { // first, whatever is made of the values
		p.expand = true
	}
	if err := p.readKind(list); err != nil {
		return nil, err
	}
	if err := p.readValues(values); err != nil {
		return nil, err
	}
	for _, m := range list {
		if err := p.apply(m); err != nil {
			return nil, err
		}
	}
	if err := p.finish(); err != nil {
		return nil, err
	}
	return p.item, nil
}

// valueKinds are the modifiers that say how values are to be taken. Without one
// they are texts.
var valueKinds = []string{"re", "cidr", "exists", "fieldref", "lt", "lte", "gt", "gte", "minute", "hour", "day", "week", "month", "year"}

// readKind finds out how the values are to be taken, and whether the modifiers
// go together.
func (p *itemParser) readKind(list []string) error {
	for i, m := range list {
		element := "modifier " + m
		switch m {
		case "re", "cidr", "exists", "fieldref":
			if p.kind != "" {
				return invalid(p.at, element, "after modifier %s", p.kind)
			}
			p.kind = m
		case "minute", "hour", "day", "week", "month", "year":
			if p.kind != "" {
				return invalid(p.at, element, "after modifier %s", p.kind)
			}
			p.kind = m
		case "lt", "lte", "gt", "gte":
			if p.op != "" || p.kind != "" && parts[p.kind] == nil {
				return invalid(p.at, element, "after modifier %s", list[i-1])
			}
			p.op = m
		case "i", "m", "s":
			if p.kind != "re" {
				return invalid(p.at, element, "not after re")
			}
			p.flags += m
		}
	}
	if p.op != "" && p.kind == "" {
		p.kind = p.op
	}
	for _, m := range list {
		ok := true
		switch m {
		case "contains", "startswith", "endswith":
			ok = p.kind == "" || p.kind == "fieldref"
		case "base64", "base64offset", "utf16", "utf16le", "utf16be", "wide", "windash":
			ok = p.kind == ""
		case "cased":
			ok = p.kind == "" || p.kind == "fieldref"
		case "expand":
			ok = p.kind == "" || p.kind == "re" || p.kind == "cidr"
		case "all", "neq":
			ok = p.kind != "exists"
		}
		if !ok {
			return invalid(p.at, "modifier "+m, "together with modifier %s", p.kind)
		}
	}
	if p.name == "" && p.kind != "" && p.kind != "re" {
		return invalid(p.at, "modifier "+p.kind, "without a field")
	}
	return nil
}

// readValues reads the values: texts become patterns, all others tests.
func (p *itemParser) readValues(values []node) error {
	if len(values) == 0 {
		return invalid(p.at, p.key, "no value")
	}
	for _, v := range values {
		if !isNull(v) && !isScalar(v) {
			return invalid(v, p.key, "a value is neither a text nor a number, a boolean or null")
		}
		if p.kind == "" && isNull(v) {
			if p.name == "" || len(p.key) > len(p.name) && p.key != p.name+"|neq" {
				return invalid(p.at, p.key, "null, which no modifier but neq can be applied to")
			}
			p.item.null = true
			continue
		}
		raw := scalarText(v)
		if len(raw) > maxPattern {
			return unsupported(v, p.key, "a value of %d bytes, over %d", len(raw), maxPattern)
		}
		filled := []string{raw}
		if p.expand {
			var err error
			if filled, err = p.fill(v, raw); err != nil {
				return err
			}
		}
		for _, s := range filled {
			if err := p.readValue(v, s); err != nil {
				return err
			}
		}
		if len(p.patterns)+len(p.item.tests) > maxValues {
			return unsupported(p.at, p.key, "more than %d values", maxValues)
		}
	}
	return nil
}

func (p *itemParser) readValue(v node, s string) error {
	element := "modifier " + p.kind
	p.brackets = p.brackets || strings.ContainsAny(s, "[]")
	n, isNumber := number(v)
	switch {
	case p.kind == "" && isNumber && p.name != "" && plainNumber(p.key):
		p.add(&compare{want: n, text: s})
	case p.kind == "":
		p.patterns = append(p.patterns, parsePattern(s))
	case p.kind == "re":
		re, err := p.compile(v, s)
		if err != nil {
			return err
		}
		p.add(matches{re})
	case p.kind == "cidr":
		w, err := netip.ParsePrefix(s)
		if a, err2 := netip.ParseAddr(s); err2 == nil {
			w, err = a.Prefix(a.BitLen())
		}
		if err != nil {
			return invalid(v, element, "%q is not a network", s)
		}
		p.add(within(w.Masked()))
	case p.kind == "exists":
		want := strings.EqualFold(s, "true")
		if !want && !strings.EqualFold(s, "false") || p.item.exists != nil {
			return invalid(v, element, "the value is not one boolean")
		}
		p.item.exists = &want
	case p.kind == "fieldref":
		if s == "" {
			return invalid(v, element, "the value names no field")
		}
		p.add(&same{field: newField(s)})
	default:
		if !isNumber {
			return invalid(v, element, "%q is not a number", s)
		}
		p.add(&compare{op: p.op, want: n, text: s, part: parts[p.kind]})
	}
	return nil
}

// plainNumber reports whether a key's modifiers leave a number a number.
func plainNumber(key string) bool {
	_, mods, _ := strings.Cut(key, "|")
	return mods == "" || mods == "neq" || mods == "all"
}

func (p *itemParser) add(t test) { p.item.tests = append(p.item.tests, t) }

// compile compiles a regular expression. RE2 does not look around or back.
func (p *itemParser) compile(v node, s string) (*regexp.Regexp, error) {
	if p.flags != "" {
		s = "(?" + p.flags + ")" + s
	}
	if tree, err := syntax.Parse(s, syntax.Perl); err == nil {
		n := instructions(tree)
		if p.options.program+n > maxProgram {
			return nil, unsupported(v, "modifier re", "the file's regular expressions have over %d instructions", maxProgram)
		}
		p.options.program += n
	}
	re, err := regexp.Compile(s)
	if bad := (*syntax.Error)(nil); errors.As(err, &bad) {
		switch bad.Code {
		case syntax.ErrInvalidPerlOp, syntax.ErrInvalidEscape, syntax.ErrInvalidRepeatOp, syntax.ErrInvalidRepeatSize, syntax.ErrLarge,
			syntax.ErrNestingDepth, syntax.ErrInvalidCharRange, syntax.ErrInvalidNamedCapture:
			return nil, unsupported(v, "modifier re", "%s: %s; regular expressions are those of RE2", bad.Expr, bad.Code)
		}
		return nil, invalid(v, "modifier re", "%s: %s", bad.Code, bad.Expr)
	}
	return re, err
}

// instructions is about the number of instructions that an expression is
// compiled to. One for a class of characters is larger, by four bytes a bound.
func instructions(re *syntax.Regexp) int {
	n := 1
	switch re.Op {
	case syntax.OpLiteral:
		n = len(re.Rune)
	case syntax.OpCharClass:
		n += len(re.Rune) / 10
	case syntax.OpRepeat:
		n = 0
	}
	for _, sub := range re.Sub {
		n += instructions(sub)
	}
	if re.Op == syntax.OpRepeat {
		n *= max(re.Min, re.Max, 1)
	}
	return n
}

// fill puts the values of placeholders in their places.
func (p *itemParser) fill(v node, s string) ([]string, error) {
	done := []string{""}
	put := func(texts ...string) error {
		if len(done)*len(texts) > maxValues {
			return unsupported(v, "modifier expand", "more than %d values", maxValues)
		}
		var next []string
		for _, d := range done {
			for _, t := range texts {
				next = append(next, d+t)
			}
		}
		done = next
		return nil
	}
	for s != "" {
		i := strings.IndexAny(s, `%\`)
		if i < 0 {
			i = len(s)
		}
		if i > 0 {
			if err := put(s[:i]); err != nil {
				return nil, err
			}
			s = s[i:]
			continue
		}
		if s[0] == '\\' {
			n := min(2, len(s))
			plain := s[:n]
			if plain == `\%` {
				plain = "%"
			}
			if err := put(plain); err != nil {
				return nil, err
			}
			s = s[n:]
			continue
		}
		name, rest, ok := strings.Cut(s[1:], "%")
		if !ok || name == "" {
			return nil, invalid(v, "modifier expand", "a %% that begins no placeholder; a plain one is written \\%%")
		}
		values, ok := p.options.Placeholders[name]
		if !ok {
			return nil, unsupported(v, "modifier expand", "Options.Placeholders has no %q", name)
		}
		if len(values) == 0 { // one of none is never so; nothing is not the empty text
			return nil, nil
		}
		if err := put(values...); err != nil {
			return nil, err
		}
		s = rest
	}
	return done, nil
}

// apply applies a modifier to what the values have become so far.
func (p *itemParser) apply(m string) error {
	element := "modifier " + m
	switch m {
	case "expand", "i", "m", "s":
	case "all":
		p.item.all = true
	case "neq":
		p.item.negate = true
	case "cased":
		p.cased = true
	case "contains", "startswith", "endswith":
		if p.utf16 != "" {
			return unsupported(p.at, "modifier "+p.utf16, "without base64 behind it: records are UTF-8")
		}
		p.affix = m
		for i := range p.patterns {
			p.patterns[i] = affixed(p.patterns[i], m)
		}
	case "windash":
		p.dashed = true
		for i := range p.patterns {
			p.patterns[i] = p.patterns[i].windash()
		}
	case "utf16", "utf16le", "utf16be", "wide":
		if p.utf16 != "" || p.encoded {
			return invalid(p.at, element, "after another encoding")
		}
		p.utf16 = m
	case "base64", "base64offset":
		return p.encode(m)
	default:
		if !slices.Contains(valueKinds, m) {
			return unsupported(p.at, element, "unknown")
		}
	}
	return nil
}

// affixed puts the wildcards around a pattern that a modifier stands for.
func affixed(p pattern, modifier string) pattern {
	if modifier != "startswith" {
		p = append(pattern{anyText}, p...)
	}
	if modifier != "endswith" {
		p = append(slices.Clip(p), anyText)
	}
	return p
}

// encode brings the patterns into base64.
func (p *itemParser) encode(m string) error {
	element := "modifier " + m
	switch {
	case p.encoded:
		return unsupported(p.at, element, "base64 of base64")
	case p.dashed:
		return unsupported(p.at, element, "after windash")
	}
	p.encoded = true
	var list []pattern
	for _, pat := range p.patterns {
		s, ok := pat.literal()
		if !ok {
			return invalid(p.at, element, "a value has wildcards, which have no place in base64")
		}
		b := encodeUTF16(s, p.utf16)
		if m == "base64" {
			list = append(list, plainPattern(base64.StdEncoding.EncodeToString(b)))
			continue
		}
		if len(b) == 0 {
			return invalid(p.at, element, "a value is empty")
		}
		// What of the text shows if 0, 1 or 2 bytes stand before it, and what
		// stands before and behind is not known.
		for before := range 3 {
			t := base64.StdEncoding.EncodeToString(append(make([]byte, before), b...))
			start := []int{0, 2, 3}[before]
			end := len(t) - []int{0, 3, 2}[(before+len(b))%3]
			if start < end {
				list = append(list, plainPattern(t[start:end]))
			}
		}
	}
	p.patterns, p.utf16 = list, ""
	return nil
}

// encodeUTF16 returns a text in an encoding; "" is UTF-8.
func encodeUTF16(s, encoding string) []byte {
	if encoding == "" {
		return []byte(s)
	}
	var b []byte
	if encoding == "utf16" {
		b = append(b, 0xff, 0xfe)
	}
	for _, u := range utf16.Encode([]rune(s)) {
		if encoding == "utf16be" {
			b = append(b, byte(u>>8), byte(u))
		} else {
			b = append(b, byte(u), byte(u>>8))
		}
	}
	return b
}

// finish makes the tests of the patterns.
func (p *itemParser) finish() error {
	if p.utf16 != "" {
		return unsupported(p.at, "modifier "+p.utf16, "without base64 behind it: records are UTF-8")
	}
	for _, pat := range p.patterns {
		if p.name == "" { // a keyword is somewhere in the record
			pat = affixed(pat, "contains")
		}
		p.add(newGlob(pat, p.cased))
	}
	for _, t := range p.item.tests {
		if s, ok := t.(*same); ok {
			s.affix, s.cased = p.affix, p.cased
		}
	}
	if p.name == "userAgent" && p.brackets {
		// S3 puts brackets around user agents. Most rules do not expect them, but
		// this one may.
		p.item.field.faithful = false
	}
	if it := p.item; it.all {
		if len(it.tests) > maxAll {
			return unsupported(p.at, "modifier all", "more than %d values", maxAll)
		}
		if it.null {
			return invalid(p.at, "modifier all", "null among the values")
		}
		it.every = 1<<len(it.tests) - 1
	}
	return nil
}
