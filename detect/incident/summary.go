package incident

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A story puts an incident into words.
type story struct {
	*Incident
	findings []*finding // in the order of their time
}

// worst returns the most severe finding, the first of them. Of equals, that of
// a later stage counts: it says more about what is lost.
func (s *story) worst() *finding {
	return slices.MaxFunc(s.findings, func(a, b *finding) int {
		return cmp.Or(cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Stage, b.Stage), timeline(b, a))
	})
}

// title says who did what: "alice and 1 more: from access to collection, 5
// findings".
func (s *story) title() string {
	who := some(s.names(), 1)
	first, last := NoStage, s.Stage
	if len(s.Stages) > 0 {
		first = s.Stages[0]
	}
	switch {
	case len(s.findings) == 1:
		return who + ": " + printable(s.findings[0].Title)
	case first == NoStage:
		return fmt.Sprintf("%s: %d findings", who, len(s.findings))
	case first == last:
		return fmt.Sprintf("%s: %s, %d findings", who, last, len(s.findings))
	}
	return fmt.Sprintf("%s: from %s to %s, %d findings", who, first, last, len(s.findings))
}

// summary is what a person needs first: who, where, when, how far, how bad, what
// may be lost, how sure, what to do.
func (s *story) summary() string {
	return strings.Join(slices.DeleteFunc([]string{
		s.actors(), s.way(), s.issued(), s.judgement(), s.stake(), s.learning(), s.advice(),
	}, func(sentence string) bool { return sentence == "" }), " ")
}

func (s *story) actors() string {
	var b strings.Builder
	names := s.names()
	b.WriteString(some(names, 3))
	if len(s.AccessKeys) > 0 {
		fmt.Fprintf(&b, " (access %s %s)", plural(len(s.AccessKeys), "key", "keys"), some(quoted(s.AccessKeys), 2))
	}
	if len(s.Accounts) > 0 {
		fmt.Fprintf(&b, " in %s %s", plural(len(s.Accounts), "account", "accounts"), some(quoted(s.Accounts), 2))
	}
	seen := plural(len(names), " was seen", " were seen")
	if len(s.Sources) > 0 {
		seen += " from " + some(quoted(s.Sources), 2)
	}
	b.WriteString(seen)
	const day, hour = "2006-01-02", "15:04"
	first, last := s.First.Truncate(time.Minute), s.Last.Truncate(time.Minute)
	switch {
	case first.Equal(last):
		fmt.Fprintf(&b, " on %s at %s UTC", first.Format(day), first.Format(hour))
	case first.Format(day) == last.Format(day):
		fmt.Fprintf(&b, " on %s between %s and %s UTC, for %s", first.Format(day), first.Format(hour), last.Format(hour), lasting(last.Sub(first)))
	default:
		fmt.Fprintf(&b, " between %s and %s UTC, for %s", first.Format(day+" "+hour), last.Format(day+" "+hour), lasting(last.Sub(first)))
	}
	b.WriteByte('.')
	return b.String()
}

// way tells the kill chain in its order, with counts.
func (s *story) way() string {
	var counts [stages]int
	for _, f := range s.findings {
		counts[f.Stage]++
	}
	if len(s.findings) == 1 {
		return fmt.Sprintf("There is one finding, a sign of %s.", s.findings[0].Stage.words())
	}
	var parts []string
	for st := Access; st < stages; st++ {
		if n := counts[st]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s of %s", n, plural(n, "sign", "signs"), st.words()))
		}
	}
	if n := counts[NoStage]; n > 0 {
		parts = append(parts, fmt.Sprintf("%d %s of %s", n, plural(n, "sign", "signs"), NoStage.words()))
	}
	verb := "are"
	if strings.HasPrefix(parts[0], "1 ") {
		verb = "is"
	}
	return fmt.Sprintf("In the order of an intrusion there %s %s.", verb, strings.Join(parts, ", then "))
}

// issued names those through whose sessions credentials came.
func (s *story) issued() string {
	known := make(map[string]string) // the names of principals with findings
	for _, f := range s.findings {
		known[f.Principal] = principalName(f)
	}
	var holders, through []string
	for _, f := range s.findings {
		if len(f.Chain) > 0 && !slices.Contains(holders, principalName(f)) {
			holders = append(holders, principalName(f))
		}
		for _, p := range f.Chain {
			n := cmp.Or(known[p], name(shortKey(p)))
			if !slices.Contains(through, n) {
				through = append(through, n)
			}
		}
	}
	if len(holders) == 0 {
		return ""
	}
	return fmt.Sprintf("%s had %s credentials by way of %s.", some(holders, 3), plural(len(holders), "its", "their"), some(through, 3))
}

func (s *story) judgement() string {
	w := s.worst()
	text := fmt.Sprintf("The worst finding, of %s severity, says %s (rule %s).", w.Severity, strconv.Quote(shorten(w.Title, 160)), name(w.Rule))
	if len(s.findings) == 1 {
		text = fmt.Sprintf("It is of %s severity and says %s (rule %s).", w.Severity, strconv.Quote(shorten(w.Title, 160)), name(w.Rule))
	}
	if s.Severity > w.Severity {
		text += fmt.Sprintf(" No finding is worse than %s alone; together they count as %s.", w.Severity, s.Severity)
	}
	return text
}

// kinds are subjects that say what kind of finding it is, not what it is about.
var kinds = []string{"", "many", "denied", "filter"}

// thing returns the storage or secret that a finding is about, if its subject
// is one. It is not if it is not in the title, when it is how a rule tells its
// cases apart, or if it is the address or network of the caller.
func (f *finding) thing() (string, bool) {
	s := f.Subject
	return name(s), !slices.Contains(kinds, s) && strings.Contains(f.Title, s) && !strings.HasPrefix(f.SourceAddress, s)
}

// stake names the storage and secrets that findings are about, those of the
// furthest stage first.
func (s *story) stake() string {
	var things []string
	for st := Collection; st >= StorageDiscovery; st-- {
		for _, f := range s.findings {
			if thing, ok := f.thing(); ok && f.Stage == st && !slices.Contains(things, thing) {
				things = append(things, thing)
			}
		}
	}
	if len(things) == 0 {
		return ""
	}
	return fmt.Sprintf("At stake %s %s.", plural(len(things), "is", "are"), some(things, 4))
}

// learning says how long the habits were learnt that findings differ from: of
// the finding that knows least.
func (s *story) learning() string {
	var least *finding
	for _, f := range s.findings {
		if !f.since.IsZero() && (least == nil || least.mature && !f.mature || least.mature == f.mature && f.since.After(least.since)) {
			least = f
		}
	}
	switch {
	case least == nil:
		return "None of this rests on learnt habits."
	case least.mature:
		return fmt.Sprintf("What is normal was learnt since %s.", least.since.Format(time.DateOnly))
	}
	return fmt.Sprintf("What is normal was learnt only since %s, which is too short to be sure.", least.since.Format(time.DateOnly))
}

func (s *story) advice() string {
	respond := s.worst().respond
	if respond == "" {
		return ""
	}
	return "First thing to do: " + printable(respond)
}

// names returns the principals' short names in the order in which they show,
// each once.
func (s *story) names() []string {
	var names []string
	seen := make(map[string]bool)
	for _, f := range s.findings {
		if n := principalName(f); !seen[n] {
			seen[n] = true
			names = append(names, n)
		}
	}
	return names
}

func principalName(f *finding) string {
	if known := cmp.Or(f.PrincipalName, shortKey(f.Principal)); known != "" {
		return name(known)
	}
	return "somebody unknown"
}

// shortKey returns the part of a principal's key that a person knows it by.
func shortKey(key string) string {
	if strings.HasPrefix(key, "arn:") {
		return key[strings.LastIndexByte(key, ':')+1:]
	}
	return key
}

// lasting says a duration in words, with at most two units.
func lasting(d time.Duration) string {
	units := [...]struct {
		of   time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}}
	var parts []string
	for _, u := range units {
		if n := int(d / u.of); n > 0 && len(parts) < 2 {
			parts = append(parts, fmt.Sprintf("%d %s", n, plural(n, u.name, u.name+"s")))
			d -= time.Duration(n) * u.of
		} else if len(parts) > 0 {
			break
		}
	}
	return strings.Join(parts, " ")
}

func plural(n int, one, more string) string {
	if n == 1 {
		return one
	}
	return more
}

// some joins at most n values, and says how many more there are.
func some(values []string, n int) string {
	switch more := len(values) - n; {
	case more > 0:
		return fmt.Sprintf("%s and %d more", strings.Join(values[:n], ", "), more)
	case len(values) > 1:
		last := len(values) - 1
		return strings.Join(values[:last], ", ") + " and " + values[last]
	}
	return strings.Join(values, "")
}

func quoted(values []string) []string {
	q := make([]string, len(values))
	for i, v := range values {
		q[i] = name(v)
	}
	return q
}

// name returns a name as it may stand in a sentence: cut, and in quotation marks
// unless all its characters are plain. A name cannot pass for a part of the
// sentence.
func name(s string) string {
	s = shorten(s, 100)
	plain := s != "" && !strings.ContainsFunc(strings.TrimSuffix(s, "…"), func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune("_-+=@./:$", r)
	})
	if plain {
		return s
	}
	return strconv.Quote(s)
}

// printable returns a sentence as it is, or in quotation marks if it has
// characters that are not for people to read.
func printable(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return s
	}
	return strconv.Quote(s)
}

// shorten cuts a string to at most n characters.
func shorten(s string, n int) string {
	i := 0
	for at := range s {
		if i == n {
			return s[:at] + "…"
		}
		i++
	}
	return s
}
