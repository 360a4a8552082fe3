package techniques

import (
	"fmt"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// newServicesThreshold is measured: an intruder's ten minutes show 6 services,
// Stratus Red Team's enumeration from an instance 6. Consoles and Terraform
// show 9 to 18, but the same ones every time.
const newServicesThreshold = 4

// discoveredServices counts the services that a principal looks around in.
var discoveredServices = baseline.Distinct("discovered service", discoveredService, 8*newServicesThreshold, 10*time.Minute)

// usualServices remembers them.
var usualServices = baseline.FirstSeen("discovered service", discoveredService, &baseline.FirstSeenOptions{Cap: 128})

func discoveredService(e *event.Event) string {
	if !discovery(e) {
		return ""
	}
	return service(e)
}

func newServicesBurst(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "new-services-burst",
		Doc: "Within ten minutes a principal lists or describes things in four or more services that it does not look at otherwise. " +
			"An intruder with new credentials looks everywhere to learn what they are good for. " +
			"Scanners, consoles and infrastructure tools ask as many services, but always the same, which the principal's baseline knows.",
		Technique:  "T1580",
		Tactic:     detect.Discovery,
		Severity:   detect.High,
		Conditions: []*detect.Condition{question},
		Uses:       []baseline.Feature{discoveredServices, usualServices},
		Needs:      detect.ManagementReads,
		Threshold: c.threshold("new-services-burst", detect.Threshold{
			Of: "services looked at within 10 minutes that are no habit", Value: newServicesThreshold, Min: 2, Max: 8 * newServicesThreshold,
		}),
		Learn: learn,
		Cold:  detect.Informational,
		Quiet: day,
		Benign: []string{
			"An administrator looks into an incident or tours the console.",
			"A posture scanner or an infrastructure tool starts to cover more services.",
		},
		Respond: []string{
			"Read the calls in their order, to tell someone who learns what exists from a page that loads.",
			"Ask the principal's owner; if unexplained, revoke its sessions and keys.",
			"Look for what often comes next: new keys and users, reads of secrets and buckets, instances in other regions.",
		},
	}, func(p *detect.Pass) {
		n := usualServices.In(p)
		if !p.Require("the service is new to the principal", n.New) { // whichever new service comes last sees them all
			return
		}
		fresh := discoveredServices.In(p).Except(n)
		if !p.Reaches(fresh.Count) {
			return
		}
		p.ReportWith(person(p.Event, surprise(n, detect.High)), "", func() (string, []detect.Evidence) {
			return fmt.Sprintf("looks around in %d services new to the principal within 10 minutes", fresh.Count), []detect.Evidence{{
				Name:     "services listed or described within 10 minutes that are no habit",
				Observed: fmt.Sprintf("%d: %s", fresh.Count, strings.Join(fresh.Values(), ", ")),
				Expected: fmt.Sprintf("fewer than %d; usual services: %s", p.Threshold(), habit(n)),
				EventIDs: fresh.EventIDs(),
			}}
		})
	})
}
