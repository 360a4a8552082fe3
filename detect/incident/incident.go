package incident

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/detect"
)

// An Incident is a connected set of findings, for a person who has to act on
// it.
type Incident struct {
	// ID is made of the ID of the incident's first finding, so an incident that
	// grows keeps its ID. It changes if an earlier finding joins later: then the
	// ID is that of the earlier one's incident; see [Incident.Replaces]. It also
	// changes when the first finding makes way.
	ID string `json:"id"`
	// Severity is that of the worst finding, or higher if Score and Stages say
	// that the findings mean more together. [detect.Informational] is not worth
	// anybody's time.
	Severity detect.Severity `json:"severity"`
	// Score orders incidents of one severity, and raises the severity: a few
	// weak findings make less than 10, a whole chain of severe ones 100 and
	// more.
	Score int `json:"score"`
	// Stage is the furthest stage reached, Stages are all those seen, in order.
	Stage  Stage   `json:"stage"`
	Stages []Stage `json:"stages,omitempty"`
	// Title says in one line who got how far.
	Title string `json:"title"`
	// Summary is a paragraph for the person who is woken up by it. Names that an
	// intruder may have chosen are cut, and in quotation marks unless they
	// consist of plain characters.
	Summary string `json:"summary"`
	// First and Last span the events of all findings.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`

	// Principals, AccessKeys, Sources, Accounts and Techniques are those of the
	// findings, sorted.
	Principals []string           `json:"principals,omitempty"`
	AccessKeys []string           `json:"access_keys,omitempty"`
	Sources    []string           `json:"sources,omitempty"`
	Accounts   []string           `json:"accounts,omitempty"`
	Techniques []detect.Technique `json:"techniques,omitempty"`
	// Issuers are principals about which nothing was found, but whose sessions
	// obtained an access key of the findings.
	Issuers []string `json:"issuers,omitempty"`
	// Timeline lists the findings in the order of their time.
	Timeline []Step `json:"timeline"`
}

// A Step is a finding in an incident: what is needed to tell the story. ID
// names the finding itself, which has the evidence.
type Step struct {
	ID            string           `json:"id"`
	Revision      int              `json:"revision,omitempty"`
	Rule          string           `json:"rule"`
	Technique     detect.Technique `json:"technique"`
	Stage         Stage            `json:"stage"`
	Severity      detect.Severity  `json:"severity"`
	Title         string           `json:"title"`
	Principal     string           `json:"principal"`
	PrincipalName string           `json:"principal_name,omitempty"`
	AccessKeyID   string           `json:"access_key_id,omitempty"`
	// Chain lists the principals whose sessions obtained the access key, nearest
	// first, as far as events told.
	Chain         []string  `json:"chain,omitempty"`
	Subject       string    `json:"subject,omitempty"`
	AccountID     string    `json:"account_id,omitempty"`
	Region        string    `json:"region,omitempty"`
	SourceAddress string    `json:"source_address,omitempty"`
	Time          time.Time `json:"time"`
	First         time.Time `json:"first"`
	Last          time.Time `json:"last"`
}

// Incidents returns all current incidents, those of most concern first: by
// severity, score and how late they last showed. A finding that is joined to no
// other is an incident of its own.
//
// It goes through all that is remembered, which takes some 200 ms when the
// default room is full: call it for a batch, not for an event.
func (j *Joiner) Incidents() []Incident {
	fs := slices.SortedFunc(j.findings.all(), timeline)
	var incidents []Incident
	for _, group := range j.connect(fs) {
		incidents = append(incidents, newIncident(group))
	}
	slices.SortFunc(incidents, func(a, b Incident) int {
		switch {
		case a.Severity != b.Severity:
			return int(b.Severity) - int(a.Severity)
		case a.Score != b.Score:
			return b.Score - a.Score
		case !a.Last.Equal(b.Last):
			return b.Last.Compare(a.Last)
		}
		return strings.Compare(a.ID, b.ID)
	})
	return incidents
}

// newIncident makes an incident of findings in the order of their time.
func newIncident(fs []*finding) Incident {
	in := Incident{ID: incidentID(fs[0].ID), First: fs[0].First, Last: fs[0].Last}
	var principals, keys, sources, accounts, chain set[string]
	var techniques set[detect.Technique]
	var stages set[Stage]
	for _, f := range fs {
		if f.First.Before(in.First) {
			in.First = f.First
		}
		if f.Last.After(in.Last) {
			in.Last = f.Last
		}
		principals.add(f.Principal)
		keys.add(f.AccessKeyID)
		sources.add(f.SourceAddress)
		accounts.add(f.AccountID)
		techniques.add(f.Technique)
		stages.add(f.Stage)
		for _, p := range f.Chain {
			chain.add(p)
		}
		in.Timeline = append(in.Timeline, f.Step)
	}
	in.Principals, in.AccessKeys, in.Sources = principals.sorted(), keys.sorted(), sources.sorted()
	in.Accounts, in.Techniques, in.Stages = accounts.sorted(), techniques.sorted(), stages.sorted()
	for _, p := range chain.sorted() {
		if _, found := principals[p]; !found {
			in.Issuers = append(in.Issuers, p)
		}
	}
	if len(in.Stages) > 0 {
		in.Stage = in.Stages[len(in.Stages)-1]
	}
	in.Score, in.Severity = grade(&in)
	s := story{&in, fs}
	in.Title, in.Summary = s.title(), s.summary()
	return in
}

// Replaces reports whether an incident of the given ID that was seen earlier has
// become this one, or a part of it: whether its first finding is one of these.
func (in *Incident) Replaces(id string) bool {
	return slices.ContainsFunc(in.Timeline, func(s Step) bool { return incidentID(s.ID) == id })
}

// incidentID has the form of a finding's ID, but is never equal to one.
func incidentID(first string) string {
	sum := sha256.Sum256([]byte("incident:" + first))
	x := hex.EncodeToString(sum[:16])
	return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}
