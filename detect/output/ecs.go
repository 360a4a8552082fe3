package output

import (
	"encoding/json"
	"net/netip"
	"time"

	"github.com/cloudtell/cloudtell/detect"
)

// ecsVersion is the version of the Elastic Common Schema that alerts follow.
const ecsVersion = "9.4.0"

type ecsAlert struct {
	Timestamp string         `json:"@timestamp"`
	Message   string         `json:"message"`
	Tags      []string       `json:"tags,omitempty"`
	ECS       ecsVersioned   `json:"ecs"`
	Event     ecsEvent       `json:"event"`
	Rule      ecsRule        `json:"rule"`
	Threat    *ecsThreat     `json:"threat,omitempty"`
	Cloud     ecsCloud       `json:"cloud"`
	User      *ecsUser       `json:"user,omitempty"`
	Source    *ecsSource     `json:"source,omitempty"`
	Agent     *ecsUserAgent  `json:"user_agent,omitempty"`
	Related   *ecsRelated    `json:"related,omitempty"`
	Cloudtell carriedFinding `json:"cloudtell"`
}

type ecsVersioned struct {
	Version string `json:"version"`
}

type ecsEvent struct {
	Kind     string   `json:"kind"`
	Category []string `json:"category"`
	Type     []string `json:"type"`
	Module   string   `json:"module"`
	Dataset  string   `json:"dataset"`
	ID       string   `json:"id"`
	Sequence int      `json:"sequence"`
	Severity int      `json:"severity"`
	Action   string   `json:"action"`
	Reason   string   `json:"reason,omitempty"`
	Created  string   `json:"created"`
	Start    string   `json:"start"`
	End      string   `json:"end"`
	Duration int64    `json:"duration"`
}

type ecsRule struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Ruleset   string `json:"ruleset"`
	Reference string `json:"reference,omitempty"`
}

type ecsThreat struct {
	Framework string       `json:"framework"`
	Tactic    *ecsTactic   `json:"tactic,omitempty"`
	Technique ecsTechnique `json:"technique,omitzero"`
}

type ecsTactic struct {
	ID   []string `json:"id"`
	Name []string `json:"name,omitempty"`
}

type ecsTechnique struct {
	ID           []string         `json:"id"`
	Name         []string         `json:"name,omitempty"`
	Reference    []string         `json:"reference"`
	SubTechnique *ecsSubTechnique `json:"subtechnique,omitempty"`
}

func (t ecsTechnique) IsZero() bool { return t.ID == nil }

type ecsSubTechnique struct {
	ID        []string `json:"id"`
	Name      []string `json:"name,omitempty"`
	Reference []string `json:"reference"`
}

type ecsCloud struct {
	Provider string   `json:"provider"`
	Account  *ecsNode `json:"account,omitempty"`
	Region   string   `json:"region,omitempty"`
}

type ecsNode struct {
	ID string `json:"id"`
}

type ecsUser struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
}

type ecsSource struct {
	Address string `json:"address"`
	IP      string `json:"ip,omitempty"`
}

type ecsUserAgent struct {
	Original string `json:"original"`
}

type ecsRelated struct {
	IP   []string `json:"ip,omitempty"`
	User []string `json:"user,omitempty"`
}

// ECS returns the finding as an alert in the Elastic Common Schema, version
// 9.4, as one line of JSON. The fields of the schema say who did what from
// where; evidence, conditions and events are in cloudtell.finding, which is
// outside the schema, as it allows. A source that is no address, such as an AWS
// service, is in source.address only.
//
// event.severity is the number of [detect.Severity], from 1, informational, to
// 5, critical. The error is that of [encoding/json].
func ECS(f *detect.Finding, o *Options) ([]byte, error) {
	d := o.orDefault(f)
	stamp := func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
	a := ecsAlert{
		Timestamp: stamp(d.Time),
		Message:   f.Title,
		ECS:       ecsVersioned{ecsVersion},
		Event: ecsEvent{
			Kind: "alert", Category: []string{"intrusion_detection"}, Type: []string{"info"}, Module: "cloudtell", Dataset: "cloudtell.finding",
			ID: f.ID, Sequence: f.Revision, Severity: int(f.Severity), Action: f.Rule, Reason: details(f),
			Created: stamp(d.Time), Start: stamp(firstOf(f)), End: stamp(lastOf(f)), Duration: lastOf(f).Sub(firstOf(f)).Nanoseconds(),
		},
		Rule:      ecsRule{ID: f.Rule, Name: f.Rule, Ruleset: "cloudtell"},
		Cloud:     ecsCloud{Provider: "aws", Region: f.Region},
		Cloudtell: carry(f).Cloudtell,
	}
	if f.Suppressed != "" {
		a.Tags = []string{"suppressed"}
	}
	if f.AccountID != "" {
		a.Cloud.Account = &ecsNode{f.AccountID}
	}
	if f.Technique != "" || f.Tactic != "" {
		a.Threat = &ecsThreat{Framework: "MITRE ATT&CK"}
	}
	if f.Tactic != "" {
		a.Threat.Tactic = &ecsTactic{ID: []string{string(f.Tactic)}, Name: known(f.Tactic.Name())}
	}
	if t := f.Technique.Parent(); t != "" {
		a.Rule.Reference = f.Technique.URL()
		a.Threat.Technique = ecsTechnique{ID: []string{string(t)}, Name: known(t.Name()), Reference: []string{t.URL()}}
		if t != f.Technique {
			a.Threat.Technique.SubTechnique = &ecsSubTechnique{[]string{string(f.Technique)}, known(subName(f.Technique)), []string{f.Technique.URL()}}
		}
	}
	related := ecsRelated{}
	if f.Principal != "" {
		a.User = &ecsUser{f.Principal, f.PrincipalName}
		related.User = append(known(f.PrincipalName), f.Principal)
	}
	if f.SourceAddress != "" {
		a.Source = &ecsSource{Address: f.SourceAddress}
		if ip, err := netip.ParseAddr(f.SourceAddress); err == nil {
			a.Source.IP = ip.Unmap().WithZone("").String()
			related.IP = []string{a.Source.IP}
		}
	}
	if related.IP != nil || related.User != nil {
		a.Related = &related
	}
	if f.UserAgent != "" {
		a.Agent = &ecsUserAgent{f.UserAgent}
	}
	return json.Marshal(a)
}

// known returns a list of the name, or nil if there is none.
func known(name string) []string {
	if name == "" {
		return nil
	}
	return []string{name}
}
