package sigma

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// A rule is a Sigma rule or correlation, read.
type rule struct {
	file string
	line int // of the document in the file, from 0
	hash [sha256.Size]byte

	title, id, name, description       string
	severity                           detect.Severity // Silent if the rule has no level
	technique                          detect.Technique
	tactic                             detect.Tactic
	references, falsePositives, fields []string

	condition *expr
	kinds     kinds
	shown     []field // of which findings show the values

	correlation *correlation // instead of a condition
}

func (r *rule) match(e *event.Event) bool { return r.condition.match(e) }

// read reads a rule from a document's root.
func (r *rule) read(root node, o *Options) error {
	members, ok := pairs(root)
	if !ok {
		return invalid(root, "", "not a mapping")
	}
	var detection, logsource, correlated *pair
	for i := range members {
		p := &members[i]
		var err error
		switch p.key {
		case "title":
			r.title, err = text(*p)
		case "id":
			r.id, err = text(*p)
		case "name":
			r.name, err = text(*p)
		case "description":
			r.description, err = text(*p)
		case "status":
			var status string
			if status, err = text(*p); status == "unsupported" {
				err = unsupported(p.at, "status", "the rule says so itself")
			}
		case "taxonomy":
			var taxonomy string
			if taxonomy, err = text(*p); err == nil && taxonomy != "" && taxonomy != "sigma" {
				err = unsupported(p.at, "taxonomy", "%q; fields are named as in CloudTrail", taxonomy)
			}
		case "references":
			r.references, err = texts(*p)
		case "falsepositives":
			r.falsePositives, err = texts(*p)
		case "fields":
			r.fields, err = texts(*p)
		case "level":
			err = r.readLevel(*p)
		case "tags":
			err = r.readTags(*p)
		case "logsource":
			logsource = p
		case "detection":
			detection = p
		case "correlation":
			correlated = p
		case "filter":
			err = unsupported(p.at, "filter", "a global filter; write the exclusion into the rules, or a suppression")
		case "action":
			err = unsupported(p.at, "action", "a collection of rules, which Sigma has given up")
		}
		if err != nil {
			return err
		}
	}
	switch {
	case r.title == "":
		return invalid(root, "title", "missing")
	case correlated != nil && detection != nil:
		return invalid(correlated.at, "correlation", "beside a detection")
	case correlated != nil:
		return r.readCorrelation(*correlated)
	case logsource == nil:
		return invalid(root, "logsource", "missing")
	case detection == nil:
		return invalid(root, "detection", "missing")
	}
	if err := checkSource(*logsource); err != nil {
		return err
	}
	return r.readDetection(*detection, o)
}

// checkSource refuses logs other than CloudTrail's.
func checkSource(p pair) error {
	members, ok := pairs(p.value)
	if !ok {
		return invalid(p.at, "logsource", "not a mapping")
	}
	var product, service, category string
	for _, m := range members {
		s, err := text(m)
		if err != nil {
			return err
		}
		switch m.key {
		case "product":
			product = s
		case "service":
			service = s
		case "category":
			category = s
		}
	}
	if product != "aws" || service != "cloudtrail" || category != "" {
		return unsupported(p.at, "logsource", "product %q, service %q, category %q; rules are about product aws, service cloudtrail", product, service, category)
	}
	return nil
}

var levels = map[string]detect.Severity{
	"informational": detect.Informational, "low": detect.Low, "medium": detect.Medium, "high": detect.High, "critical": detect.Critical,
}

func (r *rule) readLevel(p pair) error {
	level, err := text(p)
	if err != nil || level == "" {
		return err
	}
	if r.severity = levels[level]; r.severity == detect.Silent {
		return invalid(p.value, "level", "%q is none", level)
	}
	return nil
}

var (
	techniqueTag = regexp.MustCompile(`^t\d{4}(\.\d{3})?$`)
	// tactics are those of ATT&CK 19, which has split Defense Evasion into
	// Stealth, which keeps its id, and Defense Impairment.
	tactics = map[string]detect.Tactic{
		"reconnaissance": "TA0043", "resource-development": "TA0042", "initial-access": detect.InitialAccess, "execution": "TA0002",
		"persistence": "TA0003", "privilege-escalation": "TA0004", "defense-evasion": "TA0005", "stealth": "TA0005",
		"defense-impairment": "TA0112", "credential-access": detect.CredentialAccess, "discovery": detect.Discovery,
		"lateral-movement": "TA0008", "collection": detect.Collection, "command-and-control": "TA0011", "exfiltration": "TA0010",
		"impact": "TA0040",
	}
)

// readTags takes the first technique and the first tactic.
func (r *rule) readTags(p pair) error {
	tags, err := texts(p)
	for _, t := range tags {
		attack, ok := strings.CutPrefix(strings.ToLower(t), "attack.")
		switch {
		case !ok:
		case techniqueTag.MatchString(attack) && r.technique == "":
			r.technique = detect.Technique(strings.ToUpper(attack))
		case r.tactic == "":
			r.tactic = tactics[strings.ReplaceAll(attack, "_", "-")]
		}
	}
	return err
}

// readDetection reads the searches and the condition over them.
func (r *rule) readDetection(p pair, o *Options) error {
	members, ok := pairs(p.value)
	if !ok {
		return invalid(p.at, "detection", "not a mapping")
	}
	var searches []*search
	var condition *pair
	for i := range members {
		m := &members[i]
		switch m.key {
		case "condition":
			condition = m
			continue
		case "timeframe":
			return unsupported(m.at, "timeframe", "Sigma has replaced it by correlation rules")
		}
		s := &search{name: m.key}
		if err := s.read(*m, o); err != nil {
			return err
		}
		searches = append(searches, s)
	}
	if condition == nil {
		return invalid(p.at, "condition", "missing")
	}
	var conditions []*expr
	for _, n := range items(condition.value) {
		if !isScalar(n) {
			return invalid(condition.at, "condition", "neither a text nor a list of texts")
		}
		x, err := parseCondition(scalarText(n), searches)
		if bad := (*conditionError)(nil); errors.As(err, &bad) {
			return faultOf(bad.reason, n, "condition", "%s (at character %d)", bad.problem, bad.offset+1)
		}
		conditions = append(conditions, x)
	}
	switch len(conditions) {
	case 0:
		return invalid(condition.at, "condition", "empty")
	case 1:
		r.condition = conditions[0]
	default:
		r.condition = &expr{op: '|', part: conditions, text: "one of the conditions"}
	}
	if r.kinds = r.condition.kinds(); r.kinds != nil && len(r.kinds) == 0 {
		return invalid(condition.at, "condition", "no event has the eventSource and the eventName that it asks for")
	}
	r.show()
	return nil
}

// read reads a search: a mapping of fields, or a list of such mappings and
// keywords, of which one must match.
func (s *search) read(p pair, o *Options) error {
	if isNull(p.value) {
		return invalid(p.at, p.key, "empty")
	}
	var keywords []node
	for _, n := range items(p.value) {
		if isScalar(n) {
			keywords = append(keywords, n)
			continue
		}
		members, ok := pairs(n)
		if !ok || len(members) == 0 {
			return invalid(n, p.key, "neither fields nor a keyword")
		}
		var all []*item
		for _, m := range members {
			values := items(m.value)
			if m.value == nil {
				values = []node{nil}
			}
			it, err := parseItem(m.key, m.at, values, o)
			if err != nil {
				return err
			}
			all = append(all, it)
		}
		// What is known without a look at the text comes first.
		slices.SortStableFunc(all, func(a, b *item) int { return a.cost() - b.cost() })
		s.alternatives = append(s.alternatives, all)
	}
	if len(keywords) > 0 {
		it, err := parseItem("", p.at, keywords, o)
		if err != nil {
			return err
		}
		s.alternatives = append(s.alternatives, []*item{it})
	}
	return nil
}

// cost orders items by how much work they are.
func (it *item) cost() int {
	switch f := &it.field; {
	case f.name == "eventName":
		return 0
	case f.name == "eventSource":
		return 1
	case f.faithful:
		return 2
	case f.name != "":
		return 3
	}
	return 4
}

// maxShown bounds the fields that a finding shows.
const maxShown = 16

// show collects the fields that findings show: those that the rule names, and
// those that it looks at in order to match.
func (r *rule) show() {
	add := func(name string) {
		if name != "" && len(r.shown) < maxShown && !slices.ContainsFunc(r.shown, func(f field) bool { return f.name == name }) {
			r.shown = append(r.shown, newField(name))
		}
	}
	var visit func(x *expr)
	visit = func(x *expr) {
		switch x.op {
		case '!':
		case 's':
			for _, all := range x.of.alternatives {
				for _, it := range all {
					if !it.negate {
						add(it.field.name)
					}
				}
			}
		default:
			for _, p := range x.part {
				visit(p)
			}
		}
	}
	visit(r.condition)
	for _, name := range r.fields {
		add(name)
	}
}

// label names the rule in an error about another.
func (r *rule) label() string { return fmt.Sprintf("%q in %s", r.title, r.file) }
