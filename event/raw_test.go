package event_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/event"
)

func TestRawAt(t *testing.T) {
	r := event.Raw(`{"a":{"b":{"c":"d"}},"n":null}`)
	assert.Equal(t, event.Raw(`"d"`), r.At("a", "b", "c"))
	assert.Equal(t, r, r.At())
	assert.Equal(t, event.Raw(""), r.At("a", "x", "c"))
	assert.True(t, r.At("a").Exists())
	assert.False(t, r.At("n").Exists())
	assert.False(t, r.At("x").Exists())
	assert.Equal(t, event.Raw(""), event.Raw("").At("a"))
}

func TestRawNumbers(t *testing.T) {
	for _, tt := range []struct {
		text   event.Raw
		number float64
		int    int64
		isNum  bool
		isInt  bool
	}{
		{`2356`, 2356, 2356, true, true},
		{`2356.0`, 2356, 2356, true, true},
		{`"2356"`, 2356, 2356, true, true},
		{`999999999999999.0`, 999999999999999, 999999999999999, true, true},
		{`9007199254740993.0`, 9007199254740992, 9007199254740992, true, true},
		{`-2.0`, -2, -2, true, true},
		{`1.0.0`, 0, 0, false, false},
		{`-1.9`, -1.9, -1, true, true},
		{`1e3`, 1000, 1000, true, true},
		{`9223372036854775807`, 9223372036854775807, 9223372036854775807, true, true},
		{`9223372036854775808`, 9223372036854775808, 0, true, false},
		{`-1e30`, -1e30, 0, true, false},
		{`1e999`, 0, 0, false, false},
		{`"NaN"`, 0, 0, false, false},
		{`"Inf"`, 0, 0, false, false},
		{`"x"`, 0, 0, false, false},
		{`null`, 0, 0, false, false},
		{`true`, 0, 0, false, false},
		{`[1]`, 0, 0, false, false},
		{``, 0, 0, false, false},
	} {
		f, ok := tt.text.Number()
		assert.Equal(t, tt.isNum, ok, "%s", tt.text)
		assert.InDelta(t, tt.number, f, 0, "%s", tt.text)
		i, ok := tt.text.Int()
		assert.Equal(t, tt.isInt, ok, "%s", tt.text)
		assert.Equal(t, tt.int, i, "%s", tt.text)
	}
}

func TestRawBool(t *testing.T) {
	for text, want := range map[event.Raw][2]bool{
		`true`: {true, true}, `"true"`: {true, true}, `"True"`: {true, true}, `"TRUE"`: {true, true},
		`false`: {false, true}, `"false"`: {false, true}, `1`: {}, `"yes"`: {}, `null`: {}, ``: {},
	} {
		value, ok := text.Bool()
		assert.Equal(t, want, [2]bool{value, ok}, "%s", text)
		assert.Equal(t, want[0], text.IsTrue(), "%s", text)
	}
}

func TestRawSequences(t *testing.T) {
	assert.Equal(t, []event.Raw{`1`, `"x"`}, slices.Collect(event.Raw(`[1,"x"]`).Items()))
	var names []string
	for name, value := range event.Raw(`{"a":1,"b":2}`).Members() {
		names = append(names, name+string(value))
	}
	assert.Equal(t, []string{"a1", "b2"}, names)
	for range event.Raw(`[1,2]`).Items() {
		break
	}
	for range event.Raw(`{"a":1,"b":2}`).Members() {
		break
	}
	for range (&event.Event{ResourceList: `[{},{}]`}).Resources() {
		break
	}
}

func TestIndex(t *testing.T) {
	x, err := event.NewIndex(
		[]string{"s3:GetObject", "s3:HeadObject"}, // 0
		[]string{"s3:*"},          // 1
		[]string{"*"},             // 2
		nil,                       // 3
		[]string{"lambda:Invoke"}, // 4
	)
	require.NoError(t, err)
	lookup := func(source, operation string) []int {
		return x.Lookup(&event.Event{Source: source + ".amazonaws.com", Operation: operation})
	}
	assert.Equal(t, []int{0, 1, 2, 3}, lookup("s3", "GetObject"))
	assert.Equal(t, []int{1, 2, 3}, lookup("s3", "PutObject"))
	assert.Equal(t, []int{2, 3, 4}, lookup("lambda", "Invoke"))
	assert.Equal(t, []int{2, 3}, lookup("lambda", "GetFunction"))
	assert.Equal(t, []int{2, 3}, lookup("ec2", "RunInstances"))
	e := event.Event{Source: "s3.amazonaws.com", Operation: "GetObject"}
	assert.Zero(t, testing.AllocsPerRun(100, func() { x.Lookup(&e) }))

	for _, pattern := range []string{"", "s3", ":GetObject", "s3:", "*:GetObject", "s3.amazonaws.com:GetObject", "s 3:GetObject"} {
		_, err := event.NewIndex([]string{pattern})
		assert.Error(t, err, pattern)
	}
}
