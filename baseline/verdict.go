package baseline

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Verdict is what a person decided about a value. It overrides what was
// learnt about it, and stays in the record until another verdict replaces it.
type Verdict uint8

// The verdicts.
const (
	// Undecided takes an earlier verdict back.
	Undecided Verdict = iota
	// Benign makes the value normal for the key at once.
	Benign
	// Malicious keeps the value from ever becoming normal.
	Malicious
)

var verdictNames = [...]string{"undecided", "benign", "malicious"}

// String returns the verdict in lower case.
func (v Verdict) String() string {
	if int(v) < len(verdictNames) {
		return verdictNames[v]
	}
	return fmt.Sprintf("Verdict(%d)", uint8(v))
}

// MarshalText implements [encoding.TextMarshaler] with the form of String.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler] for the forms of String.
func (v *Verdict) UnmarshalText(text []byte) error {
	i := slices.Index(verdictNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("baseline: unknown verdict %q", text)
	}
	*v = Verdict(i)
	return nil
}

// ErrVerdict says that a verdict cannot be kept.
var ErrVerdict = errors.New("baseline: verdict not kept")

// Unusual is a value that was not normal for a key when an event happened: what
// a person may decide about.
type Unusual struct {
	// Feature is the ID of the [FirstSeen] feature that did not know the value.
	Feature string `json:"feature"`
	// Value shows the value; long ones are cut to their last 32 bytes.
	Value string `json:"value"`
	// Hash is the value's [Hash].
	Hash uint64 `json:"hash,string"`
}

// unusual lists the values of the event in view, if the feature takes such
// events in, and of windows around it, that the feature remembers but does not
// know as normal.
func (f *Of[A]) unusual(v Viewer, windows []orderedWindow) []Unusual {
	w := v.view()
	slot := w.profile.layout.slotOf(f.serial, f)
	n, ok := any(f.In(v)).(Novelty)
	if !ok || n.cell == nil || n.cell != w.profile.cell(slot) {
		return nil
	}
	var list []Unusual
	add := func(hash uint64, label func() string) {
		if !n.knows(hash) && !slices.ContainsFunc(list, func(u Unusual) bool { return u.Hash == hash }) {
			list = append(list, Unusual{Feature: f.id, Value: label(), Hash: hash})
		}
	}
	note := &w.scratch.notes[slot]
	if slices.Contains(w.profile.layout.index.Lookup(w.Event), slot) && f.note(w.Event, note, w.scratch) {
		for _, v := range w.scratch.noted(note) {
			text := label(v.text)
			add(v.hash, text.String)
		}
	}
	for _, w := range windows {
		for _, i := range w.order {
			if hash := w.cell.items[i].hash; n.cell.has(hash) {
				add(hash, func() string { return w.cell.labels.at(i) })
			}
		}
	}
	return list
}

// An orderedWindow is a window with the places of its items, oldest first.
type orderedWindow struct {
	Window
	order []int
}

// window returns the feature's answer if it is a window.
func (f *Of[A]) window(v Viewer) (Window, bool) {
	w, ok := any(f.In(v)).(Window)
	return w, ok
}

// UnusualIn lists what of the event in view is unusual by the given features:
// the values that its [FirstSeen] features remember without knowing them as
// normal, of the event itself and of the windows that its [Distinct] features
// see around it. What a feature does not take in ([Of.On], [Of.Where]) is not unusual
// to it.
func UnusualIn(v Viewer, features []Feature) []Unusual {
	var windows []orderedWindow
	for _, f := range features {
		if f, ok := f.(interface{ window(Viewer) (Window, bool) }); ok {
			if w, ok := f.window(v); ok {
				windows = append(windows, orderedWindow{w, w.order()})
			}
		}
	}
	var list []Unusual
	for _, f := range features {
		if f, ok := f.(interface {
			unusual(Viewer, []orderedWindow) []Unusual
		}); ok {
			list = append(list, f.unusual(v, windows)...)
		}
	}
	return list
}

// Decide keeps a verdict about a value in the profile. at is the time when the
// value was seen. It returns an error that wraps [ErrVerdict], and changes
// nothing, if the profile's layout has no such [FirstSeen] feature, if the time
// is none, or if half of the feature's room is taken by verdicts already.
func (p *Profile) Decide(u Unusual, verdict Verdict, at time.Time) error {
	if day := dayOf(at); verdict > Malicious || day < 0 || day > maxDay {
		return fmt.Errorf("%w: %v at %v", ErrVerdict, verdict, at)
	}
	if clock := p.Clock(); !clock.IsZero() && at.After(clock) {
		at = clock // nothing has been seen later
	}
	i := slices.IndexFunc(p.layout.features, func(f Feature) bool { return f.ID() == u.Feature })
	if i < 0 {
		return fmt.Errorf("%w: no feature has the ID %q", ErrVerdict, u.Feature)
	}
	cell := p.cells.get(i)
	if cell == nil {
		cell = p.layout.features[i].NewCell()
	}
	c, ok := cell.(*firstSeenCell)
	if !ok {
		return fmt.Errorf("%w: %q does not remember what was seen", ErrVerdict, u.Feature)
	}
	text := label(u.Value)
	text.cut = text.cut || Hash(u.Value) != u.Hash
	if !c.decide(u.Hash, text, dayOf(at), verdict) {
		return fmt.Errorf("%w: %q holds as many as it can", ErrVerdict, u.Feature)
	}
	if p.cells.get(i) == nil {
		p.cells.put(i, c)
	}
	if s := p.scratch; s != nil && i < len(s.notes) {
		s.notes[i].answered = 0 // the answer may be another one now
	}
	return nil
}
