package techniques

import (
	"encoding/hex"
	"fmt"
	"iter"
	"slices"
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

// habits is the number of things that a principal is remembered to read, of
// each kind. Three quarters of the room are for what it reads regularly; one
// with more habits than that cannot be told them from what is unusual.
const (
	habits   = 256
	habitual = habits * 3 / 4
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

// newOwnership returns an ownership of the things that each yields for events
// of the given patterns that succeeded.
func newOwnership(name string, each func(*event.Event) iter.Seq[string], patterns ...string) ownership {
	made := func(e *event.Event) iter.Seq[string] {
		if !direct(e) || !e.Succeeded() {
			return nil
		}
		return compact(each(e))
	}
	return ownership{
		// An initial period without end: one call proves ownership for good.
		earlier: baseline.FirstSeenEach(name, made, &baseline.FirstSeenOptions{Cap: 96, Learn: 100 * 365 * day}).On(patterns...),
		today:   baseline.DistinctEach(name+" today", made, 48, day).On(patterns...),
	}
}

// weigh returns the severity of reading a thing that is new to the principal:
// none for what it owns since an earlier day, little for what it made within
// the last 24 hours, and less for people in the console, more from a network
// that is new, too.
func (o ownership) weigh(c *Config, p *detect.Pass, thing string, reads baseline.Novelty, s detect.Severity) detect.Severity {
	s = person(p.Event, surprise(reads, s))
	switch {
	case s == detect.Silent || o.earlier.In(p).Established(compacted(thing)):
		return detect.Silent
	case slices.Contains(o.today.In(p).Values(), compacted(thing)):
		return detect.Informational
	case newNetwork(c, p):
		return raised(s, 1)
	}
	return s
}

// unusual returns those of a window's values that are neither a habit of
// reading nor the principal's own since an earlier day.
func (o ownership) unusual(p *detect.Pass, w baseline.Window, reads baseline.Novelty) []string {
	own := o.earlier.In(p)
	return slices.DeleteFunc(w.Values(), func(v string) bool { return reads.Established(v) || own.Established(v) })
}

// weighBurst returns the severity of reading many unusual things: little if
// the principal made most of them within the last 24 hours, or has more habits
// than are remembered.
func (o ownership) weighBurst(p *detect.Pass, things []string, reads baseline.Novelty, s detect.Severity) detect.Severity {
	if s = person(p.Event, surprise(reads, s)); s == detect.Silent {
		return s
	}
	if reads.Known >= habitual {
		return detect.Informational
	}
	made, n := o.today.In(p).Values(), 0
	for _, v := range things {
		if slices.Contains(made, v) {
			n++
		}
	}
	if 2*n > len(things) {
		return detect.Informational
	}
	return s
}

// noveltyOf turns an answer into one about another value than the event's. What
// learns from successes alone has no value for a denied call.
func noveltyOf(n baseline.Novelty, value string) baseline.Novelty {
	n.Value, n.New = value, !n.Established(compacted(value))
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

// oneValue yields a value unless it is empty.
func oneValue(value string) iter.Seq[string] {
	return func(yield func(string) bool) {
		if value != "" {
			yield(value)
		}
	}
}

// maxCompact is the length up to which features keep values whole.
const maxCompact = 32

// compacted shortens a long value so that features keep it whole, and the
// values of a window can be looked up in other features: its beginning, a hash
// of it all, and its end.
func compacted(value string) string {
	if len(value) <= maxCompact {
		return value
	}
	const head, digits = 8, 10
	var b [maxCompact]byte
	h := baseline.Hash(value)
	var sum [8]byte
	for i := range sum {
		sum[i] = byte(h >> (56 - 8*i))
	}
	n := copy(b[:], value[:head])
	b[n] = '~'
	n += 1 + hex.Encode(b[n+1:], sum[:digits/2])
	b[n] = '~'
	n++
	copy(b[n:], value[len(value)-(maxCompact-n):])
	return string(b[:])
}

func compact(values iter.Seq[string]) iter.Seq[string] {
	return func(yield func(string) bool) {
		for v := range values {
			if !yield(compacted(v)) {
				return
			}
		}
	}
}
