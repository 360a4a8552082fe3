package techniques

import (
	"fmt"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

const (
	// regionsThreshold is Elastic's: ten regions.
	regionsThreshold = 10
	// regionsWindow is ours. Elastic takes 30 seconds, which a tool that asks
	// several questions in each region before the next one exceeds; five minutes
	// are still too short for somebody who works in ten regions.
	regionsWindow = 5 * time.Minute
)

// discoveredRegions counts the regions that a principal looks around in,
// whatever it asks there. Global services log in one region and count once.
var discoveredRegions = baseline.Distinct("discovered region", discoveredRegion, 24, regionsWindow)

// regionSweeps remembers on which days it looked around in many.
var regionSweeps = bursts("discovered region", discoveredRegion, regionsThreshold/2, regionsWindow)

func discoveredRegion(e *event.Event) string {
	if !discovery(e) {
		return ""
	}
	return e.Region
}

func multiRegionSweep(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "multi-region-sweep",
		Doc: "A principal lists or describes things in ten or more regions within five minutes, and does not do so habitually. " +
			"Workloads and people use one or two regions; who does not know where an account keeps its things asks everywhere. " +
			"Refused calls count too. Higher from a new network or with a new tool; two levels lower in the console, where one page asks all regions.",
		Technique:  "T1580",
		Tactic:     detect.Discovery,
		Severity:   detect.Medium,
		Conditions: []*detect.Condition{question},
		Uses:       []baseline.Feature{discoveredRegions, regionSweeps, networks, tools},
		Needs:      detect.ManagementReads,
		Threshold: c.threshold("multi-region-sweep", detect.Threshold{
			Of: "regions looked at within 5 minutes", Value: regionsThreshold, Min: 3, Max: 24,
		}),
		Learn: learn,
		Cold:  detect.Low,
		Quiet: day,
		Benign: []string{
			"An inventory, cost or posture tool covers all regions; it becomes habit after three days, or is declared in Config.Scanners.",
			"Somebody searches for forgotten resources, or opens EC2 Global View in the console.",
		},
		Respond: []string{
			"See what was asked in the regions and with which tool; a region that is not in use is asked about only by who does not know that.",
			"Ask the principal's owner; if unexplained, revoke its sessions and keys.",
			"Look for instances started in unused regions in the hours after.",
		},
		Mitigations: []string{"Deny unused regions with a service control policy on aws:RequestedRegion."},
	}, func(p *detect.Pass) {
		w := discoveredRegions.In(p)
		if !p.Reaches(w.Count) {
			return
		}
		past := regionSweeps.In(p)
		if p.Excuse("such sweeps are a habit of the principal", past.Normal) {
			return
		}
		severity, around := unfamiliar(c, p, detect.Medium)
		if p.Event.Console { // one page is one click
			severity = severity.Lowered(1)
		}
		p.ReportWith(severity, "", func() (string, []detect.Evidence) {
			return fmt.Sprintf("looks around in %d regions within 5 minutes", w.Count), around.evidence(p, detect.Evidence{
				Name:     "regions looked at within 5 minutes",
				Observed: fmt.Sprintf("%d: %s; the last call is %s", w.Count, strings.Join(w.Values(), ", "), api(p.Event)),
				Expected: fmt.Sprintf("fewer than %d; sweeps on %d of the last 30 days", p.Threshold(), past.Days),
				EventIDs: w.EventIDs(),
			})
		})
	})
}
