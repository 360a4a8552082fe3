package techniques

import (
	"fmt"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// What the rules about unsecured credentials (T1552) share. They ask one
// question of different stores: is it normal for this principal to read what
// it reads? Reading something is normal once it is a habit, and needs no
// explanation from who made or changed the thing itself.

// habits is the number of things of each kind that a principal is remembered to
// read. Some of the room is always for the unusual, so one with more habits than
// habitual may have some that cannot be told from what is unusual. One with many
// more, such as an operator of 400 secrets, is better declared a scanner.
const (
	habits   = 256
	habitual = habits / 2
)

// ownership remembers what principals made or changed themselves.
type ownership struct {
	// earlier is about ended days, and certain.
	earlier *baseline.Of[baseline.Novelty]
	// today is about the last 24 hours. What was made a moment ago may be
	// logged after it was read, so this must not decide whether there is a
	// finding, only how much it weighs.
	today *baseline.Of[baseline.Window]
}

// newOwnership returns an ownership of the things that each appends for events of the given patterns that succeeded.
func newOwnership(name string, each func([]string, *event.Event) []string, patterns ...string) ownership {
	return ownershipOf(name, 96, each, patterns...)
}

// ownershipOf is newOwnership with another number of things remembered.
func ownershipOf(name string, most int, each func([]string, *event.Event) []string, patterns ...string) ownership {
	made := func(list []string, e *event.Event) []string {
		if !direct(e) || !e.Succeeded() {
			return list
		}
		return each(list, e)
	}
	return ownership{
		// An initial period without end: one call proves ownership for good.
		earlier: baseline.FirstSeenEach(name, made, &baseline.FirstSeenOptions{Cap: most, Learn: 100 * 365 * day}).On(patterns...),
		today:   baseline.DistinctEach(name+" today", made, most/2, day).On(patterns...),
	}
}

// weigh returns the severity of reading a thing that is new to the principal,
// and not its own since an earlier day: little for what it made within the last
// 24 hours, less for people in the console, more from a network that is new,
// too.
func (o ownership) weigh(c *Config, p *detect.Pass, thing string, reads baseline.Novelty, s detect.Severity) detect.Severity {
	s = person(p.Event, surprise(reads, s))
	switch {
	case s == detect.Silent: // one more proves nothing, whoever made it
	case o.today.In(p).Contains(thing):
		return detect.Informational
	case newNetwork(c, p):
		return raised(s, 1)
	}
	return s
}

// unusual returns a window without what is a habit of reading or the
// principal's own since an earlier day.
func (o ownership) unusual(p *detect.Pass, w baseline.Window, reads baseline.Novelty) baseline.Window {
	return w.Except(reads, o.earlier.In(p))
}

// weighBurst returns the severity of reading many unusual things: little if
// the principal made most of them within the last 24 hours, or has more habits
// than are remembered. It is never silent, because yesterday's burst, which is
// all new values too, must not excuse today's.
func (o ownership) weighBurst(p *detect.Pass, things baseline.Window, reads baseline.Novelty, s detect.Severity) detect.Severity {
	s = max(detect.Low, person(p.Event, surprise(reads, s)))
	made := things.Count - things.Except(o.today.In(p)).Count
	if reads.Known >= habitual || 2*made > things.Count {
		return detect.Informational
	}
	return s
}

// noveltyOf turns an answer into one about another value than the event's. What
// learns from successes alone has no value for a denied call.
func noveltyOf(n baseline.Novelty, value string) baseline.Novelty {
	if value != n.Value {
		n.Days = 0 // which are not known
	}
	n.Value, n.New = value, !n.Established(value)
	return n
}

// subjectOf returns the subject of a finding about a new thing: the thing, or
// none for a principal that is new itself, to which everything is new.
func subjectOf(age baseline.Age, thing string) string {
	if !mature(age) {
		return ""
	}
	return thing
}

// usualReads says what a principal is known to read, and since when.
func usualReads(n baseline.Novelty, age baseline.Age) string {
	since := age.Since.Format(time.DateOnly)
	known := n.Examples(3)
	if len(known) == 0 {
		return "nothing of the kind read regularly since " + since
	}
	list := strings.Join(known, ", ")
	if more := n.Known - len(known); more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return "since " + since + ": " + list
}

// firstRead ends the title of a finding about reading something that is no habit
// of the principal.
func firstRead(e *event.Event, n baseline.Novelty) string {
	if e.Denied() {
		return " asked for, and denied"
	}
	return " read " + firstTime(n)
}

// attempted reports whether a call read something or was denied it. Calls that
// failed otherwise, for a thing that does not exist or too often, tell nothing.
func attempted(e *event.Event) bool { return e.Succeeded() || e.Denied() }

// deniedResource returns the resource that an error message names. Services
// with JSON protocols (Lambda, SSM, Secrets Manager) log denied calls without
// their parameters.
func deniedResource(e *event.Event) string {
	if !e.Denied() {
		return ""
	}
	_, resource, _ := strings.Cut(e.ErrorMessage, " on resource: ")
	resource, _, _ = strings.Cut(resource, " ")
	return resource
}

// shown shortens a name for a finding. Who is denied a call may have named
// anything.
func shown(name string) string {
	const most = 200
	if len(name) <= most {
		return name
	}
	return strings.ToValidUTF8(name[:most], "") + "…"
}

// added appends a value unless it is empty.
func added(list []string, value string) []string {
	if value == "" {
		return list
	}
	return append(list, value)
}
