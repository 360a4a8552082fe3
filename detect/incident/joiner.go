package incident

import (
	"cmp"
	"encoding"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
	"unique"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// Options configures a [Joiner]. Nil, and the zero value of every field, mean
// the defaults.
type Options struct {
	// Gap is how far apart in time two findings may be and still be joined, and
	// how far a finding may be from when its access key was obtained and still
	// be put down to whoever obtained it. The default is 24 hours.
	Gap time.Duration
	// MaxFindings is the number of findings that are remembered. The oldest make
	// way, a severe one as if it were some months younger. They take about
	// 1 KB each, at most 5 KB. The default is 10,000.
	MaxFindings int
	// MaxLinks is the number of temporary access keys of which it is remembered
	// who obtained them. The oldest make way. They take about 400 bytes each.
	// The default is 50,000.
	MaxLinks int
	// SharedNetworks are networks whose addresses join nothing, not even the
	// findings about them: a proxy or gateway of one's own that is unusual for
	// some, a VPN that all use. Addresses that mean something else in every
	// network, such as 10.0.0.1, join nothing anyway. The default is none.
	SharedNetworks []netip.Prefix
}

const (
	defaultGap         = 24 * time.Hour
	defaultMaxFindings = 10_000
	defaultMaxLinks    = 50_000
)

// A Joiner remembers findings and puts them together into incidents. It may be
// used by one goroutine at a time. Make it with [NewJoiner].
type Joiner struct {
	gap      time.Duration
	shared   []netip.Prefix
	findings *kept[string, *finding]
	links    *kept[link, link]
}

var (
	_ encoding.BinaryAppender    = (*Joiner)(nil)
	_ encoding.BinaryUnmarshaler = (*Joiner)(nil)
)

// NewJoiner returns an empty Joiner. It keeps no reference to the options.
func NewJoiner(o *Options) (*Joiner, error) {
	if o == nil {
		o = &Options{}
	}
	if o.Gap < 0 || o.MaxFindings < 0 || o.MaxLinks < 0 {
		return nil, errors.New("incident: options must not be negative")
	}
	for i, p := range o.SharedNetworks {
		if !p.IsValid() {
			return nil, fmt.Errorf("incident: shared network %d is not a network", i)
		}
	}
	j := &Joiner{gap: cmp.Or(o.Gap, defaultGap), shared: slices.Clone(o.SharedNetworks)}
	j.findings, j.links = newFindings(cmp.Or(o.MaxFindings, defaultMaxFindings)), newLinks(cmp.Or(o.MaxLinks, defaultMaxLinks))
	return j, nil
}

func newFindings(max int) *kept[string, *finding] {
	return newKept(max, func(f *finding) string { return f.ID }, compareConcern)
}

func newLinks(max int) *kept[link, link] {
	return newKept(max, func(l link) link { return l }, compareLinks)
}

// Observe learns from an event who obtained an access key. It may be given
// every event: those that say nothing about that cost next to nothing. It keeps
// none of the event's memory.
//
// Keys that AWS obtains on its own or on a principal's behalf are not
// remembered: the principal never holds them.
func (j *Joiner) Observe(e *event.Event) {
	issued := issuedKey(e)
	if !identifiesKey(issued) || !e.Succeeded() || e.ViaService() {
		return
	}
	l := link{millis: millis(e.Time), issued: issued, session: sessionOf(e.Response.At("assumedRoleUser", "arn").Text())}
	if identifies(e.Principal.Key) {
		l.issuer = e.Principal.Key
	}
	if identifiesKey(e.Identity.AccessKeyID) {
		l.issuerKey = e.Identity.AccessKeyID
	}
	if l.issuer == "" && l.issuerKey == "" {
		return
	}
	l.issued, l.session = cut(l.issued), cut(l.session)
	// The same few principals obtain most of the keys.
	l.issuer, l.issuerKey = unique.Make(cut(l.issuer)).Value(), unique.Make(cut(l.issuerKey)).Value()
	j.links.put(l)
}

// issuedKey returns the access key that a call hands out, or "": temporary ones
// of sessions, and long-term ones that a principal makes for itself or for
// another user.
func issuedKey(e *event.Event) string {
	switch e.Source {
	case "sts.amazonaws.com":
		switch e.Operation {
		case "AssumeRole", "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity", "AssumeRoot", "GetSessionToken", "GetFederationToken":
			return e.Response.At("credentials", "accessKeyId").Text()
		}
	case "iam.amazonaws.com":
		if e.Operation == "CreateAccessKey" {
			return e.Response.At("accessKey", "accessKeyId").Text()
		}
	}
	return ""
}

// sessionOf returns the principal and session name that an assumed role's ARN
// stands for, in the form of [finding.holder], or "".
//
//	arn:aws:sts::111122223333:assumed-role/deploy/ci
//	arn:aws:iam::111122223333:role/deploy/ci
func sessionOf(arn string) string {
	head, role, ok := strings.Cut(arn, ":assumed-role/")
	if !ok {
		return ""
	}
	return strings.Replace(head, ":sts:", ":iam:", 1) + ":role/" + role
}

// Add remembers a finding. A later revision replaces an earlier one; the same
// one again, or an earlier revision, changes nothing. Findings that are
// suppressed, silent or without an ID are left out. The finding is not kept,
// only what an incident shows of it: strings are cut to 256 bytes.
func (j *Joiner) Add(f detect.Finding) {
	if f.Suppressed != "" || f.Severity == detect.Silent || f.ID == "" {
		return
	}
	n := newFinding(&f)
	if old, ok := j.findings.get(n.ID); ok && compareRevisions(n, old) <= 0 {
		return
	}
	j.findings.put(n)
}

// A finding is what is remembered of one.
type finding struct {
	Step
	session     string
	tactic      detect.Tactic
	respond     string // what to do first
	aboutSource bool
	mature      bool
	since       time.Time // when learning began, if it had to
}

func newFinding(f *detect.Finding) *finding {
	n := &finding{
		Step: Step{
			ID: f.ID, Revision: min(max(0, f.Revision), math.MaxInt32), Rule: f.Rule, Technique: f.Technique, Severity: min(f.Severity, detect.Critical), Title: f.Title,
			Principal: f.Principal, PrincipalName: f.PrincipalName, AccessKeyID: f.AccessKeyID, Subject: f.Subject,
			AccountID: f.AccountID, Region: f.Region, SourceAddress: f.SourceAddress,
			Time: instant(f.Time), First: instant(cmp.Or(f.First, f.Time)), Last: instant(cmp.Or(f.Last, f.Time)),
		},
		session: f.Session, tactic: f.Tactic, aboutSource: f.AboutSource,
		mature: f.Learned.Mature,
	}
	if n.Last.Before(n.First) {
		n.First, n.Last = n.Last, n.First
	}
	if !f.Learned.Since.IsZero() {
		n.since = instant(f.Learned.Since)
	}
	if len(f.Respond) > 0 {
		n.respond = f.Respond[0]
	}
	for _, s := range n.strings() {
		*s = cut(*s)
	}
	n.Stage = stageOf(n.Technique, n.tactic)
	return n
}

// strings returns all text of the finding, in the order of its record.
func (f *finding) strings() []*string {
	return []*string{
		&f.ID, &f.Rule, (*string)(&f.Technique), (*string)(&f.tactic), &f.Title, &f.Principal, &f.PrincipalName, &f.session,
		&f.AccessKeyID, &f.Subject, &f.AccountID, &f.Region, &f.SourceAddress, &f.respond,
	}
}

// holder returns what the finding is known by to those who obtained its
// credentials: the access key, or where a log has none, the session.
func (f *finding) holder() string {
	if f.AccessKeyID != "" {
		return f.AccessKeyID
	}
	return cut(f.Principal + "/" + f.session)
}

// seniority makes severe findings outlast others: a flood of weak ones, which
// is cheap to cause, does not push out what was severe some time ago. The
// spans are our own.
var seniority = [...]time.Duration{
	detect.Informational: 0,
	detect.Low:           7 * 24 * time.Hour,
	detect.Medium:        30 * 24 * time.Hour,
	detect.High:          90 * 24 * time.Hour,
	detect.Critical:      180 * 24 * time.Hour,
}

// until says how long the finding is of concern, compared with others.
func (f *finding) until() time.Time { return f.Last.Add(seniority[f.Severity]) }

// compareConcern orders findings by how much it would be missed, least first.
func compareConcern(a, b *finding) int {
	return cmp.Or(a.until().Compare(b.until()), cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.ID, b.ID))
}

// compareRevisions orders the revisions of one finding, earliest first. Two that
// claim the same number are ordered by their content, so that it does not
// matter which comes first.
func compareRevisions(a, b *finding) int {
	return cmp.Or(cmp.Compare(a.Revision, b.Revision), compareConcern(a, b),
		slices.Compare(a.appendTo(nil), b.appendTo(nil)))
}

// maxText is the number of bytes that is remembered of a string.
const maxText = 256

// cut returns a copy of a string, a long one with its end replaced by a hash of
// the whole: two that differ anywhere still do.
func cut(s string) string {
	if len(s) <= maxText {
		return strings.Clone(s)
	}
	mark := fmt.Sprintf("…%016x", baseline.Hash(s))
	end := maxText - len(mark)
	for end > maxText-len(mark)-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + mark
}

// maxMillis is beyond the year 2200. Times outside are taken for the nearest
// inside, so that nothing overflows.
const maxMillis = 1 << 43

func millis(t time.Time) int64 { return min(max(t.UnixMilli(), 0), maxMillis) }

func instant(t time.Time) time.Time { return time.UnixMilli(millis(t)).UTC() }
