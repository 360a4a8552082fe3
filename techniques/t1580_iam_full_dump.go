package techniques

import (
	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// iamDumps remembers which answers about the whole of IAM a principal asks for.
var iamDumps = baseline.FirstSeen("iam dump", iamDump, &baseline.FirstSeenOptions{Cap: 4}).On(iamDumpCalls...)

var iamDumpCalls = []string{
	"iam:GenerateCredentialReport", "iam:GetAccountAuthorizationDetails", "iam:GetCredentialReport", "iam:SimulatePrincipalPolicy",
}

func iamDump(e *event.Event) string {
	if !direct(e) {
		return ""
	}
	switch e.Operation {
	case "GetAccountAuthorizationDetails":
		return "all users, roles and policies"
	case "GenerateCredentialReport", "GetCredentialReport": // one is of no use without the other
		return "the credential report"
	case "SimulatePrincipalPolicy":
		return "what a principal may do"
	}
	return ""
}

// asksAboutItself reports whether a principal simulates its own policies.
func asksAboutItself(e *event.Event) bool {
	about := e.Request.At("policySourceArn").Text()
	return about != "" && (about == e.Identity.IssuerARN || about == e.Identity.ARN)
}

func iamFullDump(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "iam-full-dump",
		Doc: "A principal asks for the first time for an answer that holds the whole of IAM: all users, roles and policies, the report about all credentials, or what a principal may do. " +
			"That is what one needs to find a way to more rights, and enumeration tools ask it first. " +
			"Lower in the console and for a principal that simulates its own rights, higher from a new network or with a new tool. Refused calls count too.",
		Technique: "T1580",
		Tactic:    detect.Discovery,
		Severity:  detect.Medium,
		Events:    iamDumpCalls,
		Uses:      []baseline.Feature{iamDumps, networks, tools},
		Needs:     detect.ManagementReads,
		Learn:     learn,
		Cold:      detect.Low,
		Quiet:     novelty,
		Benign: []string{
			"A posture scanner, an access review or an audit was introduced; it becomes habit, or is declared in Config.Scanners.",
			"An installer checks its own rights before it starts.",
			"An administrator downloads the credential report.",
		},
		Respond: []string{
			"Ask the principal's owner; if unexplained, revoke the principal's sessions and keys.",
			"Look at roles that anyone in the account may assume or pass: the caller knows them now.",
			"Look for new keys, users, policies and trust relationships in the hours after.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		n := iamDumps.In(p)
		if !p.Require("such a question is new to the principal", n.New) {
			return
		}
		severity := detect.Medium
		if asksAboutItself(e) {
			severity = detect.Low
		}
		severity, around := unfamiliar(c, p, severity)
		p.ReportWith(severity, subjectOf(iamDumps.Age(p), n.Value), func() (string, []detect.Evidence) {
			return "asks for " + n.Value + " " + firstTime(n) + ": " + e.Operation, around.evidence(p, detect.Evidence{
				Name:     "questions about the whole of IAM",
				Observed: api(e) + ", " + outcome(e),
				Expected: "what is usual: " + habit(n),
			})
		})
	})
}
