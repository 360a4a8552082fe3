package sigma

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// info returns what the detector of the rule says of itself.
func (r *rule) info(o *Options) (detect.Info, error) {
	name := slug(r.title)
	if name == "" {
		name = slug(r.id)
	}
	i := detect.Info{
		Name:      o.Name + "-" + name,
		Doc:       cmp.Or(r.description, r.title),
		Technique: cmp.Or(r.technique, o.Technique),
		Tactic:    r.tactic,
		Severity:  cmp.Or(r.severity, detect.Medium),
		Events:    r.kinds.patterns(),
		Benign:    r.falsePositives,
	}
	for _, ref := range r.references {
		i.Respond = append(i.Respond, "Read what the rule rests on: "+ref)
	}
	switch {
	case name == "":
		return i, &fault{element: "title", err: fmt.Errorf("%w: neither the title nor the id has a letter or digit to name the detector by", ErrUnsupported)}
	case i.Technique == "":
		return i, &fault{element: "tags", err: fmt.Errorf("%w: no technique is among them, and Options.Technique names none", ErrUnsupported)}
	}
	return i, nil
}

// slug makes a rule's name of its title: "Key Made (IAM)" is "key-made-iam".
func slug(title string) string {
	words := strings.FieldsFunc(strings.ToLower(title), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	return strings.Join(words, "-")
}

// A term is one of the conditions that a rule's condition joins by and.
type term struct {
	*expr
	text  string
	guard bool // it excuses the event
}

func (r *rule) terms() []term {
	parts := []*expr{r.condition}
	if r.condition.op == '&' {
		parts = r.condition.part
	}
	var terms []term
	for _, p := range parts {
		guard := p.op == '!' && len(parts) > 1
		if guard {
			p = p.part[0]
		}
		terms = append(terms, term{p, "the event matches " + strings.Join(strings.Fields(p.text), " "), guard})
	}
	return terms
}

// detector makes the detector of a rule that is about single events.
func (r *rule) detector(info detect.Info) detect.Detector {
	terms := r.terms()
	return detect.New(info, func(p *detect.Pass) {
		for i := range terms {
			t := &terms[i]
			if t.guard {
				if p.Excuse(t.text, t.match(p.Event)) {
					return
				}
			} else if !p.Require(t.text, t.match(p.Event)) {
				return
			}
		}
		p.Report("", fmt.Sprintf("%s: %s", r.title, call(p.Event)), r.evidence(p.Event)...)
	})
}

// call says in a word what the event is.
func call(e *event.Event) string { return e.Service() + ":" + cmp.Or(e.Operation, e.Type) }

// maxObserved bounds the value of a field in a finding, in bytes.
const maxObserved = 256

// evidence returns the values of the fields that the rule is about.
func (r *rule) evidence(e *event.Event) []detect.Evidence {
	var list []detect.Evidence
	for i := range r.shown {
		if s := r.shown[i].text(e); s != "" {
			list = append(list, detect.Evidence{Name: r.shown[i].name, Observed: cut(s, maxObserved)})
		}
	}
	return list
}

// cut shortens a text to at most n bytes, and says so by three dots.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n-len("…")], "") + "…"
}
