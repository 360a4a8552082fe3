package techniques

import (
	"fmt"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
)

// canonicalThreshold is our choice: of the eleven calls below, over seven
// services, a workload needs one or two.
const canonicalThreshold = 5

// canonicalCalls are the questions asked first in the reports of real
// intrusions: who am I, who else is there, what runs, what is stored, what is
// secret.
var canonicalCalls = []string{
	"ec2:DescribeInstances",
	"ec2:DescribeSecurityGroups",
	"ec2:DescribeSnapshots",
	"iam:ListAttachedUserPolicies",
	"iam:ListRoles",
	"iam:ListUsers",
	"lambda:ListFunctions",
	"rds:DescribeDBInstances",
	"s3:ListBuckets",
	"secretsmanager:ListSecrets",
	"sts:GetCallerIdentity",
}

// canonicalAsked counts which of them a principal asks, allowed or not.
var canonicalAsked = baseline.Distinct("canonical recon", directAPI, 16, 10*time.Minute).On(canonicalCalls...)

func canonicalReconSet(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "canonical-recon-set",
		Doc: "Within ten minutes a principal makes five of the eleven calls that intruders orient themselves with, and none of the five is its habit: " +
			strings.Join(canonicalCalls, ", ") + ". " +
			"Whatever the tool and whether allowed or not: the set is the signal, not its speed.",
		Technique: "T1580",
		Tactic:    detect.Discovery,
		Severity:  detect.High,
		Events:    canonicalCalls,
		Uses:      []baseline.Feature{canonicalAsked, reconUsual},
		Needs:     detect.ManagementReads,
		Threshold: c.threshold("canonical-recon-set", detect.Threshold{
			Of: "orientation calls within 10 minutes that are no habit", Value: canonicalThreshold, Min: 2, Max: len(canonicalCalls),
		}),
		Learn: learn,
		Cold:  detect.Low,
		Quiet: day,
		Benign: []string{
			"A new inventory job or posture scanner; it becomes habit, or is declared in Config.Scanners.",
			"An administrator tours the console, where the finding is one level lower.",
		},
		Respond: []string{
			"Read the calls in their order, with source address and tool; denied ones among them point to stolen credentials.",
			"Ask the principal's owner; if unexplained, revoke its sessions and keys.",
			"Look for reads of secrets and buckets, and for new users and keys, in the hours after.",
		},
	}, func(p *detect.Pass) {
		n := reconUsual.In(p)
		if !p.Require("the call is new to the principal", n.New) { // whichever new call comes last sees them all
			return
		}
		fresh := canonicalAsked.In(p).Except(n)
		if !p.Reaches(fresh.Count) {
			return
		}
		p.ReportWith(person(p.Event, detect.High), "", func() (string, []detect.Evidence) {
			return fmt.Sprintf("makes %d of the %d calls that intruders begin with within 10 minutes", fresh.Count, len(canonicalCalls)), []detect.Evidence{{
				Name:     "orientation calls within 10 minutes that are no habit",
				Observed: strings.Join(fresh.Values(), ", "),
				Expected: fmt.Sprintf("fewer than %d; usual ones: %s", p.Threshold(), habit(n)),
				EventIDs: fresh.EventIDs(),
			}}
		})
	})
}
