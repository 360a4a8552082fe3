package sigma

import (
	"errors"
	"fmt"
	"strings"
)

// The reasons that an [Error] wraps.
var (
	// ErrInvalid says that a rule is not what the Sigma specification allows.
	ErrInvalid = errors.New("not valid")
	// ErrUnsupported says that a rule needs what this package does not do, or
	// not with the certainty that Sigma asks for.
	ErrUnsupported = errors.New("not supported")
)

// An Error says why a rule was refused. It wraps [ErrInvalid] or
// [ErrUnsupported], or the error of the file system.
type Error struct {
	File string // as named in the file system
	// Line and Column are where the reason stands, from 1; those of the rule if it
	// stands at no place of its own; 0 if the file as a whole is refused.
	Line, Column int
	Rule         string // the rule's title, if that could be read
	// Element names what of Sigma the reason is about: "modifier base64",
	// "condition", "logsource".
	Element string
	Err     error
}

// Error implements error: "rules/a.yml:12:5: rule "Key made": modifier foo: not
// supported: …".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", e.Line, e.Column)
	}
	b.WriteString(": ")
	if e.Rule != "" {
		fmt.Fprintf(&b, "rule %q: ", e.Rule)
	}
	if e.Element != "" {
		b.WriteString(e.Element + ": ")
	}
	b.WriteString(e.Err.Error())
	return b.String()
}

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

// fault is an Error in the making: what is wrong where in a document.
type fault struct {
	line, column int
	element      string
	err          error
}

func (f *fault) Error() string { return f.err.Error() }

// invalid and unsupported make the fault of a node.
func invalid(n node, element, format string, args ...any) *fault {
	return faultOf(ErrInvalid, n, element, format, args...)
}

func unsupported(n node, element, format string, args ...any) *fault {
	return faultOf(ErrUnsupported, n, element, format, args...)
}

func faultOf(reason error, n node, element, format string, args ...any) *fault {
	line, column := position(n)
	return &fault{line, column, element, fmt.Errorf("%w: %s", reason, fmt.Sprintf(format, args...))}
}
