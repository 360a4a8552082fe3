package sigma

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/cloudtell/cloudtell/event"
)

// A field is a field of the record, or, without a name, the whole of it.
type field struct {
	name string
	path []string
	// typed returns what the event knows of the field already; nil if nothing.
	typed func(*event.Event) string
	// faithful says that typed returns what the record has, if it is not "".
	faithful bool
}

// newField reads a field's name. The braces that some put behind an array's name
// mean nothing more than the name.
func newField(name string) field {
	f := field{name: name}
	if name == "" {
		return f
	}
	for step := range strings.SplitSeq(name, ".") {
		f.path = append(f.path, strings.TrimSuffix(step, "{}"))
	}
	if k, ok := known[name]; ok {
		f.typed, f.faithful = k.of, k.faithful
	}
	return f
}

type knownField struct {
	of       func(*event.Event) string
	faithful bool
}

// known are the fields that need not be looked for in the record's text, or, if
// they are not faithful, only in an access log's, which has no JSON.
var known = map[string]knownField{
	"eventSource":     {func(e *event.Event) string { return e.Source }, true},
	"eventName":       {func(e *event.Event) string { return e.Name }, true},
	"eventType":       {func(e *event.Event) string { return e.Type }, true},
	"eventID":         {func(e *event.Event) string { return e.ID }, false},
	"eventTime":       {func(e *event.Event) string { return e.Time.UTC().Format(time.RFC3339Nano) }, false},
	"eventCategory":   {func(e *event.Event) string { return string(e.Category) }, false},
	"awsRegion":       {func(e *event.Event) string { return e.Region }, true},
	"sourceIPAddress": {func(e *event.Event) string { return e.SourceAddress }, true},
	// Without the brackets that S3 puts around it, see itemParser.finish.
	"userAgent":          {func(e *event.Event) string { return e.UserAgent }, true},
	"errorCode":          {func(e *event.Event) string { return e.ErrorCode }, true},
	"errorMessage":       {func(e *event.Event) string { return e.ErrorMessage }, true},
	"requestID":          {func(e *event.Event) string { return e.RequestID }, true},
	"recipientAccountId": {func(e *event.Event) string { return e.AccountID }, false},
	"readOnly":           {func(e *event.Event) string { return strconv.FormatBool(e.ReadOnly) }, false},

	"userIdentity.type":             {func(e *event.Event) string { return e.Identity.Type }, true},
	"userIdentity.principalId":      {func(e *event.Event) string { return e.Identity.PrincipalID }, true},
	"userIdentity.arn":              {func(e *event.Event) string { return e.Identity.ARN }, true},
	"userIdentity.accountId":        {func(e *event.Event) string { return e.Identity.AccountID }, true},
	"userIdentity.accessKeyId":      {func(e *event.Event) string { return e.Identity.AccessKeyID }, true},
	"userIdentity.userName":         {func(e *event.Event) string { return e.Identity.UserName }, true},
	"userIdentity.invokedBy":        {func(e *event.Event) string { return e.Identity.InvokedBy }, true},
	"userIdentity.identityProvider": {func(e *event.Event) string { return e.Identity.IdentityProvider }, true},
}

// known returns the field's value as far as it need not be looked for.
func (f *field) known(e *event.Event) string {
	if f.typed == nil || !f.faithful && isJSON(e) {
		return ""
	}
	return f.typed(e)
}

// isJSON reports whether the event's text is a record, not a line of an access
// log.
func isJSON(e *event.Event) bool { return strings.HasPrefix(e.Text, "{") }

// root returns the value that the path begins in, and the rest of the path.
func (f *field) root(e *event.Event) (event.Raw, []string) {
	var r event.Raw
	switch f.path[0] {
	case "requestParameters":
		r = e.Request
	case "responseElements":
		r = e.Response
	case "additionalEventData":
		r = e.Additional
	case "serviceEventDetails":
		r = e.ServiceDetails
	case "resources":
		r = e.ResourceList
	}
	if r != "" || !isJSON(e) {
		return r, f.path[1:]
	}
	return event.Raw(e.Text).At(f.path[0]), f.path[1:]
}

// text returns the field's first value, "" if there is none.
func (f *field) text(e *event.Event) string {
	if s := f.known(e); s != "" {
		return s
	}
	if f.name == "" {
		return e.Text
	}
	r, path := f.root(e)
	return firstText(r, path)
}

func firstText(r event.Raw, path []string) string {
	for len(path) > 0 && !strings.HasPrefix(string(r), "[") {
		r, path = r.At(path[0]), path[1:]
	}
	if strings.HasPrefix(string(r), "[") {
		for v := range r.Items() {
			if s := firstText(v, path); s != "" {
				return s
			}
		}
		return ""
	}
	if strings.HasPrefix(string(r), "{") {
		return string(r)
	}
	return r.Text()
}

// texts calls visit with each of the field's values.
func (f *field) texts(e *event.Event, visit func(string) bool) {
	if s := f.known(e); s != "" {
		visit(s)
		return
	}
	r, path := f.root(e)
	eachText(r, path, visit)
}

func eachText(r event.Raw, path []string, visit func(string) bool) bool {
	for len(path) > 0 && !strings.HasPrefix(string(r), "[") {
		r, path = r.At(path[0]), path[1:]
	}
	switch {
	case strings.HasPrefix(string(r), "["):
		for v := range r.Items() {
			if !eachText(v, path, visit) {
				return false
			}
		}
		return true
	case strings.HasPrefix(string(r), "{"):
		return visit(string(r))
	case r.Exists():
		return visit(r.Text())
	}
	return true
}

// A scan goes over a field's values and tries an item's tests on each.
type scan struct {
	event  *event.Event
	item   *item
	found  bool // there is a value, perhaps null
	filled bool // there is one that is not null
	// met are the tests that a value has met, as bits; of an item that wants one
	// of them, 1 for any.
	met uint64
}

func (s *scan) run() {
	f := &s.item.field
	if f.name == "" {
		s.object(s.event.Text)
		return
	}
	if v := f.known(s.event); v != "" {
		s.value(v)
		return
	}
	r, path := f.root(s.event)
	s.walk(r, path)
}

// done reports whether no further value can change the outcome.
func (s *scan) done() bool {
	if s.item.all {
		return s.met == s.item.every
	}
	return s.met != 0
}

func (s *scan) walk(r event.Raw, path []string) {
	for len(path) > 0 && !strings.HasPrefix(string(r), "[") {
		r, path = r.At(path[0]), path[1:]
	}
	switch {
	case r == "":
	case r[0] == '[':
		s.found = s.found || len(path) == 0
		for v := range r.Items() {
			if s.walk(v, path); s.done() {
				return
			}
		}
	case r[0] == '{':
		s.object(string(r))
	case r == "null":
		s.found = true
	default:
		s.value(r.Text())
	}
}

// object tries the text of an object as it is logged and, where it has escapes,
// with these undone: texts in it that hold JSON of their own, such as policies,
// are then as their author wrote them.
func (s *scan) object(text string) {
	s.value(text)
	if !s.done() && strings.IndexByte(text, '\\') >= 0 {
		s.value(unescape(text))
	}
}

func (s *scan) value(text string) {
	s.found, s.filled = true, true
	for i, t := range s.item.tests {
		switch {
		case !s.item.all:
			if t.met(text, s.event) {
				s.met = 1
				return
			}
		case s.met&(1<<i) == 0 && t.met(text, s.event):
			s.met |= 1 << i
		}
	}
}

// unescape undoes the escapes of JSON strings in a text.
func unescape(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b = append(b, s[i])
			continue
		}
		i++
		switch s[i] {
		case 'n':
			b = append(b, '\n')
		case 't':
			b = append(b, '\t')
		case 'r':
			b = append(b, '\r')
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'u':
			r := hex4(s[i+1:])
			if r < 0 {
				b = append(b, 'u')
				continue
			}
			i += 4
			if utf16.IsSurrogate(r) && strings.HasPrefix(s[i+1:], `\u`) {
				if pair := utf16.DecodeRune(r, hex4(s[i+3:])); pair != utf8.RuneError {
					r, i = pair, i+6
				}
			}
			b = utf8.AppendRune(b, r)
		default:
			b = append(b, s[i])
		}
	}
	return string(b)
}

// hex4 returns the number that s begins with, four hexadecimal digits; -1 if it
// does not.
func hex4(s string) rune {
	if len(s) < 4 {
		return -1
	}
	n, err := strconv.ParseUint(s[:4], 16, 16)
	if err != nil {
		return -1
	}
	return rune(n)
}
