package output

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/detect"
)

// An OCSFVersion is a version of the OCSF schema.
type OCSFVersion string

// The versions of the schema that findings are written in. Tests hold 1.1.0 to the
// schema as it is published, 1.6.0 to a table that was written down from it.
const (
	OCSF11 OCSFVersion = "1.1.0" // what Security Lake's AWS sources speak
	OCSF16 OCSFVersion = "1.6.0" // what Security Hub speaks
)

// The class Detection Finding, its category and what happened to the finding.
const (
	ocsfFindings         = 2
	ocsfDetectionFinding = 2004
	ocsfCreate           = 1
	ocsfUpdate           = 2
)

type ocsfFinding struct {
	ActivityID   int             `json:"activity_id"`
	ActivityName string          `json:"activity_name"`
	CategoryUID  int             `json:"category_uid"`
	CategoryName string          `json:"category_name"`
	ClassUID     int             `json:"class_uid"`
	ClassName    string          `json:"class_name"`
	TypeUID      int64           `json:"type_uid"`
	TypeName     string          `json:"type_name"`
	SeverityID   int             `json:"severity_id"`
	Severity     string          `json:"severity"`
	StatusID     int             `json:"status_id"`
	Status       string          `json:"status"`
	StatusDetail string          `json:"status_detail,omitempty"`
	Time         int64           `json:"time"`
	StartTime    int64           `json:"start_time"`
	EndTime      int64           `json:"end_time"`
	Count        int             `json:"count"`
	IsAlert      bool            `json:"is_alert,omitempty"` // since 1.4.0
	Message      string          `json:"message"`
	Metadata     ocsfMetadata    `json:"metadata"`
	Cloud        ocsfCloud       `json:"cloud"`
	Info         ocsfInfo        `json:"finding_info"`
	Evidences    []ocsfEvidence  `json:"evidences"`
	Resources    []ocsfResource  `json:"resources,omitempty"`
	Anomalies    []ocsfAnalysis  `json:"anomaly_analyses,omitempty"` // since 1.5.0
	Remediation  *ocsfDescribing `json:"remediation,omitempty"`
	Unmapped     carried         `json:"unmapped"`
}

type ocsfMetadata struct {
	Version  OCSFVersion `json:"version"`
	Product  ocsfProduct `json:"product"`
	Profiles []string    `json:"profiles"`
	Code     string      `json:"event_code"`
	UID      string      `json:"uid"`
}

type ocsfProduct struct {
	Name   string `json:"name"`
	Vendor string `json:"vendor_name"`
}

type ocsfCloud struct {
	Provider string       `json:"provider"`
	Account  *ocsfAccount `json:"account,omitempty"`
	Region   string       `json:"region,omitempty"`
}

type ocsfAccount struct {
	UID string `json:"uid"`
}

type ocsfInfo struct {
	UID      string        `json:"uid"`
	Title    string        `json:"title"`
	Desc     string        `json:"desc,omitempty"`
	Created  int64         `json:"created_time"`
	Modified int64         `json:"modified_time,omitempty"`
	First    int64         `json:"first_seen_time"`
	Last     int64         `json:"last_seen_time"`
	Analytic ocsfAnalytic  `json:"analytic"`
	Attacks  []ocsfAttack  `json:"attacks,omitempty"`
	Related  []ocsfRelated `json:"related_events,omitempty"`
}

type ocsfAnalytic struct {
	UID    string `json:"uid"`
	Name   string `json:"name"`
	TypeID int    `json:"type_id"`
	Type   string `json:"type"`
}

type ocsfAttack struct {
	Tactic       *ocsfNamed `json:"tactic,omitempty"`
	Technique    *ocsfNamed `json:"technique,omitempty"`
	SubTechnique *ocsfNamed `json:"sub_technique,omitempty"`
	Version      string     `json:"version"`
}

type ocsfNamed struct {
	UID  string `json:"uid"`
	Name string `json:"name,omitempty"`
	URL  string `json:"src_url,omitempty"`
}

type ocsfRelated struct {
	UID  string `json:"uid"`
	Type string `json:"type"`
}

type ocsfEvidence struct {
	Name     string        `json:"name,omitempty"` // since 1.6.0
	Actor    *ocsfActor    `json:"actor,omitempty"`
	Endpoint *ocsfEndpoint `json:"src_endpoint,omitempty"`
	Request  *ocsfRequest  `json:"http_request,omitempty"` // since 1.2.0
	Data     any           `json:"data"`
}

type ocsfActor struct {
	User    ocsfUser     `json:"user"`
	Session *ocsfSession `json:"session,omitempty"`
}

type ocsfUser struct {
	UID        string       `json:"uid"`
	Name       string       `json:"name,omitempty"`
	Credential string       `json:"credential_uid,omitempty"`
	Account    *ocsfAccount `json:"account,omitempty"`
}

type ocsfSession struct {
	UID string `json:"uid"`
}

type ocsfEndpoint struct {
	IP      string `json:"ip,omitempty"`
	Service string `json:"svc_name,omitempty"`
}

type ocsfRequest struct {
	UserAgent string `json:"user_agent"`
}

type ocsfResource struct {
	Name   string `json:"name"`
	Region string `json:"region,omitempty"`
}

type ocsfAnalysis struct {
	Targets   []ocsfTarget    `json:"analysis_targets"`
	Anomalies []ocsfParameter `json:"anomalies"`
	Baselines []ocsfParameter `json:"baselines"`
}

type ocsfTarget struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

type ocsfParameter struct {
	Parameter    string            `json:"observation_parameter"`
	Observations []ocsfObservation `json:"observations"`
}

type ocsfObservation struct {
	Value string `json:"value"`
}

type ocsfDescribing struct {
	Desc string `json:"desc"`
}

// OCSF returns the finding as an event of the OCSF class Detection Finding
// (2004) with the profile cloud, as one line of JSON. A finding's first report
// is its creation, a later revision an update. The evidence is in evidences, the
// events in finding_info.related_events, what was learnt about the principal in
// anomaly_analyses where the version has it, and everything in unmapped.cloudtell.
//
// The error is about a version that is not known, or of [encoding/json].
func OCSF(f *detect.Finding, o *Options) ([]byte, error) {
	d := o.orDefault(f)
	if d.OCSF != OCSF11 && d.OCSF != OCSF16 {
		return nil, fmt.Errorf("output: OCSF version %q: it is %s or %s", d.OCSF, OCSF16, OCSF11)
	}
	v := ocsfFinding{
		ActivityID: ocsfCreate, ActivityName: "Create",
		CategoryUID: ocsfFindings, CategoryName: "Findings",
		ClassUID: ocsfDetectionFinding, ClassName: "Detection Finding",
		StatusID: 1, Status: "New",
		Time: d.Time.UnixMilli(), StartTime: firstOf(f).UnixMilli(), EndTime: lastOf(f).UnixMilli(), Count: f.Revision + 1,
		Message: f.Title,
		Metadata: ocsfMetadata{
			Version: d.OCSF, Product: ocsfProduct{"cloudtell", "cloudtell"}, Profiles: []string{"cloud"}, Code: f.Rule,
			UID: fmt.Sprintf("%s/%d", f.ID, f.Revision),
		},
		Cloud: ocsfCloud{Provider: "AWS", Account: ocsfAccountOf(f.AccountID), Region: f.Region},
		Info: ocsfInfo{
			UID: f.ID, Title: f.Title, Desc: details(f), Created: f.Time.UnixMilli(),
			First: firstOf(f).UnixMilli(), Last: lastOf(f).UnixMilli(),
			Analytic: ocsfAnalytic{UID: f.Rule, Name: f.Rule, TypeID: 1, Type: "Rule"},
			Attacks:  ocsfAttacks(f),
		},
		Unmapped: carry(f),
	}
	if f.Revision > 0 {
		v.ActivityID, v.ActivityName, v.Info.Modified = ocsfUpdate, "Update", d.Time.UnixMilli()
	}
	v.TypeUID, v.TypeName = int64(v.ClassUID*100+v.ActivityID), v.ClassName+": "+v.ActivityName
	v.SeverityID, v.Severity = ocsfSeverity(f.Severity)
	if f.Suppressed != "" {
		v.StatusID, v.Status, v.StatusDetail = 3, "Suppressed", f.Suppressed
	}
	if !f.Learned.Since.IsZero() {
		v.Info.Analytic.TypeID, v.Info.Analytic.Type = 2, "Behavioral"
	}
	for _, id := range eventIDs(f) {
		v.Info.Related = append(v.Info.Related, ocsfRelated{id, "AWS event"})
	}
	v.Evidences = ocsfEvidences(f, d.OCSF)
	if f.Subject != "" {
		v.Resources = []ocsfResource{{Name: f.Subject}}
		if d.OCSF != OCSF11 {
			v.Resources[0].Region = f.Region
		}
	}
	if len(f.Respond) > 0 {
		v.Remediation = &ocsfDescribing{strings.Join(f.Respond, "\n")}
	}
	if d.OCSF != OCSF11 {
		v.IsAlert = f.Severity >= detect.Low && f.Suppressed == ""
		v.Anomalies = ocsfAnalyses(f)
	}
	return json.Marshal(v)
}

// ocsfSeverity returns a severity as OCSF numbers and names it.
func ocsfSeverity(s detect.Severity) (int, string) {
	names := [...]string{"Unknown", "Informational", "Low", "Medium", "High", "Critical"}
	if int(s) >= len(names) {
		return 99, "Other"
	}
	return int(s), names[s]
}

func ocsfAccountOf(id string) *ocsfAccount {
	if id == "" {
		return nil
	}
	return &ocsfAccount{id}
}

// ocsfAttacks names tactic and technique by their ids, with the version of
// ATT&CK that the names are from.
func ocsfAttacks(f *detect.Finding) []ocsfAttack {
	if f.Technique == "" && f.Tactic == "" {
		return nil
	}
	a := ocsfAttack{Version: detect.ATTACKVersion}
	if f.Tactic != "" {
		a.Tactic = &ocsfNamed{UID: string(f.Tactic), Name: f.Tactic.Name()}
	}
	if parent := f.Technique.Parent(); parent != "" {
		a.Technique = &ocsfNamed{UID: string(parent), Name: parent.Name(), URL: parent.URL()}
		if parent != f.Technique {
			a.SubTechnique = &ocsfNamed{UID: string(f.Technique), Name: subName(f.Technique), URL: f.Technique.URL()}
		}
	}
	return []ocsfAttack{a}
}

func ocsfEvidences(f *detect.Finding, version OCSFVersion) []ocsfEvidence {
	common := ocsfEvidence{Actor: &ocsfActor{User: ocsfUser{
		UID: f.Principal, Name: f.PrincipalName, Credential: f.AccessKeyID, Account: ocsfAccountOf(f.AccountID),
	}}}
	if f.Session != "" {
		common.Actor.Session = &ocsfSession{f.Session}
	}
	if ip, err := netip.ParseAddr(f.SourceAddress); err == nil {
		common.Endpoint = &ocsfEndpoint{IP: ip.Unmap().String()}
	} else if f.SourceAddress != "" {
		common.Endpoint = &ocsfEndpoint{Service: f.SourceAddress}
	}
	if version != OCSF11 && f.UserAgent != "" {
		common.Request = &ocsfRequest{f.UserAgent}
	}
	if len(f.Evidence) == 0 {
		common.Data = map[string]string{"user_agent": f.UserAgent}
		return []ocsfEvidence{common}
	}
	var list []ocsfEvidence
	for i := range f.Evidence {
		e := common
		e.Data = &f.Evidence[i]
		if version != OCSF11 {
			e.Name = f.Evidence[i].Name
		}
		list = append(list, e)
	}
	return list
}

// ocsfAnalyses sets what was observed against what was learnt to be normal.
func ocsfAnalyses(f *detect.Finding) []ocsfAnalysis {
	if f.Learned.Since.IsZero() {
		return nil
	}
	a := ocsfAnalysis{Targets: []ocsfTarget{{Name: f.Key, Type: f.Scope}}}
	for _, e := range f.Evidence {
		if e.Expected == "" {
			continue
		}
		a.Anomalies = append(a.Anomalies, ocsfParameter{e.Name, []ocsfObservation{{e.Observed}}})
		a.Baselines = append(a.Baselines, ocsfParameter{e.Name, []ocsfObservation{{e.Expected}}})
	}
	if len(a.Anomalies) == 0 {
		return nil
	}
	a.Baselines = append(a.Baselines, ocsfParameter{"learning from " + f.Learned.Since.UTC().Format(time.DateOnly), []ocsfObservation{{f.Learned.String()}}})
	return []ocsfAnalysis{a}
}

// eventIDs lists the events of the finding and its evidence, each once.
func eventIDs(f *detect.Finding) []string {
	var ids []string
	seen := make(map[string]bool)
	add := func(list []string) {
		for _, id := range list {
			if !seen[id] {
				seen[id] = true
				ids = append(ids, id)
			}
		}
	}
	add(f.EventIDs)
	for i := range f.Evidence {
		add(f.Evidence[i].EventIDs)
	}
	return ids
}
