// Package guardduty reads findings of Amazon GuardDuty as findings of
// cloudtell, so that they join the incidents of whoever they are about:
//
//	for e, err := range event.Read(r, nil) {
//		var d *event.DecodeError
//		if errors.As(err, &d) && errors.Is(err, event.ErrGuardDuty) {
//			f, err := guardduty.Parse([]byte(d.Text))
//			…
//			joiner.Add(f)
//		}
//	}
//
// [event.Read] finds them in every shape that they come in: EventBridge events,
// files of the export to S3 (one a line, compressed), answers of GetFindings,
// and queue messages around any of these. In the form of Security Hub they are
// not read.
package guardduty

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/detect"
)

// ErrNotFinding says that a text is no finding of GuardDuty.
var ErrNotFinding = errors.New("guardduty: not a finding")

// A finding is what is read of one. The API spells names with a capital letter,
// events and exports with a small one; encoding/json takes both.
type finding struct {
	ID          string
	ARN         string
	AccountID   string
	Region      string
	Partition   string
	Type        string
	Severity    float64
	Title       string
	Description string
	CreatedAt   time.Time
	UpdatedAt   time.Time
	Resource    struct {
		ResourceType     string
		AccessKeyDetails struct{ AccessKeyID, PrincipalID, UserType, UserName string }
		S3BucketDetails  []struct{ Name, ARN string }
		InstanceDetails  struct{ InstanceID string }
	}
	Service struct {
		Archived       bool
		Count          int
		EventFirstSeen time.Time
		EventLastSeen  time.Time
		Action         struct {
			AwsAPICallAction        call
			NetworkConnectionAction struct{ RemoteIPDetails remote }
			PortProbeAction         struct {
				PortProbeDetails []struct{ RemoteIPDetails remote }
			}
		}
	}
}

type call struct {
	API, ServiceName, ErrorCode, UserAgent string
	RemoteIPDetails                        remote
	RemoteAccountDetails                   struct {
		AccountID  string
		Affiliated bool
	}
}

type remote struct {
	IPAddressV4, IPAddressV6 string
	Organization             struct{ ASNOrg, Org string }
	Country                  struct{ CountryName string }
}

func (r *remote) address() string { return cmp.Or(r.IPAddressV4, r.IPAddressV6) }

// Parse returns GuardDuty's finding as one of cloudtell:
//
//   - The ID is GuardDuty's own, the rule "guardduty/" and the finding's type.
//   - GuardDuty counts up a finding that goes on; the count less one is the
//     revision.
//   - The severity is as GuardDuty names it: low from 1, medium from 4, high from
//     7, critical from 9.
//   - Technique and tactic follow from the type: see [Classify].
//   - The principal has the key that its events have, as far as GuardDuty names
//     it. Of other resources than credentials it is unknown.
//   - Users, roles and root belong to the account of the finding, which is the
//     account whose log shows them so. GuardDuty gives no account beside an access
//     key; that of remoteAccountDetails is where the call came from, which for a
//     stolen key is the thief's. A principal of another account is of the type
//     AWSAccount in that log. Its account is that of remoteAccountDetails; without
//     that the principal is unknown.
//   - An archived finding is suppressed.
//
// GuardDuty does not name the events that a finding is of. The error wraps
// [ErrNotFinding], or is that of [encoding/json].
func Parse(text []byte) (detect.Finding, error) {
	var g finding
	if err := json.Unmarshal(text, &g); err != nil {
		return detect.Finding{}, fmt.Errorf("guardduty: %w", err)
	}
	first := g.Service.EventFirstSeen
	if first.IsZero() {
		first = g.CreatedAt
	}
	last := g.Service.EventLastSeen
	if last.IsZero() {
		last = g.UpdatedAt
	}
	switch {
	case g.ID == "" || g.Type == "":
		return detect.Finding{}, fmt.Errorf("%w: it has no id or no type", ErrNotFinding)
	case first.IsZero():
		return detect.Finding{}, fmt.Errorf("%w: %s: it has no time", ErrNotFinding, g.ID)
	}
	if last.Before(first) {
		last = first
	}
	f := detect.Finding{
		ID: g.ID, Revision: max(0, g.Service.Count-1), Rule: "guardduty/" + g.Type, Severity: severity(g.Severity),
		Title: cmp.Or(g.Title, g.Type), Scope: "principal", AccountID: g.AccountID, Region: g.Region,
		Time: first.UTC(), First: first.UTC(), Last: last.UTC(), Learned: detect.Learned{Mature: true},
		AboutSource: strings.Contains(g.Type, "MaliciousIPCaller") || strings.Contains(g.Type, "TorIPCaller"),
	}
	f.Technique, f.Tactic = Classify(g.Type)
	g.principal(&f)
	g.source(&f)
	g.subject(&f)
	g.evidence(&f)
	if g.Service.Archived {
		f.Suppressed = "archived in GuardDuty"
	}
	return f, nil
}

// severity follows the ranges of GuardDuty's user guide.
func severity(s float64) detect.Severity {
	switch {
	case s >= 9:
		return detect.Critical
	case s >= 7:
		return detect.High
	case s >= 4:
		return detect.Medium
	case s >= 1:
		return detect.Low
	}
	return detect.Informational
}

// principal sets who the finding is about, with the key that package event
// makes of the same identity.
func (g *finding) principal(f *detect.Finding) {
	k := &g.Resource.AccessKeyDetails
	f.AccessKeyID = k.AccessKeyID
	f.PrincipalName = k.UserName
	arn := "arn:" + cmp.Or(g.Partition, "aws") + ":iam::" + g.AccountID + ":"
	_, f.Session, _ = strings.Cut(k.PrincipalID, ":")
	switch {
	case k.UserType == "Root":
		f.Principal, f.PrincipalName, f.Session = arn+"root", "root", ""
	case k.UserType == "IAMUser" && k.UserName != "":
		f.Principal, f.Session = arn+"user/"+k.UserName, ""
	case (k.UserType == "AssumedRole" || k.UserType == "Role") && k.UserName != "":
		f.Principal = arn + "role/" + k.UserName
		// A permission set is a role that people share.
		if set, ok := strings.CutPrefix(k.UserName, "AWSReservedSSO_"); ok && f.Session != "" {
			f.Principal += "/" + f.Session
			if i := strings.LastIndexByte(set, '_'); i > 0 {
				set = set[:i]
			}
			f.PrincipalName = set + "/" + f.Session
		}
	case k.UserType == "AWSAccount" && strings.EqualFold(k.UserName, "ANONYMOUS_PRINCIPAL") || k.PrincipalID == "ANONYMOUS_PRINCIPAL":
		f.Principal, f.PrincipalName = "anonymous", "anonymous"
	case k.UserType == "AWSAccount" && g.remoteAccount() != "":
		unique, _, _ := strings.Cut(k.PrincipalID, ":")
		f.PrincipalName = cmp.Or(unique, g.remoteAccount())
		f.Principal = "aws-account:" + g.remoteAccount()
		if f.PrincipalName != g.remoteAccount() {
			f.Principal += "/" + unique
		}
	default:
		f.Principal = "unknown:" + g.AccountID
		f.PrincipalName = cmp.Or(k.UserName, g.Resource.InstanceDetails.InstanceID, "unknown")
	}
	f.Key = f.Principal
}

// remoteAccount returns the account, other than the finding's, that the call came
// from, or "".
func (g *finding) remoteAccount() string {
	if account := g.Service.Action.AwsAPICallAction.RemoteAccountDetails.AccountID; account != g.AccountID {
		return account
	}
	return ""
}

func (g *finding) remote() *remote {
	a := &g.Service.Action
	switch {
	case a.AwsAPICallAction.RemoteIPDetails.address() != "":
		return &a.AwsAPICallAction.RemoteIPDetails
	case a.NetworkConnectionAction.RemoteIPDetails.address() != "":
		return &a.NetworkConnectionAction.RemoteIPDetails
	case len(a.PortProbeAction.PortProbeDetails) > 0:
		return &a.PortProbeAction.PortProbeDetails[0].RemoteIPDetails
	}
	return new(remote)
}

func (g *finding) source(f *detect.Finding) {
	f.SourceAddress = g.remote().address()
	f.UserAgent = g.Service.Action.AwsAPICallAction.UserAgent
}

func (g *finding) subject(f *detect.Finding) {
	switch r := &g.Resource; {
	case len(r.S3BucketDetails) > 0:
		f.Subject = r.S3BucketDetails[0].Name
	case r.InstanceDetails.InstanceID != "":
		f.Subject = r.InstanceDetails.InstanceID
	}
}

func (g *finding) evidence(f *detect.Finding) {
	add := func(name string, parts ...string) {
		var said []string
		for _, p := range parts {
			if p != "" {
				said = append(said, p)
			}
		}
		if len(said) > 0 {
			f.Evidence = append(f.Evidence, detect.Evidence{Name: name, Observed: strings.Join(said, ", ")})
		}
	}
	add("what GuardDuty says", g.Description)
	c := &g.Service.Action.AwsAPICallAction
	if c.API != "" {
		add("API call", strings.TrimSuffix(c.ServiceName, ".amazonaws.com")+":"+c.API, c.ErrorCode)
	}
	r := g.remote()
	add("network of the caller", r.address(), cmp.Or(r.Organization.ASNOrg, r.Organization.Org), r.Country.CountryName)
	if a := &c.RemoteAccountDetails; a.AccountID != "" {
		affiliated := "of another organisation"
		if a.Affiliated {
			affiliated = "of the organisation"
		}
		add("account of the caller", a.AccountID, affiliated)
	}
	var buckets []string
	for _, b := range g.Resource.S3BucketDetails {
		buckets = append(buckets, b.Name)
	}
	add("buckets", buckets...)
	if g.Service.Count > 0 {
		add("occurrences", fmt.Sprint(g.Service.Count))
	}
	add("finding in GuardDuty", g.ARN)
}

// Classify returns what a type of finding, such as
// "CredentialAccess:IAMUser/AnomalousBehavior", is a sign of in ATT&CK: the
// technique, if it is one of those that cloudtell covers, and the tactic. Both
// are "" where a type is no sign of any, as for "Policy:IAMUser/RootCredentialUsage".
func Classify(findingType string) (detect.Technique, detect.Tactic) {
	purpose, rest, _ := strings.Cut(findingType, ":")
	resource, _, _ := strings.Cut(rest, "/")
	for _, c := range classes {
		if c.purpose == purpose && (c.resource == "" || c.resource == resource) {
			return c.technique, c.tactic
		}
	}
	return "", ""
}

// classes map the threat purposes of GuardDuty's user guide to ATT&CK v19. Of
// a purpose, resources come before what holds for all others.
var classes = []struct {
	purpose, resource string
	technique         detect.Technique
	tactic            detect.Tactic
}{
	{"Recon", "IAMUser", "T1580", detect.Discovery},
	{"Recon", "", "", detect.Discovery},
	{"Discovery", "IAMUser", "T1580", detect.Discovery},
	{"Discovery", "S3", "T1619", detect.Discovery},
	{"Discovery", "", "", detect.Discovery},
	{"CredentialAccess", "IAMUser", "T1552", detect.CredentialAccess},
	{"CredentialAccess", "", "", detect.CredentialAccess},
	{"Exfiltration", "S3", "T1530", detect.Collection},
	{"Exfiltration", "", "", "TA0010"},
	{"UnauthorizedAccess", "IAMUser", "T1078.004", detect.InitialAccess},
	{"UnauthorizedAccess", "S3", "T1078.004", detect.InitialAccess},
	{"UnauthorizedAccess", "", "", detect.InitialAccess},
	{"InitialAccess", "IAMUser", "T1078.004", detect.InitialAccess},
	{"InitialAccess", "", "", detect.InitialAccess},
	{"AttackSequence", "IAM", "T1078.004", detect.InitialAccess},
	{"AttackSequence", "S3", "T1530", detect.Collection},
	{"Execution", "", "", "TA0002"},
	{"Persistence", "", "", "TA0003"},
	{"PrivilegeEscalation", "", "", "TA0004"},
	{"Stealth", "", "", "TA0112"}, // they are about logging switched off
	{"DefenseEvasion", "", "", "TA0112"},
	{"Backdoor", "", "", "TA0011"},
	{"Trojan", "", "", "TA0011"},
	{"Impact", "", "", "TA0040"},
	{"CryptoCurrency", "", "", "TA0040"},
}
