package techniques

import (
	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// regionsUsed remembers the regions that a principal works in. AWS has some 35.
var regionsUsed = baseline.FirstSeen("region", regionUsed, &baseline.FirstSeenOptions{Cap: 32})

// regionUsed returns the region that a principal chose to make a management
// call in; "" for calls that no region was chosen for, or that failed for
// other reasons than a lack of rights.
func regionUsed(e *event.Event) string { return regionUsedOf.Of(e) }

var regionUsedOf = event.Derive(func(e *event.Event) string {
	if e.Category != event.Management || !direct(e) || !attempted(e) || regionless(e) {
		return ""
	}
	return e.Region
})

// regionless reports whether no region was chosen for a call. Global services
// log in one, us-east-1 or us-west-2, whatever the caller's; so does STS, unless
// its regional endpoints are used. A sign-in is logged where the browser was
// sent, and listing buckets lists those of all regions.
func regionless(e *event.Event) bool {
	switch e.Service() {
	case "account", "billing", "billingconsole", "budgets", "ce", "cloudfront", "consolidatedbilling", "cur", "freetier",
		"globalaccelerator", "health", "iam", "invoicing", "networkmanager", "organizations", "payments", "pricing",
		"route53", "route53domains", "savingsplans", "shield", "signin", "sso", "sso-directory", "sts",
		"support", "supportplans", "tax", "trustedadvisor", "waf":
		return true
	case "s3":
		return e.Bucket() == ""
	}
	return false
}

// starts reports whether a call starts something that computes, or a fleet of
// it: what stolen credentials are most often used for in a region that nobody
// looks at.
func starts(e *event.Event) bool {
	switch api(e) {
	case "autoscaling:CreateAutoScalingGroup",
		"batch:CreateComputeEnvironment", "batch:SubmitJob",
		"codebuild:StartBuild",
		"ec2:CreateFleet", "ec2:RequestSpotFleet", "ec2:RequestSpotInstances", "ec2:RunInstances", "ec2:StartInstances",
		"ecs:CreateCluster", "ecs:CreateService", "ecs:RunTask",
		"eks:CreateCluster", "eks:CreateNodegroup",
		"elasticmapreduce:RunJobFlow",
		"gamelift:CreateFleet",
		"glue:CreateDevEndpoint", "glue:StartJobRun",
		"lambda:CreateFunction",
		"lightsail:CreateInstances",
		"sagemaker:CreateEndpoint", "sagemaker:CreateNotebookInstance", "sagemaker:CreateProcessingJob", "sagemaker:CreateTrainingJob":
		return true
	}
	return false
}

func unusedRegion(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "unused-region",
		Doc: "A principal works in a region that it does not work in otherwise. " +
			"Thieves of credentials start machines where nobody looks. " +
			"Informational for reading, which consoles and scanners do everywhere, low for other calls, medium for those that start machines, containers or functions, refused or not; a network that is new, too, raises it. " +
			"Services without a region are left out, and so is S3's list of buckets.",
		Technique:  "T1078.004",
		Tactic:     detect.InitialAccess,
		Severity:   detect.Medium,
		Conditions: []*detect.Condition{{Text: "a management call was made in a region that the caller chose", Is: func(e *event.Event) bool { return regionUsed(e) != "" }}},
		Uses:       []baseline.Feature{regionsUsed, networks},
		Needs:      detect.ManagementEvents,
		Learn:      learn,
		Quiet:      novelty,
		Benign: []string{
			"The organisation opens another region, or a recovery site is tested.",
			"Somebody chose the wrong region in the console or in a profile.",
		},
		Respond: []string{
			"Ask the principal's owner whether the region is theirs.",
			"If not: look at what runs there, in every service that costs money, stop it, and deactivate the key or revoke the sessions.",
			"Deny the regions that nobody needs, with a service control policy on aws:RequestedRegion.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		n := regionsUsed.In(p)
		if !p.Require("the region is new to the principal", n.New) {
			return
		}
		severity, subject, verb := detect.Low, n.Value, "changed something"
		switch {
		case starts(e):
			severity, verb = detect.Medium, "started something that computes"
		case e.ReadOnly:
			// One finding for all that a page or a tool asks everywhere.
			severity, subject, verb = detect.Informational, "", "looked around"
		}
		if e.Denied() {
			verb = "was refused a call"
		}
		around := circumstances{network: newNetwork(c, p)}
		p.ReportWith(person(e, surprise(n, around.raise(severity))), subject, func() (string, []detect.Evidence) {
			return verb + " in " + n.Value + ", a region new to the principal", around.evidence(p, detect.Evidence{
				Name:     "region of a management call",
				Observed: n.Value + ": " + api(e) + ", " + outcome(e),
				Expected: habit(n),
			})
		})
	})
}
