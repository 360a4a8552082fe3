package event

import (
	"iter"
	"math"
	"strconv"
	"strings"

	"github.com/cloudtell/cloudtell/event/internal/jsonscan"
)

// Raw is the text of one JSON value, kept as it was logged and read on demand.
// The zero Raw stands for an absent value. A Raw that an [Event] holds is valid
// JSON; on text that is not, the methods answer as for an absent value and
// never panic.
//
// AWS services disagree on types: numbers come as floats or strings, booleans
// as strings. The accessors take the value for what it means.
type Raw string

// At returns the value of the named member, going one level deeper for each
// further name, or "" if there is none. It reads the text each time: cheap for
// the small objects of a record, and free of allocation.
func (r Raw) At(names ...string) Raw {
	s := string(r)
	for _, name := range names {
		s = jsonscan.Member(s, name)
	}
	return Raw(s)
}

// Exists reports whether the value is there and not null.
func (r Raw) Exists() bool { return r != "" && r != "null" }

// Text returns a string's content, or a number's or boolean's own text; "" for
// null, objects and arrays. It allocates only for a string with escapes.
func (r Raw) Text() string { return jsonscan.Text(string(r)) }

// Number returns a number, or a string that holds one: 2356.0, 2356 and
// "2356" are the same. NaN and infinities are refused.
func (r Raw) Number() (float64, bool) {
	f, err := strconv.ParseFloat(r.Text(), 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, false
	}
	return f, true
}

// Int returns a number without its fraction; false if it is none or does not
// fit in 64 bits.
func (r Raw) Int() (int64, bool) {
	t := r.Text()
	if n, ok := short(strings.TrimSuffix(t, ".0")); ok {
		return n, true
	}
	if !strings.ContainsAny(t, ".eE") { // a failed parse would allocate its error
		if n, err := strconv.ParseInt(t, 10, 64); err == nil {
			return n, true
		}
	}
	f, ok := r.Number()
	if !ok || f < math.MinInt64 || f >= math.MaxInt64 {
		return 0, false
	}
	return int64(f), true
}

// short reads a number of a few digits, which most are. A float is exact up to
// that length.
func short(digits string) (n int64, ok bool) {
	if digits == "" || len(digits) > 15 {
		return 0, false
	}
	for i := range len(digits) {
		d := digits[i] - '0'
		if d > 9 {
			return 0, false
		}
		n = 10*n + int64(d)
	}
	return n, true
}

// Bool returns a boolean, or a string that spells one ("true", "False").
func (r Raw) Bool() (value, ok bool) {
	return boolean(r.Text())
}

func boolean(text string) (value, ok bool) {
	switch text {
	case "true", "True", "TRUE":
		return true, true
	case "false", "False", "FALSE":
		return false, true
	}
	return false, false
}

// IsTrue reports whether the value is a boolean, or a string that spells one,
// and true.
func (r Raw) IsTrue() bool {
	v, _ := r.Bool()
	return v
}

// Items returns the elements of an array; nothing for any other value.
func (r Raw) Items() iter.Seq[Raw] {
	return func(yield func(Raw) bool) {
		for v := range jsonscan.Items(string(r)) {
			if !yield(Raw(v)) {
				return
			}
		}
	}
}

// Members returns the members of an object in the order they stand; nothing
// for any other value.
func (r Raw) Members() iter.Seq2[string, Raw] {
	return func(yield func(string, Raw) bool) {
		for k, v := range jsonscan.Members(string(r)) {
			if !yield(k, Raw(v)) {
				return
			}
		}
	}
}
