package sigma

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// Options configures [Load]. Nil, and the zero value of every field, mean the
// defaults.
type Options struct {
	// Name begins the names of the detectors and of their scopes. Detectors of
	// several calls of Load can stand in one set if each has a name of its own,
	// in lower case. The default is "sigma".
	Name string
	// Placeholders gives the values of placeholders, by name: what stands for
	// %name% under modifier expand. Values may have wildcards; no values match
	// nothing. Rules with other placeholders are refused. The default is none.
	Placeholders map[string][]string
	// Technique is what the rules are evidence of that are tagged with none. The
	// default is to refuse them: a detector has a technique.
	Technique detect.Technique

	program int // instructions of regular expressions in the file that is read
}

// Load makes detectors of all Sigma rules in a file system: of every file whose
// name ends in .yml or .yaml, with one rule or more, in the order of the files'
// names.
//
// A rule that cannot be made a detector is refused, and takes no other with it:
// Load returns the detectors of the others, together with an error that joins
// an [*Error] for each rule refused. Detectors and error are the same every
// time.
//
// A rule that a correlation refers to is not a detector of its own, unless the
// correlation says "generate: true".
//
// The detectors keep the contract of [detect.Detector] and have scopes of their
// own. Rules about single events are about the principal that made the call,
// whoever that is; correlations are about what they group by, and pass over
// events that lack it.
func Load(fsys fs.FS, o *Options) ([]detect.Detector, error) {
	l := &loader{Options: Options{Name: "sigma"}}
	if o != nil {
		l.Options = *o
		l.Name = cmp.Or(l.Name, "sigma")
	}
	l.folder(fsys)
	detectors := l.detectors()
	return detectors, errors.Join(l.errs...)
}

type loader struct {
	Options
	rules []*rule
	errs  []error
}

// refuse keeps why a rule is none. What stands at no place of its own stands
// where the rule begins.
func (l *loader) refuse(r *rule, err error) {
	f := &fault{err: err}
	errors.As(err, &f)
	l.errs = append(l.errs, &Error{
		File: r.file, Line: r.line + max(1, f.line), Column: max(1, f.column), Rule: r.title, Element: f.element, Err: f.err,
	})
}

// folder reads the rules of all files.
func (l *loader) folder(fsys fs.FS) {
	fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		ext := path.Ext(name)
		switch {
		case err != nil:
			l.errs = append(l.errs, &Error{File: name, Err: err})
		case !d.IsDir() && (ext == ".yml" || ext == ".yaml"):
			l.file(fsys, name)
		}
		return nil
	})
}

func (l *loader) file(fsys fs.FS, name string) {
	f, err := fsys.Open(name)
	if err != nil {
		l.errs = append(l.errs, &Error{File: name, Err: err})
		return
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%w: over %d bytes", ErrUnsupported, maxFile)
	}
	if err != nil {
		l.errs = append(l.errs, &Error{File: name, Err: err})
		return
	}
	l.program = 0
	for _, d := range documents(string(data)) {
		r := &rule{file: name, line: d.line, hash: sha256.Sum256([]byte(d.text))}
		root, err := d.parse()
		if err == nil && root == nil {
			continue
		}
		if err == nil {
			err = r.read(root, &l.Options)
		}
		if err != nil {
			l.refuse(r, err)
			continue
		}
		l.rules = append(l.rules, r)
	}
}

// detectors makes the detectors of the rules that were read.
func (l *loader) detectors() []detect.Detector {
	rules, byName := l.named()
	rules = l.resolved(rules, byName)

	// Correlations come first, because one that is refused refers to nothing.
	infos := make(map[*rule]detect.Info)
	names := make(map[string]*rule)
	describe := func(r *rule) bool {
		info, err := r.info(&l.Options)
		if other := names[info.Name]; err == nil && other != nil {
			err = fmt.Errorf("%w: its title is that of %s", ErrInvalid, other.label())
		}
		if err != nil {
			l.refuse(r, err)
			return false
		}
		names[info.Name], infos[r] = r, info
		return true
	}
	part, alone := make(map[*rule]bool), make(map[*rule]bool)
	sharing := make(map[string][]*correlation) // a scope
	size := make(map[string]int)               // of the records of a scope
	for _, r := range rules {
		c := r.correlation
		if c == nil || !describe(r) {
			continue
		}
		for c.scope = c.scopeKey(); size[c.scope] > 0 && size[c.scope]+c.maxBytes() > maxShared; {
			c.scope += " and more"
		}
		size[c.scope] += c.maxBytes()
		sharing[c.scope] = append(sharing[c.scope], c)
		for _, of := range c.rules {
			part[of] = true
			alone[of] = alone[of] || c.generate
		}
	}
	var single []*rule
	for _, r := range rules {
		if r.correlation == nil && (alone[r] || !part[r]) && describe(r) {
			single = append(single, r)
		}
	}

	index := newIndex(single)
	principals := &detect.Scope{Name: l.Name, Key: func(e *event.Event) string {
		if index.concerns(e) {
			return e.Principal.Key
		}
		return ""
	}}
	groups := make(map[string]*detect.Scope)
	for key, cs := range sharing {
		groups[key] = scopeOf(cs, &l.Options)
	}
	var detectors []detect.Detector
	for _, r := range rules {
		info, ok := infos[r]
		switch {
		case !ok:
		case r.correlation != nil:
			info.Scope = groups[r.correlation.scope]
			detectors = append(detectors, r.correlate(info))
		default:
			info.Scope = principals
			detectors = append(detectors, r.detector(info))
		}
	}
	return detectors
}

// named returns the rules by their names and ids, without those that take what
// is another's.
func (l *loader) named() (rules []*rule, byName map[string]*rule) {
	byName = make(map[string]*rule)
	for _, r := range l.rules {
		if other := cmp.Or(byName[r.id], byName[r.name]); other != nil {
			l.refuse(r, fmt.Errorf("%w: its id or name is that of %s", ErrInvalid, other.label()))
			continue
		}
		for _, name := range []string{r.id, r.name} {
			if name != "" {
				byName[name] = r
			}
		}
		rules = append(rules, r)
	}
	return rules, byName
}

// resolved tells correlations the rules that they are about, and returns the
// rules without the correlations that lack one.
func (l *loader) resolved(rules []*rule, byName map[string]*rule) []*rule {
	var good []*rule
	for _, r := range rules {
		if c := r.correlation; c != nil {
			if err := c.resolve(byName); err != nil {
				l.refuse(r, err)
				continue
			}
			r.inherit()
		}
		good = append(good, r)
	}
	return good
}

// inherit takes from the rules correlated what a correlation need not say.
func (r *rule) inherit() {
	for _, of := range r.correlation.rules {
		if r.technique == "" {
			r.technique, r.tactic = of.technique, cmp.Or(r.tactic, of.tactic)
		}
	}
	if r.severity == detect.Silent {
		for _, of := range r.correlation.rules {
			r.severity = max(r.severity, of.severity)
		}
	}
}
