package sigma

import (
	"strings"

	"github.com/cloudtell/cloudtell/event"
)

// A search is a search identifier: alternatives, of each of which every item
// must match.
type search struct {
	name         string
	alternatives [][]*item
}

func (s *search) match(e *event.Event) bool {
next:
	for _, all := range s.alternatives {
		for _, it := range all {
			if !it.match(e) {
				continue next
			}
		}
		return true
	}
	return false
}

// An expr is a condition, or a part of one.
type expr struct {
	op   byte // 's' is a search, '&' and '|' are about all or one of the parts, '!' is about the only one
	of   *search
	part []*expr
	text string // as written
}

func (x *expr) match(e *event.Event) bool {
	switch x.op {
	case 's':
		return x.of.match(e)
	case '!':
		return !x.part[0].match(e)
	case '&':
		for _, p := range x.part {
			if !p.match(e) {
				return false
			}
		}
		return true
	}
	for _, p := range x.part {
		if p.match(e) {
			return true
		}
	}
	return false
}

// The bounds of a condition.
const (
	maxCondition = 4096 // bytes
	maxParens    = 64   // brackets and negations, one in the other
	maxSelected  = 4096 // searches that "1 of" and "all of" select, in all
)

// A conditionParser reads a condition by descent:
//
//	or    = and { "or" and } .
//	and   = not { "and" not } .
//	not   = "not" not | "(" or ")" | quantifier "of" ( "them" | pattern ) | identifier .
type conditionParser struct {
	text     string
	searches []*search // in the order of the rule
	tokens   []word
	depth    int
	selected int
}

type word struct {
	text       string
	start, end int
}

// A conditionError is an error at an offset of the condition.
type conditionError struct {
	offset  int
	reason  error
	problem string
}

func (e *conditionError) Error() string { return e.reason.Error() + ": " + e.problem }
func (e *conditionError) Unwrap() error { return e.reason }

// parseCondition reads a condition over the searches of a rule. The error is a
// [*conditionError].
func parseCondition(text string, searches []*search) (*expr, error) {
	if len(text) > maxCondition {
		return nil, &conditionError{0, ErrUnsupported, "longer than 4096 bytes"}
	}
	p := &conditionParser{text: text, searches: searches}
	for i := 0; i < len(text); {
		end := i + 1
		switch c := text[i]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
			continue
		case c == '|':
			return nil, &conditionError{i, ErrUnsupported, "an aggregation after |, which Sigma has replaced by correlation rules"}
		case c != '(' && c != ')':
			for end < len(text) && !strings.ContainsRune(" \t\r\n()|", rune(text[end])) {
				end++
			}
		}
		p.tokens = append(p.tokens, word{text[i:end], i, end})
		i = end
	}
	x, err := p.or()
	if err == nil && len(p.tokens) > 0 {
		err = p.problem(ErrInvalid, "unexpected "+p.tokens[0].text)
	}
	if err != nil {
		return nil, err
	}
	return x, nil
}

// peek reports whether the next word is the given one, in any case.
func (p *conditionParser) peek(text string) bool {
	return len(p.tokens) > 0 && strings.EqualFold(p.tokens[0].text, text)
}

func (p *conditionParser) next() word {
	w := p.tokens[0]
	p.tokens = p.tokens[1:]
	return w
}

func (p *conditionParser) problem(reason error, text string) error {
	offset := len(p.text)
	if len(p.tokens) > 0 {
		offset = p.tokens[0].start
	}
	return &conditionError{offset, reason, text}
}

func (p *conditionParser) or() (*expr, error)  { return p.chain("or", '|', p.and) }
func (p *conditionParser) and() (*expr, error) { return p.chain("and", '&', p.not) }

// chain reads operands with one operator between them.
func (p *conditionParser) chain(operator string, op byte, operand func() (*expr, error)) (*expr, error) {
	start := len(p.text)
	if len(p.tokens) > 0 {
		start = p.tokens[0].start
	}
	x, err := operand()
	if err != nil || !p.peek(operator) {
		return x, err
	}
	x = &expr{op: op, part: []*expr{x}}
	for p.peek(operator) {
		p.next()
		y, err := operand()
		if err != nil {
			return nil, err
		}
		x.part = append(x.part, y)
	}
	end := len(p.text)
	if len(p.tokens) > 0 {
		end = p.tokens[0].start
	}
	x.text = strings.TrimSpace(p.text[start:end])
	return x, nil
}

func (p *conditionParser) not() (*expr, error) {
	if p.depth++; p.depth > maxParens {
		return nil, p.problem(ErrUnsupported, "brackets and negations are nested too deeply")
	}
	defer func() { p.depth-- }()
	if len(p.tokens) == 0 {
		return nil, p.problem(ErrInvalid, "it ends early")
	}
	switch w := p.next(); {
	case strings.EqualFold(w.text, "not"):
		x, err := p.not()
		if err != nil {
			return nil, err
		}
		return &expr{op: '!', part: []*expr{x}, text: "not " + x.text}, nil
	case w.text == "(":
		x, err := p.or()
		if err != nil {
			return nil, err
		}
		if !p.peek(")") {
			return nil, p.problem(ErrInvalid, "a bracket is not closed")
		}
		p.next()
		return x, nil
	case p.peek("of"):
		p.next()
		return p.quantified(w)
	default:
		for _, s := range p.searches {
			if s.name == w.text {
				return &expr{op: 's', of: s, text: w.text}, nil
			}
		}
		return nil, &conditionError{w.start, ErrInvalid, "the rule has no search " + w.text}
	}
}

// quantified reads what follows "1 of".
func (p *conditionParser) quantified(quantifier word) (*expr, error) {
	x := &expr{op: '|'}
	switch q := strings.ToLower(quantifier.text); q {
	case "1", "any":
	case "all":
		x.op = '&'
	default:
		return nil, &conditionError{quantifier.start, ErrUnsupported, q + " of; Sigma knows 1 of, any of and all of"}
	}
	if len(p.tokens) == 0 {
		return nil, p.problem(ErrInvalid, "it ends early")
	}
	w := p.next()
	x.text = p.text[quantifier.start:w.end]
	for _, s := range p.searches {
		if strings.EqualFold(w.text, "them") && !strings.HasPrefix(s.name, "_") || selects(w.text, s.name) {
			x.part = append(x.part, &expr{op: 's', of: s, text: s.name})
		}
	}
	if len(x.part) == 0 {
		return nil, &conditionError{w.start, ErrInvalid, "the rule has no search " + w.text}
	}
	if p.selected += len(x.part); p.selected > maxSelected {
		return nil, &conditionError{w.start, ErrUnsupported, "more than 4096 searches"}
	}
	return x, nil
}

// selects reports whether a pattern, in which * stands for any text, is a
// search's name.
func selects(pattern, name string) bool {
	if !strings.Contains(pattern, "*") {
		return pattern == name
	}
	p := plainPattern(pattern)
	for i, r := range p {
		if r == '*' {
			p[i] = anyText
		}
	}
	return newGlob(p, true).match(name)
}
