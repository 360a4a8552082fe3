package techniques

import (
	"fmt"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// distinctAPIsThreshold is the number that common advice names, and Splunk's.
// Measured on real logs: Terraform alone reaches 58 and a console's back end
// 51, while an intruder stays at 16. So it is one signal, told from habit.
const distinctAPIsThreshold = 50

// discoveredAPIs counts the different questions that a principal asks.
var discoveredAPIs = baseline.Distinct("discovered api", discoveredAPI, 2*distinctAPIsThreshold, 5*time.Minute)

// discoveryBursts remembers on which days it asked many.
var discoveryBursts = bursts("discovered api", discoveredAPI, distinctAPIsThreshold/2, 5*time.Minute)

func discoveredAPI(e *event.Event) string {
	if !discovery(e) {
		return ""
	}
	return api(e)
}

func distinctAPIs(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "distinct-apis-50-5m",
		Doc: "A principal makes more than 50 different list and describe calls within five minutes, and does not do so habitually. " +
			"Enumeration tools ask everything once. So do Terraform and the console, for whose users such bursts become normal after three days.",
		Technique:  "T1580",
		Tactic:     detect.Discovery,
		Severity:   detect.Medium,
		Conditions: []*detect.Condition{question},
		Uses:       []baseline.Feature{discoveredAPIs, discoveryBursts, networks, tools},
		Needs:      detect.ManagementReads,
		Threshold: c.threshold("distinct-apis-50-5m", detect.Threshold{
			Of: "different list and describe calls within 5 minutes", Value: distinctAPIsThreshold + 1, Min: 10, Max: 2 * distinctAPIsThreshold,
		}),
		Learn: learn,
		Cold:  detect.Low,
		Quiet: day,
		Benign: []string{
			"The first run of an infrastructure tool or posture scanner under this principal; declare scanners in Config.Scanners.",
			"An administrator opens many console pages.",
		},
		Respond: []string{
			"See which tool made the calls, from where, and whether they were denied: an inventory taken by trial shows many denials.",
			"Ask the principal's owner; if unexplained, revoke its sessions and keys.",
		},
	}, func(p *detect.Pass) {
		w := discoveredAPIs.In(p)
		if !p.Reaches(w.Count) {
			return
		}
		past := discoveryBursts.In(p)
		if p.Excuse("such bursts are a habit of the principal", past.Normal) {
			return
		}
		severity, around := unfamiliar(c, p, detect.Medium)
		p.ReportWith(severity, "", func() (string, []detect.Evidence) {
			const shown = 12
			values := w.Values()
			return fmt.Sprintf("%d different list and describe calls within 5 minutes", w.Count), around.evidence(p, detect.Evidence{
				Name:     "different list and describe calls within 5 minutes",
				Observed: fmt.Sprintf("%d, among them %s", w.Count, strings.Join(values[:min(shown, len(values))], ", ")),
				Expected: fmt.Sprintf("fewer than %d; bursts on %d of the last 30 days", p.Threshold(), past.Days),
				EventIDs: w.EventIDs(),
			})
		})
	})
}
