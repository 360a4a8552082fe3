package techniques

import (
	"fmt"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// passwordDataThreshold is between Splunk's, more than 10 instances in 5
// minutes, and Panther's, 30 calls in an hour. Stratus Red Team's attack makes
// 30 calls.
const passwordDataThreshold = 10

var (
	// passwordInstances collects the instances whose administrator password a
	// principal asked for, allowed or not.
	passwordInstances = baseline.Distinct("password data instance", passwordInstance, 32, time.Hour).On("ec2:GetPasswordData")
	// passwordBursts remembers on which days they were many.
	passwordBursts = bursts("password data instance", passwordInstance, passwordDataThreshold/2, time.Hour).On("ec2:GetPasswordData")
)

func passwordInstance(e *event.Event) string {
	if !direct(e) || !attempted(e) {
		return ""
	}
	return e.Request.At("instanceId").Text()
}

func getPasswordData(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "get-password-data",
		Doc: "A principal asks for the administrator passwords of ten or more Windows instances within an hour, which it did not launch itself, and is not used to that. " +
			"They are encrypted with the key pair of the launch; who asks for many is trying out keys. Denied calls count too.",
		Technique: "T1552",
		Tactic:    detect.CredentialAccess,
		Severity:  detect.High,
		Events:    []string{"ec2:GetPasswordData"},
		Uses:      []baseline.Feature{passwordInstances, passwordBursts, launchedInstances.earlier, launchedInstances.today},
		Needs:     detect.ManagementReads,
		Threshold: c.threshold("get-password-data", detect.Threshold{
			Of: "Windows instances within an hour, launched by others", Value: passwordDataThreshold, Min: 2, Max: 32,
		}),
		Quiet: 24 * time.Hour,
		Benign: []string{
			"An automation fetches the passwords of Windows instances that another one launches; after three such days over a week, it is normal.",
		},
		Respond: []string{
			"Ask the principal's owner; if unexplained, revoke the principal's sessions and keys.",
			"Change the administrator password of the instances listed, and look for sign-ins to them.",
		},
	}, func(p *detect.Pass) {
		if !p.Require("a password was got or denied", attempted(p.Event)) {
			return
		}
		instances := launchedInstances.unusual(p, passwordInstances.In(p), baseline.Novelty{})
		if !p.Reaches(instances.Count) {
			return
		}
		past := passwordBursts.In(p)
		if p.Excuse("half as many instances within an hour are a habit", past.Normal) {
			return
		}
		severity := launchedInstances.weighBurst(p, instances, baseline.Novelty{}, detect.High)
		p.ReportWith(severity, "", func() (string, []detect.Evidence) {
			return fmt.Sprintf("administrator passwords of %d instances requested within an hour", instances.Count), []detect.Evidence{{
				Name:     "instances, launched by others, whose administrator password was requested within an hour",
				Observed: fmt.Sprintf("%d: %s", instances.Count, strings.Join(instances.Values(), ", ")),
				Expected: fmt.Sprintf("fewer than %d; half as many on %d of the last 30 days", p.Threshold(), past.Days),
				EventIDs: instances.EventIDs(),
			}}
		})
	})
}
