package detect

import (
	"fmt"
	"strings"
)

// ATTACKVersion is the version of MITRE ATT&CK that the names of techniques
// and tactics here follow. Ids are stable between versions, names are not: in
// v19 the tactic Defense Evasion (TA0005) became Stealth.
const ATTACKVersion = "19"

// Technique is the id of an ATT&CK technique or sub-technique: "T1552" or
// "T1552.005".
type Technique string

// Name returns the technique's name, with its parent's for a sub-technique, or
// "" if it is not one of the techniques that cloudtell covers.
func (t Technique) Name() string {
	name := techniqueNames[t]
	if parent, _, sub := strings.Cut(string(t), "."); sub && name != "" {
		return techniqueNames[Technique(parent)] + ": " + name
	}
	return name
}

// Parent returns the technique without its sub-technique.
func (t Technique) Parent() Technique {
	parent, _, _ := strings.Cut(string(t), ".")
	return Technique(parent)
}

// URL returns the technique's page at MITRE.
func (t Technique) URL() string {
	return "https://attack.mitre.org/techniques/" + strings.ReplaceAll(string(t), ".", "/") + "/"
}

var techniqueNames = map[Technique]string{
	"T1078":     "Valid Accounts",
	"T1078.004": "Cloud Accounts",
	"T1530":     "Data from Cloud Storage",
	"T1552":     "Unsecured Credentials",
	"T1552.001": "Credentials In Files",
	"T1552.005": "Cloud Instance Metadata API",
	"T1552.007": "Container API",
	"T1580":     "Cloud Infrastructure Discovery",
	"T1619":     "Cloud Storage Object Discovery",
}

// Tactic is the id of an ATT&CK tactic: "TA0007".
type Tactic string

// The tactics that cloudtell's rules serve.
const (
	InitialAccess    Tactic = "TA0001"
	CredentialAccess Tactic = "TA0006"
	Discovery        Tactic = "TA0007"
	Collection       Tactic = "TA0009"
)

// Name returns the tactic's name, or "" for an id unknown here.
func (t Tactic) Name() string { return tacticNames[t] }

// All tactics of the Enterprise matrix: findings of other origin, such as
// GuardDuty's, may serve any.
var tacticNames = map[Tactic]string{
	"TA0043": "Reconnaissance",
	"TA0042": "Resource Development",
	"TA0001": "Initial Access",
	"TA0002": "Execution",
	"TA0003": "Persistence",
	"TA0004": "Privilege Escalation",
	"TA0005": "Stealth",            // Defense Evasion until v18
	"TA0112": "Defense Impairment", // since v19
	"TA0006": "Credential Access",
	"TA0007": "Discovery",
	"TA0008": "Lateral Movement",
	"TA0009": "Collection",
	"TA0011": "Command and Control",
	"TA0010": "Exfiltration",
	"TA0040": "Impact",
}

// ShortName returns the tactic's name as the ATT&CK Navigator writes it,
// "credential-access", or "" for an id unknown here.
func (t Tactic) ShortName() string {
	return strings.ReplaceAll(strings.ToLower(t.Name()), " ", "-")
}

// Severity grades a finding. The zero value is Silent: nothing is reported.
type Severity uint8

// The severities, least first.
const (
	Silent        Severity = iota
	Informational          // worth a line in an investigation, never a notification
	Low
	Medium
	High     // a person should look at it today
	Critical // a person should look at it now
)

var severityNames = [...]string{"silent", "info", "low", "medium", "high", "critical"}

// String returns the severity in lower case; "info" for Informational.
func (s Severity) String() string {
	if int(s) < len(severityNames) {
		return severityNames[s]
	}
	return fmt.Sprintf("Severity(%d)", uint8(s))
}

// MarshalText implements [encoding.TextMarshaler] with the form of String.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler] for the forms of String.
func (s *Severity) UnmarshalText(text []byte) error {
	for i, name := range severityNames {
		if string(text) == name {
			*s = Severity(i)
			return nil
		}
	}
	return fmt.Errorf("detect: unknown severity %q", text)
}

// Lowered returns the severity n steps lower, but at least Informational for
// one that is not Silent.
func (s Severity) Lowered(n int) Severity {
	if s == Silent {
		return Silent
	}
	return Severity(max(int(s)-n, int(Informational)))
}
