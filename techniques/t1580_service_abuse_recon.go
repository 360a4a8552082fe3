package techniques

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// An abuse is something that stolen credentials are sold for, with the
// questions that tell whether they are good for it.
type abuse struct {
	name  string   // of what is asked about
	aim   string   // what for
	need  int      // different questions that make a finding
	calls []string // the questions
	asked *baseline.Of[baseline.Window]
}

// abuses lists them. Panther wants all four questions about SES of the first
// version of its API; the second version answers two of them at once, so three
// are enough here. One quota is enough for Elastic. The other numbers are ours.
var abuses = []abuse{
	newAbuse("email", "to send mail in the account's name", 3,
		"ses:GetAccount", "ses:GetAccountSendingEnabled", "ses:GetEmailIdentity", "ses:GetIdentityVerificationAttributes",
		"ses:GetSendQuota", "ses:ListEmailIdentities", "ses:ListIdentities"),
	newAbuse("compute quotas", "to mine or to compute at the account's cost", 1,
		"servicequotas:GetServiceQuota"),
	newAbuse("backups", "to destroy them before the data are held to ransom", 2,
		"backup:DescribeBackupVault", "backup:ListBackupVaults", "backup:ListProtectedResources", "backup:ListRecoveryPointsByBackupVault"),
	newAbuse("language models", "to use or resell them at the account's cost", 2,
		"bedrock:GetFoundationModelAvailability", "bedrock:GetModelInvocationLoggingConfiguration", "bedrock:GetUseCaseForModelAccess",
		"bedrock:ListFoundationModelAgreementOffers", "bedrock:ListFoundationModels"),
}

// newAbuse makes an abuse. The window is Panther's: 36 hours.
func newAbuse(name, aim string, need int, calls ...string) abuse {
	return abuse{name, aim, need, calls, baseline.Distinct("question about "+name, abuseQuestion, len(calls), 36*time.Hour).On(calls...)}
}

// abuseCalls are the questions of all abuses, abuseUsual those that are a
// principal's habit.
var (
	abuseCalls = func() []string {
		var calls []string
		for i := range abuses {
			calls = append(calls, abuses[i].calls...)
		}
		return calls
	}()
	abuseUsual = baseline.FirstSeen("service abuse question", abuseQuestion, &baseline.FirstSeenOptions{Cap: 20}).On(abuseCalls...)
)

// computeQuotas are the quotas of EC2 for on-demand and spot instances of the
// standard kinds, and for those with graphics processors.
var computeQuotas = []string{"L-1216C47A", "L-34B43A08", "L-DB2E81BA", "L-3819A6DF", "L-417A185B", "L-7212CCBC"}

func abuseQuestion(e *event.Event) string {
	if !direct(e) || e.Operation == "GetServiceQuota" && !slices.Contains(computeQuotas, e.Request.At("quotaCode").Text()) {
		return ""
	}
	return api(e)
}

// abuseOf returns what a question is asked for.
func abuseOf(question string) *abuse {
	for i := range abuses {
		if slices.Contains(abuses[i].calls, question) {
			return &abuses[i]
		}
	}
	return nil
}

func serviceAbuseRecon(c *Config) detect.Detector {
	uses := []baseline.Feature{abuseUsual, networks, tools}
	for i := range abuses {
		uses = append(uses, abuses[i].asked)
	}
	return detect.New(detect.Info{
		Name: "service-abuse-recon",
		Doc: "Within 36 hours a principal asks what credentials are asked that are to be misused or sold, and does not ask habitually: " +
			"whether they can send mail (three questions to SES), how many instances they can start (a quota of EC2), where the backups are (two to AWS Backup), which language models they can use (two to Bedrock). " +
			"Low for temporary credentials, medium for long-term ones, which is what leaks and is sold; higher from a new network or with a new tool. Refused calls count too.",
		Technique: "T1580",
		Tactic:    detect.Discovery,
		Severity:  detect.Low,
		Events:    abuseCalls,
		Uses:      uses,
		Needs:     detect.ManagementReads,
		Learn:     learn,
		Cold:      detect.Low,
		Quiet:     novelty,
		Benign: []string{
			"Somebody starts to use SES, Bedrock or AWS Backup, or checks a quota before a launch.",
			"Monitoring of quotas and sending limits was introduced; it becomes habit.",
		},
		Respond: []string{
			"Ask the principal's owner; if unexplained, deactivate the key or revoke the sessions.",
			"Look for what such questions lead to: new identities and mail in SES, instances in unused regions, calls of models, deleted recovery points.",
		},
		Mitigations: []string{"Deny services and regions that are not in use with a service control policy."},
	}, func(p *detect.Pass) {
		e := p.Event
		n := abuseUsual.In(p)
		if !p.Require("the question is new to the principal", n.New) { // whichever new question comes last sees them all
			return
		}
		a := abuseOf(n.Value)
		fresh := a.asked.In(p).Except(n)
		if !p.AtLeast("different questions of one kind within 36 hours that are no habit", fresh.Count, a.need) {
			return
		}
		severity := detect.Low
		if longTerm(e) {
			severity = detect.Medium
		}
		severity, around := unfamiliar(c, p, severity)
		p.ReportWith(severity, a.name, func() (string, []detect.Evidence) {
			return "asks about " + a.name + ", as if " + a.aim, around.evidence(p, detect.Evidence{
				Name:     "questions about " + a.name + " within 36 hours that are no habit",
				Observed: fmt.Sprintf("%s; the last %s", strings.Join(fresh.Values(), ", "), outcome(e)),
				Expected: fmt.Sprintf("fewer than %d; usual ones: %s", a.need, habit(n)),
				EventIDs: fresh.EventIDs(),
			})
		})
	})
}
