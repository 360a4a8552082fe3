package jsonscan

import "iter"

// A Cursor steps through the members of an object, or the elements of an
// array, checking the syntax as it goes:
//
//	c := jsonscan.Open(text, depth)
//	for c.Next() {
//		use(c.Key, c.Value)
//	}
//	if err := c.Err(); err != nil { … }
//
// A Cursor is one goroutine's. It allocates only to unescape a key.
type Cursor struct {
	// Key is the member's name, unescaped; empty in an array.
	Key string
	// Value is the text of the value, without space around it.
	Value string

	text  string
	pos   int   // after what has been read; where the fault is, once there is one
	depth int   // how many more arrays and objects the values may nest
	close byte  // the closing bracket; 0 when the end has been reached
	later bool  // an element has been read, so a comma comes before the next
	plain bool  // Value is its content, but for quotes
	fault Fault // what stopped the scan
}

// Open returns a cursor before the first member or element of the object or
// array that s starts with, after optional white space. What follows it in s
// is not read. Arrays and objects, this one included, may nest maxDepth deep.
// Any other s gives a cursor with an error and nothing to step through.
func Open(s string, maxDepth int) Cursor { return open(s, space(s, 0), maxDepth) }

func open(s string, i, depth int) Cursor {
	c := Cursor{text: s, pos: i, depth: depth - 1}
	switch {
	case i >= len(s):
		c.fault = truncated
	case s[i] != '{' && s[i] != '[':
		c.fault = syntax
	case depth <= 0:
		c.fault = deep
	default:
		c.close = s[i] + 2 // '{' + 2 is '}', and '[' + 2 is ']'
		c.pos++
	}
	return c
}

// Next moves to the next member or element and reports whether there is one.
func (c *Cursor) Next() bool {
	if c.close == 0 {
		return false
	}
	s := c.text
	i := space(s, c.pos)
	if i < len(s) && s[i] == c.close {
		c.close, c.pos = 0, i+1
		return false
	}
	if c.later {
		if i >= len(s) || s[i] != ',' {
			return c.fail(i, syntax)
		}
		i = space(s, i+1)
	}
	c.later = true
	if c.close == '}' {
		end, value, plain, f := name(s, i)
		if f != none {
			return c.fail(end, f)
		}
		c.Key, i = content(s[i:end], plain), value
	}
	end, plain, f := value(s, i, c.depth)
	if f != none {
		return c.fail(end, f)
	}
	c.Value, c.plain, c.pos = s[i:end], plain, end
	return true
}

func (c *Cursor) fail(i int, f Fault) bool {
	if i >= len(c.text) {
		f = truncated
	}
	c.Key, c.Value, c.close, c.pos, c.fault = "", "", 0, i, f
	return false
}

// Text returns the content of Value as [Text] does, without scanning it again.
func (c *Cursor) Text() string {
	switch c.Value[0] {
	case '{', '[', 'n':
		return ""
	}
	return content(c.Value, c.plain)
}

// Err returns the [*Error] that stopped Next early, or nil.
func (c *Cursor) Err() error { return c.fault.At(c.pos) }

// Offset returns how far the cursor has read: just after the last value; once
// Next has returned false, just after the object or array or, with an error,
// where the fault is.
func (c *Cursor) Offset() int { return c.pos }

// Members returns the members of an object in the order they stand, stopping
// at the first fault; nothing for any other text.
func Members(obj string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		c := Open(obj, MaxDepth)
		if c.close != '}' {
			return
		}
		for c.Next() && yield(c.Key, c.Value) {
		}
	}
}

// Items returns the elements of an array, stopping at the first fault; nothing
// for any other text.
func Items(arr string) iter.Seq[string] {
	return func(yield func(string) bool) {
		c := Open(arr, MaxDepth)
		if c.close != ']' {
			return
		}
		for c.Next() && yield(c.Value) {
		}
	}
}

// Member returns the text of the value that an object has under a name, or ""
// if it has none. Of several members with the same name the last counts, as
// in encoding/json.
func Member(obj, name string) string {
	c := Open(obj, MaxDepth)
	if c.close != '}' {
		return ""
	}
	var found string
	for c.Next() {
		if c.Key == name {
			found = c.Value
		}
	}
	if c.fault != none || space(obj, c.pos) != len(obj) {
		return ""
	}
	return found
}
