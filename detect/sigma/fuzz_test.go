package sigma

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event/eventtest"
)

// Whatever a file says, Load returns detectors that stand in a set and errors
// with a place in the file.
func FuzzLoad(f *testing.F) {
	rules, err := filepath.Glob("testdata/rules/*.yml")
	require.NoError(f, err)
	for _, name := range rules {
		text, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(string(text))
	}
	for _, detection := range []string{
		"s|re|i: 'a+'", "a|wide|base64offset|contains: x\n  b|cidr: 10.0.0.0/8", "a: [null, '', 1, 0x1f, 1e400, .inf, true, 2026-01-05]",
		"'|all': [a, b]", "a|expand: '%x%\\%'", "eventTime|hour|lt: 3", "a|fieldref|endswith: b.c", "{a: [}", "a: &x b\n  c: *x", "a: |\n    b",
	} {
		f.Add("title: T\ntags: [attack.t1078]\nlogsource: {product: aws, service: cloudtrail}\ndetection:\n s:\n  " + detection + "\n condition: s\n")
	}
	e := eventtest.Record{Call: "iam:CreateUser", Request: map[string]any{"a": []any{1, "b\n", map[string]any{"c": nil}}}}.Event(f)
	f.Fuzz(func(t *testing.T, text string) {
		detectors, err := Load(fstest.MapFS{"a.yml": {Data: []byte(text)}}, &Options{Placeholders: map[string][]string{"x": {"1", "*"}}})
		if err != nil {
			for _, err := range err.(interface{ Unwrap() []error }).Unwrap() {
				var e *Error
				require.ErrorAs(t, err, &e)
				assert.True(t, errors.Is(err, ErrInvalid) || errors.Is(err, ErrUnsupported), "%v", err)
				assert.LessOrEqual(t, e.Line, 1+strings.Count(text, "\n")+strings.Count(text, "\r"), "%v", err)
			}
		}
		_, err = detect.NewSet(detectors, nil)
		require.NoError(t, err)
		for _, d := range detectors {
			d.Info().Scope.Key(e)
		}
	})
}

// A condition means what another way of reading it means.
func FuzzCondition(f *testing.F) {
	for _, c := range []string{
		"a", "a and b or c", "not a or b and not (c or a)", "1 of a* and not all of them", "any of them or ((a))", "NOT not b AND c", "1 of _*",
		"a | count() > 1", "2 of a", "( a", "a b", "of", "1 of of", "not", "a and or b", "all of x*",
	} {
		f.Add(c, byte(5))
	}
	f.Fuzz(func(t *testing.T, text string, truth byte) {
		names := []string{"a", "ab", "b", "c", "_d", "not_e"}
		var searches []*search
		value := make(map[string]bool)
		for i, name := range names {
			s := &search{name: name}
			if value[name] = truth&(1<<i) != 0; value[name] {
				s.alternatives = [][]*item{{}}
			}
			searches = append(searches, s)
		}
		x, err := parseCondition(text, searches)
		if err != nil {
			var bad *conditionError
			require.ErrorAs(t, err, &bad)
			assert.True(t, 0 <= bad.offset && bad.offset <= len(text))
			return
		}
		want, err := evaluate(text, names, value)
		require.NoError(t, err, "%q was read", text)
		assert.Equal(t, want, x.match(nil), "%q with %v", text, value)
	})
}

// evaluate reads a condition with two stacks, as calculators do.
func evaluate(text string, names []string, value map[string]bool) (bool, error) {
	var operands []bool
	var operators []string
	binding := map[string]int{"or": 1, "and": 2, "not": 3}
	apply := func() error {
		op := operators[len(operators)-1]
		operators = operators[:len(operators)-1]
		n := len(operands)
		switch {
		case op == "not" && n >= 1:
			operands[n-1] = !operands[n-1]
		case op == "and" && n >= 2:
			operands = append(operands[:n-2], operands[n-2] && operands[n-1])
		case op == "or" && n >= 2:
			operands = append(operands[:n-2], operands[n-2] || operands[n-1])
		default:
			return fmt.Errorf("operator %s lacks operands", op)
		}
		return nil
	}
	words := regexp.MustCompile(`[()]|[^\s()]+`).FindAllString(text, -1)
	for i := 0; i < len(words); i++ {
		w := words[i]
		lower := strings.ToLower(w)
		switch {
		case lower == "not" || w == "(":
			operators = append(operators, lower)
		case w == ")":
			for len(operators) > 0 && operators[len(operators)-1] != "(" {
				if err := apply(); err != nil {
					return false, err
				}
			}
			if len(operators) == 0 {
				return false, errors.New("a bracket too many")
			}
			operators = operators[:len(operators)-1]
		case lower == "and" || lower == "or":
			for n := len(operators); n > 0 && binding[operators[n-1]] >= binding[lower]; n = len(operators) {
				if err := apply(); err != nil {
					return false, err
				}
			}
			operators = append(operators, lower)
		case i+2 < len(words) && strings.EqualFold(words[i+1], "of"):
			all := lower == "all"
			result := all
			for _, name := range names {
				selected := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(words[i+2]), `\*`, ".*") + "$").MatchString(name)
				if strings.EqualFold(words[i+2], "them") {
					selected = selected || name[0] != '_'
				}
				if selected && value[name] != all {
					result = !all
				}
			}
			operands = append(operands, result)
			i += 2
		default:
			operands = append(operands, value[w])
		}
	}
	for len(operators) > 0 {
		if err := apply(); err != nil {
			return false, err
		}
	}
	if len(operands) != 1 {
		return false, errors.New("operators are missing")
	}
	return operands[0], nil
}

// A pattern matches what the regular expression matches that says the same.
func FuzzGlob(f *testing.F) {
	for _, s := range [][2]string{
		{"a*b?c", "AxxBbyC"}, {`\*\?\\`, `*?\`}, {"*", ""}, {"", ""}, {"**a**", "ba"}, {"*ab*ab", "abab"}, {"a*a", "a"}, {"?ä*", "xÄ"}, {"K", "\u212a"},
		{"*\u017f?", "xsz"}, {"?", "\xff"}, {"a?\\", "ab\\"},
	} {
		f.Add(s[0], s[1], false)
		f.Add(s[0], s[1], true)
	}
	f.Fuzz(func(t *testing.T, text, s string, cased bool) {
		if !utf8.ValidString(text) || !utf8.ValidString(s) {
			return
		}
		p := parsePattern(text)
		expression := "(?s)^"
		if !cased {
			expression = "(?is)^"
		}
		for _, r := range p {
			switch r {
			case anyText:
				expression += ".*"
			case anyRune:
				expression += "."
			default:
				expression += regexp.QuoteMeta(string(r))
			}
		}
		re, err := regexp.Compile(expression + "$")
		if err != nil {
			return // too large
		}
		assert.Equal(t, re.MatchString(s), newGlob(p, cased).match(s), "%q on %q", text, s)
	})
}

// Escapes are undone as JSON undoes them.
func FuzzUnescape(f *testing.F) {
	for _, s := range []string{`a\"b\\\/`, `\u00e4\ud83d\ude00\ud83d`, `\n\t\r\b\f`, `\u`, `\`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := unescape(s)
		var want string
		if utf8.ValidString(s) && json.Unmarshal([]byte(`"`+s+`"`), &want) == nil {
			assert.Equal(t, want, got)
		}
	})
}
