package jsonscan

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestValid(t *testing.T) {
	for _, tt := range []struct {
		text   string
		offset int // of the fault; -1 for none
		err    error
	}{
		{`{}`, -1, nil},
		{` [ ] `, -1, nil},
		{`{"a":[1,-0,0.5,1e9,1E-9,-12.5e+3,true,false,null,"x"]}`, -1, nil},
		{`"\"\\\/\b\f\n\r\t\u00e9\uD83D\uDE00"`, -1, nil},
		{"\"\xff\"", -1, nil}, // encoding/json takes invalid UTF-8
		{"\"\x7f\"", -1, nil},
		{``, 0, ErrTruncated},
		{` `, 1, ErrTruncated},
		{`{`, 1, ErrTruncated},
		{`{"a"`, 4, ErrTruncated},
		{`{"a":`, 5, ErrTruncated},
		{`{"a":1`, 6, ErrTruncated},
		{`{"a":1,`, 7, ErrTruncated},
		{`"abc`, 4, ErrTruncated},
		{`"\`, 2, ErrTruncated},
		{`"\u12`, 5, ErrTruncated},
		{`tru`, 3, ErrTruncated},
		{`-`, 1, ErrTruncated},
		{`1.`, 2, ErrTruncated},
		{`1e`, 2, ErrTruncated},
		{`1e+`, 3, ErrTruncated},
		{`{"a":1,}`, 7, ErrSyntax},
		{`{,}`, 1, ErrSyntax},
		{`[1,]`, 3, ErrSyntax},
		{`[1 2]`, 3, ErrSyntax},
		{`[1}`, 2, ErrSyntax},
		{`{"a" 1}`, 5, ErrSyntax},
		{`{a:1}`, 1, ErrSyntax},
		{`{"a":1 "b":2}`, 7, ErrSyntax},
		{`01`, 1, ErrSyntax},
		{`+1`, 0, ErrSyntax},
		{`.5`, 0, ErrSyntax},
		{`1.x`, 2, ErrSyntax},
		{`trux`, 3, ErrSyntax},
		{`nul1`, 3, ErrSyntax},
		{"\"a\nb\"", 2, ErrSyntax},
		{`"\x"`, 2, ErrSyntax},
		{`"\u12g4"`, 5, ErrSyntax},
		{`{} {}`, 3, ErrSyntax},
		{`NaN`, 0, ErrSyntax},
		{"\uFEFF{}", 0, ErrSyntax},
	} {
		err := Valid(tt.text, MaxDepth)
		assert.Equal(t, json.Valid([]byte(tt.text)), err == nil, "%q: encoding/json disagrees", tt.text)
		if tt.err == nil {
			assert.NoError(t, err, "%q", tt.text)
			continue
		}
		var fault *Error
		require.ErrorAs(t, err, &fault, "%q", tt.text)
		assert.ErrorIs(t, err, tt.err, "%q", tt.text)
		assert.Equal(t, tt.offset, fault.Offset, "%q", tt.text)
		assert.Equal(t, tt.err.Error(), err.Error())
	}
}

func TestDepth(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	assert.NoError(t, Valid(nested(3), 3))
	err := Valid(nested(4), 3)
	assert.ErrorIs(t, err, ErrDepth)
	var fault *Error
	require.ErrorAs(t, err, &fault)
	assert.Equal(t, 3, fault.Offset)

	assert.NoError(t, Valid(nested(MaxDepth), MaxDepth))
	assert.True(t, json.Valid([]byte(nested(MaxDepth))))
	assert.ErrorIs(t, Valid(nested(MaxDepth+1), MaxDepth), ErrDepth)
	assert.False(t, json.Valid([]byte(nested(MaxDepth+1))))

	assert.NoError(t, Valid(`"x"`, 0))
	assert.ErrorIs(t, Valid(`{}`, 0), ErrDepth)
	assert.ErrorIs(t, Valid(strings.Repeat(`{"a":`, 1<<20), MaxDepth), ErrDepth)
}

func TestScan(t *testing.T) {
	end, err := Scan(` {"a":1} rest`, MaxDepth)
	assert.NoError(t, err)
	assert.Equal(t, len(` {"a":1}`), end)
	end, err = Scan(`[1,x`, MaxDepth)
	assert.ErrorIs(t, err, ErrSyntax)
	assert.Equal(t, 3, end)
}

func TestMember(t *testing.T) {
	for _, tt := range []struct{ text, name, want string }{
		{`{"a":1,"b":{"c":"d"}}`, "b", `{"c":"d"}`},
		{` { "a" : 1 , "b" : [ 2 ] } `, "b", `[ 2 ]`},
		{`{"a":1,"a":2}`, "a", `2`}, // the last one counts
		{`{"a":1,"\u0061":null}`, "a", `null`},
		{`{"a\"b":1}`, `a"b`, `1`},
		{`{"":1}`, "", `1`},
		{`{"a":1}`, "b", ``},
		{`{"a":1}`, "A", ``},
		{`{"a":1`, "a", ``},
		{`{"a":1} x`, "a", ``},
		{`{"a":1,"b":}`, "a", ``},
		{`["a",1]`, "a", ``},
		{`"a"`, "a", ``},
		{``, "a", ``},
	} {
		assert.Equal(t, tt.want, Member(tt.text, tt.name), "%s of %s", tt.name, tt.text)
	}
}

func TestMembers(t *testing.T) {
	var names, values []string
	for name, value := range Members(`{"a":1,"b":[2],"\u0061":3}`) {
		names, values = append(names, name), append(values, value)
	}
	assert.Equal(t, []string{"a", "b", "a"}, names)
	assert.Equal(t, []string{"1", "[2]", "3"}, values)
	for _, text := range []string{``, `[1]`, `1`, `{}`, `{1}`} {
		assert.Empty(t, maps.Collect(Members(text)), text)
	}
	for name := range Members(`{"a":1,"b":2}`) {
		assert.Equal(t, "a", name)
		break
	}
}

func TestItems(t *testing.T) {
	assert.Equal(t, []string{"1", `"x"`, "{}", "[2, 3]"}, slices.Collect(Items(` [1, "x" ,{},[2, 3]] `)))
	assert.Equal(t, []string{"1"}, slices.Collect(Items(`[1,x]`)))
	for _, text := range []string{``, `{"a":1}`, `1`, `[]`, `[`} {
		assert.Empty(t, slices.Collect(Items(text)), text)
	}
}

func TestText(t *testing.T) {
	for text, want := range map[string]string{
		`"abc"`:                        "abc",
		` "abc" `:                      "abc",
		`""`:                           "",
		`"\"\\\/\b\f\n\r\t"`:           "\"\\/\b\f\n\r\t",
		`"caf\u00e9 \u00E9"`:           "café é",
		`"\ud83d\ude00"`:               "😀",
		`"\ud83d"`:                     "\uFFFD",
		`"\ud83dx"`:                    "\uFFFDx",
		`"\ud83d\u0041"`:               "\uFFFDA",
		`"\ude00\ud83d"`:               "\uFFFD\uFFFD",
		"\"a\xffb\"":                   "a\uFFFDb",
		`-1.50e3`:                      "-1.50e3",
		`true`:                         "true",
		`false`:                        "false",
		`null`:                         "",
		`{"a":1}`:                      "",
		`[1]`:                          "",
		`"abc`:                         "",
		`"abc" x`:                      "",
		`12x`:                          "",
		``:                             "",
		`"` + strings.Repeat(`\n`, 99): "",
	} {
		assert.Equal(t, want, Text(text), "%s", text)
	}
}

func TestAppendQuoted(t *testing.T) {
	for _, s := range []string{"", "abc", "a\"b\\c", "\x00\x1f\n", "é😀", "a\xffb", "\u2028</script>"} {
		quoted := string(AppendQuoted([]byte("x"), s)[1:])
		assert.True(t, json.Valid([]byte(quoted)), quoted)
		assert.Equal(t, strings.ToValidUTF8(s, "\uFFFD"), Text(quoted))
	}
}

func TestNames(t *testing.T) {
	names := NewNames("a", "arn", "eventVersion", "eventTime", "vpcEndpointId", "vpcEndpointAccountId")
	numbers := func(s string, order *Order) (numbers []int, end int, f Fault) {
		end, f = Enter(s, Space(s, 0), MaxDepth)
		number := Start
		for f == none {
			if number, end, f = names.Next(s, end, number, order); f != none || number == End {
				break
			}
			numbers = append(numbers, number)
			_, end, f = Value(s, end, MaxDepth-1)
		}
		return numbers, end, f
	}
	var order Order
	for _, tt := range []struct {
		text string
		want []int
		end  int // of the object, or of what can be read; -1 for all
		f    Fault
	}{
		{`{}`, nil, -1, none},
		{`{"a":1}`, []int{1}, -1, none},
		{`{"arn":1}`, []int{2}, -1, none},
		{`{"":1,"arm":2,"arnarn":3,"eventVersion2":4,"eventVer":5,"vpcEndpointIx":6}`, []int{0, 0, 0, 0, 0, 0}, -1, none},
		{`{"eventVersion":"1","eventTime":2,"vpcEndpointAccountId":3,"vpcEndpointId":[4]}`, []int{3, 4, 6, 5}, -1, none},
		{`{"eventVersion":"1","eventTime":2,"vpcEndpointId":3,"vpcEndpointAccountId":4}`, []int{3, 4, 5, 6}, -1, none},
		{`{"eventVersion":"1", "eventTime" : 2 , "vpcEndpointId": 3 }`, []int{3, 4, 5}, -1, none},
		{`{"event\u0056ersion":1,"\u0061":2,"\u0062":3,"eventTime":4}`, []int{3, 1, 0, 4}, -1, none},
		{`{"eventVersion":1,"eventTime":`, []int{3, 4}, -1, truncated},
		{`{"eventVersion":1,"eventTime"`, []int{3}, -1, truncated},
		{`{"eventVersion":1,"eventTime"}`, []int{3}, 29, syntax},
		{`{"eventVersion":1 "eventTime":1}`, []int{3}, 18, syntax},
		{`{"eventVersion":1,}`, []int{3}, 18, syntax},
		{`{,"a":1}`, nil, 1, syntax},
		{`{"eventVersion":1,,"a":1}`, []int{3}, 18, syntax},
	} {
		if tt.end < 0 {
			tt.end = len(tt.text)
		}
		for _, o := range []*Order{nil, &order, &order} {
			got, end, f := numbers(tt.text, o)
			assert.Equal(t, tt.want, got, tt.text)
			assert.Equal(t, tt.end, end, tt.text)
			assert.Equal(t, tt.f, f, tt.text)
		}
	}
}

func TestAllocations(t *testing.T) {
	const text = `{"a":{"b":[1,2,{"c":"d"}]},"e":"f g h","n":12.5}`
	var sink string
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		sink = Text(Member(Member(text, "a"), "b"))
		sink = Text(Member(text, "e"))
		c := Open(text, MaxDepth)
		for c.Next() {
			sink = c.Value
		}
		if _, err := Scan(text, MaxDepth); err != nil || Valid(text, MaxDepth) != nil {
			t.Error(err)
		}
	}))
	assert.Equal(t, "12.5", sink)
}

func FuzzJSONScan(f *testing.F) {
	for _, s := range []string{
		`{"a":1,"\u0061":[true,null,-0.5e+3]}`, `"\ud83d\ude00\ud800x"`, "\"\xff\xed\xa0\x80\"", `[[[[]]]]`, `{"a":}`, `01`, `-`,
		` {"a" : {"b":"c"} } x`, `"`, `tru`, "\"\x01\"", `[1,]`, `{,}`, `1e`, `{"a":1 "b":2}`, `"\u12`,
	} {
		f.Add(s, "a")
	}
	f.Fuzz(func(t *testing.T, s, name string) {
		err := Valid(s, MaxDepth)
		if valid := json.Valid([]byte(s)); valid != (err == nil) {
			t.Fatalf("Valid(%q) = %v, encoding/json says %v", s, err, valid)
		}
		var fault *Error
		if errors.As(err, &fault) && (fault.Offset < 0 || fault.Offset > len(s)) {
			t.Fatalf("offset %d of %q", fault.Offset, s)
		}
		var text *string // stays nil for null
		if json.Unmarshal([]byte(s), &text) == nil && text != nil && Text(s) != *text {
			t.Fatalf("Text(%q) = %q, want %q", s, Text(s), *text)
		}
		var object map[string]json.RawMessage
		if json.Unmarshal([]byte(s), &object) != nil {
			object = nil
		}
		for key, want := range object {
			if got := Member(s, key); got != string(want) {
				t.Fatalf("Member(%q, %q) = %q, want %q", s, key, got, want)
			}
		}
		if got := Member(s, name); got != string(object[name]) {
			t.Fatalf("Member(%q, %q) = %q, want %q", s, name, got, object[name])
		}
		var array []json.RawMessage
		if json.Unmarshal([]byte(s), &array) == nil {
			i := 0
			for item := range Items(s) {
				if item != string(array[i]) {
					t.Fatalf("item %d of %q is %q, want %q", i, s, item, array[i])
				}
				i++
			}
			if i != len(array) {
				t.Fatalf("%d items in %q, want %d", i, s, len(array))
			}
		}
	})
}
