package techniques

import (
	"fmt"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// instanceReconThreshold and the window are Panther's: three calls in 90
// minutes. Stratus Red Team's enumeration from an instance makes nine in
// seconds.
const (
	instanceReconThreshold = 3
	instanceReconWindow    = 90 * time.Minute
)

// instanceRecon counts what the instances of a role ask, allowed or not.
var instanceRecon = baseline.Distinct("instance recon", func(e *event.Event) string {
	if e.Principal.Kind != event.InstanceRole {
		return ""
	}
	return directAPI(e)
}, 16, instanceReconWindow).On(reconCalls...)

func instanceRoleRecon(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "instance-role-recon",
		Doc: "With the credentials of an EC2 instance, three or more of the calls that intruders orient themselves with are made within 90 minutes, none of them a habit of the instance's role. " +
			"Software on an instance asks for what it needs, the same every day; who asks where it is and what else there is has just arrived. " +
			"Higher with a tool that the role does not use. What agents such as Systems Manager's ask is not among the calls.",
		Technique: "T1580",
		Tactic:    detect.Discovery,
		Severity:  detect.Medium,
		Events:    reconCalls,
		Uses:      []baseline.Feature{instanceRecon, reconUsual, networks, tools},
		Needs:     detect.ManagementReads,
		Threshold: c.threshold("instance-role-recon", detect.Threshold{
			Of: "orientation calls within 90 minutes that are no habit of the role", Value: instanceReconThreshold, Min: 2, Max: 16,
		}),
		Learn: learn,
		Cold:  detect.Low,
		Quiet: day,
		Benign: []string{
			"An engineer logged on to the instance and uses its role.",
			"New software on the instance takes an inventory at its start; it becomes habit.",
		},
		Respond: []string{
			"Find out who or what was active on the instance then: sessions, new processes, requests to its applications.",
			"If unexplained, revoke the role's sessions (AWSRevokeOlderSessions), isolate the instance, keep its disk and memory.",
			"Require IMDSv2 with a hop limit of one, so that a forged request does not get the credentials.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		if !p.Require("an instance's credentials were used", e.Principal.Kind == event.InstanceRole) {
			return
		}
		n := reconUsual.In(p)
		if !p.Require("the call is new to the role", n.New) { // whichever new call comes last sees them all
			return
		}
		fresh := instanceRecon.In(p).Except(n)
		if !p.Reaches(fresh.Count) {
			return
		}
		severity, around := unfamiliar(c, p, detect.Medium)
		p.ReportWith(severity, "", func() (string, []detect.Evidence) {
			title := fmt.Sprintf("an instance's credentials make %d orientation calls within 90 minutes", fresh.Count)
			return title, around.evidence(p, detect.Evidence{
				Name:     "orientation calls of the role's instances within 90 minutes that are no habit",
				Observed: fmt.Sprintf("%d: %s; the last from %s", fresh.Count, strings.Join(fresh.Values(), ", "), clip(e.Principal.Session)),
				Expected: fmt.Sprintf("fewer than %d; usual ones: %s", p.Threshold(), habit(n)),
				EventIDs: fresh.EventIDs(),
			})
		})
	})
}
