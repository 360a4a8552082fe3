package techniques

import (
	"fmt"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// userdataBulkThreshold is Panther's: 10 instances in 24 hours. Stratus Red
// Team's attack reads 15.
const userdataBulkThreshold = 10

// userdataInstances collects the instances whose user data a principal asked
// for, allowed or not. It has room for some that are its habit, too.
var userdataInstances = baseline.Distinct("userdata instance", func(e *event.Event) string {
	if !direct(e) || !attempted(e) {
		return ""
	}
	return userdataInstance(e)
}, 64, day).On("ec2:DescribeInstanceAttribute")

// launchedInstances remembers the instances that a principal launched, user
// data included. For many instances at once nothing less is an explanation:
// someone's job may be to start and stop all of them.
var launchedInstances = newOwnership("instance launched", managedInstances, "ec2:RunInstances")

func userdataBulk(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "userdata-bulk",
		Doc: "A principal asks for the user data of ten or more instances within a day that it neither launched nor reads regularly. " +
			"User data often holds bootstrap secrets; one caller rarely needs that of many instances. Denied calls count too.",
		Technique: "T1552.005",
		Tactic:    detect.CredentialAccess,
		Severity:  detect.High,
		Events:    []string{"ec2:DescribeInstanceAttribute"},
		Uses:      []baseline.Feature{userdataInstances, userdataReads, launchedInstances.earlier, launchedInstances.today},
		Needs:     detect.ManagementReads,
		Threshold: c.threshold("userdata-bulk", detect.Threshold{
			Of: "instances within 24 hours, neither launched by the principal nor read regularly", Value: userdataBulkThreshold, Min: 2, Max: 64,
		}),
		Quiet: 24 * time.Hour,
		Benign: []string{
			"A posture scanner reads every instance's configuration; declare it in Config.Scanners.",
			"Terraform took over instances that others had launched, and refreshes them for the first time.",
		},
		Respond: []string{
			"Ask the principal's owner; if unexplained, revoke the principal's sessions and keys.",
			"Rotate every secret in the user data of the instances listed.",
		},
	}, func(p *detect.Pass) {
		if !p.Require("user data was read or denied", attempted(p.Event) && userdataInstance(p.Event) != "") {
			return
		}
		reads := userdataReads.In(p)
		instances := launchedInstances.unusual(p, userdataInstances.In(p), reads)
		if !p.Reaches(instances.Count) {
			return
		}
		severity := launchedInstances.weighBurst(p, instances, reads, detect.High)
		p.ReportWith(severity, "", func() (string, []detect.Evidence) {
			return fmt.Sprintf("user data of %d instances requested within 24 hours", instances.Count), []detect.Evidence{{
				Name:     "instances whose user data was requested within 24 hours, without a habit of it",
				Observed: fmt.Sprintf("%d: %s", instances.Count, strings.Join(instances.Values(), ", ")),
				Expected: fmt.Sprintf("fewer than %d; %s", p.Threshold(), usualReads(reads, userdataReads.Age(p))),
				EventIDs: instances.EventIDs(),
			}}
		})
	})
}
