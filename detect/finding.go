package detect

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
)

// A Finding is what a detector found, for a person who has to judge it.
type Finding struct {
	// ID is the same for the same input: it is made of the rule, the key, the
	// subject and the time of the event that was first reported.
	ID string `json:"id"`
	// Revision counts the reports that the finding already stands for. A
	// finding with a revision above 0 replaces the earlier ones of its ID: it
	// carries the evidence as it stands now.
	Revision int `json:"revision,omitempty"`
	// Raised says that the severity is higher than the earlier revisions'.
	Raised bool `json:"raised,omitempty"`

	Rule      string    `json:"rule"`
	Technique Technique `json:"technique"`
	Tactic    Tactic    `json:"tactic"`
	Severity  Severity  `json:"severity"`
	// Title says in one line what happened.
	Title string `json:"title"`

	// Scope and Key name the record that the finding was made by.
	Scope string `json:"scope"`
	Key   string `json:"key"`
	// Principal is the principal's key, PrincipalName its short name; Session
	// and AccessKeyID are those of the event reported.
	Principal     string `json:"principal"`
	PrincipalName string `json:"principal_name,omitempty"`
	Session       string `json:"session,omitempty"`
	AccessKeyID   string `json:"access_key_id,omitempty"`
	// Subject is what the finding is about besides the principal.
	Subject       string `json:"subject,omitempty"`
	AccountID     string `json:"account_id,omitempty"`
	Region        string `json:"region,omitempty"`
	SourceAddress string `json:"source_address,omitempty"`
	UserAgent     string `json:"user_agent,omitempty"`

	// Time is the time of the event first reported. First and Last span the
	// events reported so far.
	Time  time.Time `json:"time"`
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	// EventIDs names the events that prove the finding, at most 64.
	EventIDs []string   `json:"event_ids"`
	Evidence []Evidence `json:"evidence"`
	// Learned says how much was known when the finding was made.
	Learned Learned `json:"learned,omitzero"`
	// Unusual lists the values that were not normal for the key, at most 64:
	// what a verdict about the finding is about.
	Unusual []baseline.Unusual `json:"unusual,omitempty"`
	// Checks are the conditions that the rule looked at: what it required and
	// found, and the guards that did not apply. One that was not passed had an
	// alternative.
	Checks []Check `json:"checks,omitempty"`
	// AboutSource says that the finding is about the source address itself: see
	// [Info].
	AboutSource bool `json:"about_source,omitempty"`

	// Benign, Respond and Mitigations are the rule's.
	Benign      []string `json:"benign,omitempty"`
	Respond     []string `json:"respond,omitempty"`
	Mitigations []string `json:"mitigations,omitempty"`

	// Suppressed is the reason of the [Suppression] that applies, or "".
	Suppressed string `json:"suppressed,omitempty"`
}

// Evidence is one thing that was observed, against what was expected.
type Evidence struct {
	// Name says what was measured, with its unit and window.
	Name string `json:"name"`
	// Observed is what the events show.
	Observed string `json:"observed"`
	// Expected is what would have been normal, and how that is known.
	Expected string `json:"expected,omitempty"`
	// EventIDs names further events than the one reported.
	EventIDs []string `json:"event_ids,omitempty"`
}

// Learned says how much the least experienced feature behind a finding knows
// about its key. It is zero but for Mature where a rule needs no learning.
type Learned struct {
	// Mature reports that the rule's learning period was over.
	Mature bool `json:"mature"`
	// Since is the time of the first event learnt from.
	Since time.Time `json:"since,omitzero"`
	// Days is the number of active days among the 30 days before the event.
	Days int `json:"days,omitempty"`
	// Events is the number of events learnt from.
	Events int64 `json:"events,omitempty"`
}

// String says it in words: "learnt from 41203 events on 23 of 30 days, since
// 2026-01-05".
func (l Learned) String() string {
	if l.Since.IsZero() {
		return "needs no learning"
	}
	s := fmt.Sprintf("learnt from %d events on %d of 30 days, since %s", l.Events, l.Days, l.Since.Format(time.DateOnly))
	if !l.Mature {
		s += "; still learning"
	}
	return s
}

// findingID is a UUID-shaped truncated SHA-256: long enough never to collide.
func findingID(rule, key, subject string, millis int64) string {
	var room [256]byte
	b := room[:0]
	for _, s := range []string{rule, key, subject, strconv.FormatInt(millis, 10)} {
		b = append(strconv.AppendInt(b, int64(len(s)), 10), ':')
		b = append(b, s...)
	}
	sum := sha256.Sum256(b)
	x := hex.EncodeToString(sum[:16])
	return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}

// cloneEvidence returns lists of their own: a rule may go on to use the given
// ones.
func cloneEvidence(list []Evidence) []Evidence {
	own := append(make([]Evidence, 0, len(list)), list...)
	for i := range own {
		own[i].EventIDs = append([]string(nil), own[i].EventIDs...)
	}
	return own
}

// detach makes the finding hold on to none of the event's memory. All its text
// is then in one piece.
func (f *Finding) detach() {
	size := 0
	f.texts(func(s *string) { size += len(*s) })
	var text strings.Builder
	text.Grow(size)
	f.texts(func(s *string) { text.WriteString(*s) })
	rest := text.String()
	f.texts(func(s *string) { *s, rest = rest[:len(*s)], rest[len(*s):] })
}

// texts visits what a finding may have of the event's text.
func (f *Finding) texts(visit func(*string)) {
	for _, s := range [...]*string{
		&f.Title, &f.Key, &f.Principal, &f.PrincipalName, &f.Session, &f.AccessKeyID, &f.Subject,
		&f.AccountID, &f.Region, &f.SourceAddress, &f.UserAgent,
	} {
		visit(s)
	}
	for i := range f.EventIDs {
		visit(&f.EventIDs[i])
	}
	for i := range f.Evidence {
		e := &f.Evidence[i]
		visit(&e.Name)
		visit(&e.Observed)
		visit(&e.Expected)
		for i := range e.EventIDs {
			visit(&e.EventIDs[i])
		}
	}
}

// A Suppression keeps known findings from being reported, for a while. The
// findings are counted all the same.
type Suppression struct {
	// Rule, Principal and Subject select findings; each is compared whole, but
	// for a final "*", which stands for any rest. "" selects all.
	Rule      string `json:"rule"`
	Principal string `json:"principal"`
	Subject   string `json:"subject"`
	// Reason says why the findings are acceptable. It is required.
	Reason string `json:"reason"`
	// Expires ends the suppression, in event time. It is required: what is
	// acceptable today should be looked at again.
	Expires time.Time `json:"expires"`
}

func (s *Suppression) matches(f *Finding, at time.Time) bool {
	return at.Before(s.Expires) && glob(s.Rule, f.Rule) && glob(s.Principal, f.Principal) && glob(s.Subject, f.Subject)
}

func glob(pattern, s string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(s, prefix)
	}
	return pattern == "" || pattern == s
}
