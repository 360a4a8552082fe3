package techniques

import (
	"fmt"
	"slices"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// rareCallDays is how many of the past 30 days a principal must have been
// active for its habits to be long ones. Our own.
const rareCallDays = 10

// rareCallServices is how many services a principal is remembered to use;
// whoever uses more than half of that uses anything.
const rareCallServices = 32

// rareCalls are the calls worth a note in a service that a principal never
// used: those that intruders act with, and those that blind the defence, bring
// up machines, send mail, spend money or give an account away.
var rareCalls = slices.Concat(actingCalls, []string{
	"account:PutAlternateContact",
	"bedrock:InvokeModel",
	"cloudformation:CreateStack",
	"cloudtrail:DeleteTrail",
	"cloudtrail:PutEventSelectors",
	"cloudtrail:StopLogging",
	"cloudtrail:UpdateTrail",
	"codebuild:CreateProject",
	"config:StopConfigurationRecorder",
	"ec2:AuthorizeSecurityGroupIngress",
	"ec2:CreateKeyPair",
	"ec2:ImportKeyPair",
	"ec2:RunInstances",
	"ecr:GetAuthorizationToken",
	"ecs:RegisterTaskDefinition",
	"glue:CreateDevEndpoint",
	"guardduty:DeleteDetector",
	"guardduty:UpdateDetector",
	"iam:CreateRole",
	"kms:CreateGrant",
	"kms:PutKeyPolicy",
	"kms:ScheduleKeyDeletion",
	"lambda:CreateFunction",
	"lightsail:CreateInstances",
	"organizations:LeaveOrganization",
	"rds:CreateDBSnapshot",
	"route53domains:TransferDomainToAnotherAwsAccount",
	"s3:DeleteBucket",
	"s3:PutBucketLifecycle",
	"s3:PutBucketVersioning",
	"sagemaker:CreatePresignedNotebookInstanceUrl",
	"servicequotas:RequestServiceQuotaIncrease",
	"ses:VerifyEmailIdentity",
	"sso:CreateAccountAssignment",
	"support:CreateCase",
	"transfer:CreateUser",
})

// servicesUsed remembers the services whose management calls a principal
// makes, allowed or not.
var servicesUsed = baseline.FirstSeen("service used", func(e *event.Event) string {
	if e.Category != event.Management || !direct(e) || !attempted(e) {
		return ""
	}
	return service(e)
}, &baseline.FirstSeenOptions{Cap: rareCallServices})

func rareCall(*Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "rare-call",
		Doc: "A principal of long and steady habits uses a service that it never used, and makes a call there that intruders are fond of. " +
			"Informational, because new tasks begin like this too: it adds weight to what else is found about the principal. Refused calls count. " +
			"A principal that takes up services now and then, or uses very many, is left alone.",
		Technique: "T1580",
		Tactic:    detect.Discovery,
		Severity:  detect.Informational,
		Events:    rareCalls,
		Uses:      []baseline.Feature{servicesUsed},
		Needs:     detect.ManagementEvents,
		Learn:     learn,
		LearnDays: rareCallDays,
		Quiet:     novelty,
		Benign: []string{
			"A new version of a job uses a service more.",
			"Someone is given a new task.",
		},
		Respond: []string{
			"See what else is found about the principal these days, and whether source address and tool are its usual ones.",
			"Alone, ask the principal's owner when there is time.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		if !p.Require("the call succeeded or was denied", attempted(e)) {
			return
		}
		n := servicesUsed.In(p)
		if !p.Require("the principal did not use the service", n.New) ||
			!p.Require("new services are seldom for the principal", steady(n)) ||
			p.Excuse("the principal uses very many services", n.Known > rareCallServices/2) {
			return
		}
		p.ReportWith(detect.Informational, n.Value, func() (string, []detect.Evidence) {
			return fmt.Sprintf("uses %s %s: %s", n.Value, firstTime(n), e.Operation), []detect.Evidence{{
				Name:     "service used by the principal",
				Observed: fmt.Sprintf("%s, by %s from %s, %s", n.Value, e.Operation, source(e), outcome(e)),
				Expected: habit(n),
			}}
		})
	})
}
