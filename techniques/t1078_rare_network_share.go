package techniques

import (
	"fmt"
	"strings"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// sensitiveActions are the calls that give access, take secrets or data out, or
// blind the logs: what stolen credentials are used for, and what nobody does by
// habit from a place they are hardly ever at. The list is our own.
var sensitiveActions = []string{
	"iam:CreateUser", "iam:CreateAccessKey", "iam:CreateLoginProfile", "iam:UpdateLoginProfile", "iam:CreateRole", "iam:UpdateAssumeRolePolicy",
	"iam:AttachUserPolicy", "iam:AttachRolePolicy", "iam:AttachGroupPolicy", "iam:PutUserPolicy", "iam:PutRolePolicy", "iam:PutGroupPolicy",
	"iam:AddUserToGroup", "iam:CreatePolicyVersion", "iam:SetDefaultPolicyVersion", "iam:DeactivateMFADevice", "iam:GetAccountAuthorizationDetails",
	"sts:GetFederationToken", "sts:AssumeRoot",
	"secretsmanager:GetSecretValue", "secretsmanager:BatchGetSecretValue", "secretsmanager:PutResourcePolicy",
	"ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath", "ssm:SendCommand", "ssm:StartSession",
	"ec2:GetPasswordData", "ec2:CreateKeyPair", "ec2:ImportKeyPair", "ec2:RunInstances", "ec2:AuthorizeSecurityGroupIngress",
	"ec2:ModifyInstanceAttribute", "ec2:CreateSnapshot", "ec2:ModifySnapshotAttribute", "ec2:ModifyImageAttribute", "ec2-instance-connect:SendSSHPublicKey",
	"lambda:CreateFunction", "lambda:UpdateFunctionCode", "lambda:UpdateFunctionConfiguration", "lambda:AddPermission",
	"rds:ModifyDBSnapshotAttribute", "rds:ModifyDBInstance", "rds:StartExportTask",
	"s3:PutBucketPolicy", "s3:PutBucketAcl", "s3:DeleteBucketPublicAccessBlock", "s3:PutBucketReplication",
	"kms:CreateGrant", "kms:PutKeyPolicy", "kms:ScheduleKeyDeletion",
	"cloudtrail:StopLogging", "cloudtrail:DeleteTrail", "cloudtrail:UpdateTrail", "cloudtrail:PutEventSelectors",
	"guardduty:DeleteDetector", "guardduty:UpdateDetector", "config:StopConfigurationRecorder", "config:DeleteConfigurationRecorder",
	"organizations:LeaveOrganization", "organizations:InviteAccountToOrganization",
}

// The traffic that must be known of a principal before a provider's share of it
// means something is Elastic's: 100 events.
const rareTraffic = 100

func rareNetworkShare(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "rare-network-share",
		Doc: "A principal does two or more different sensitive things within a day through a provider that next to none of its traffic comes from: new to it, or used on one of the past 30 days at most. " +
			"Anyone may call from an odd place now and then; whoever also makes keys, reads secrets or stops logging there deserves a look. " +
			"Calls of people weigh less, because people travel, and a tool that is new at the same time adds to it.",
		Technique:   "T1078.004",
		Tactic:      detect.InitialAccess,
		Severity:    detect.Medium,
		Events:      sensitiveActions,
		Uses:        []baseline.Feature{c.places.sensitive, c.places.providers, tools},
		Needs:       detect.ManagementEvents,
		AboutSource: true,
		Hook:        "Config.Locate",
		Threshold: c.threshold("rare-network-share", detect.Threshold{
			// Elastic's number.
			Of: "different sensitive actions through the provider within 24 hours", Value: 2, Min: 1, Max: 3,
		}),
		Learn: learn,
		Quiet: day,
		Benign: []string{
			"An administrator works while travelling, or through a VPN that they seldom use.",
			"A deployment moved to another build service or cloud.",
		},
		Respond: []string{
			"Ask the principal's owner, over another channel, whether they were there.",
			"If not: deactivate the access key or revoke the sessions, then undo what was done from there, beginning with new keys, users and policies.",
			"Rotate every secret that was read from there.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		at := c.locate(e)
		if !p.Require("the source's provider is known", at.ASN != "") ||
			!p.Require("the call succeeded", e.Succeeded()) ||
			p.Excuse("the source is a known network", c.knownSource(e)) {
			return
		}
		n, age := c.places.providers.In(p), c.places.providers.Age(p)
		if !p.Require("other providers are a habit of the principal", n.Known > 1 || n.Known == 1 && !n.Established(at.ASN)) ||
			!p.AtLeast("calls of the principal so far", int(age.Events), rareTraffic) ||
			!p.Require("the provider was used on one of the past 30 days at most", n.Days <= 1) {
			return
		}
		actions := c.places.sensitive.In(p).together()
		if !p.Reaches(len(actions)) {
			return
		}
		severity := detect.Medium
		if e.Principal.Kind == event.SSO {
			severity = detect.Low
		}
		around := circumstances{tool: newTool(p)}
		p.ReportWith(person(e, surprise(n, around.raise(severity))), at.ASN, func() (string, []detect.Evidence) {
			title := fmt.Sprintf("%d sensitive actions from %s, which the principal hardly ever calls from", len(actions), clip(at.ASN))
			if around.tool {
				title += ", with a tool new to it"
			}
			return title, around.evidence(p, detect.Evidence{
				Name:     "sensitive actions through the provider within 24 hours",
				Observed: strings.Join(labelsOf(actions), ", "),
				Expected: fmt.Sprintf("fewer than %d", p.Threshold()),
				EventIDs: eventsOf(actions),
			}, providerEvidence(c, p))
		})
	})
}
