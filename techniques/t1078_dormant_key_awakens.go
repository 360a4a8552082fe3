package techniques

import (
	"fmt"
	"strings"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// keyDays remembers the days on which a user's long-term keys were used.
var keyDays = baseline.LastSeen("long-term key", func(e *event.Event) bool {
	return direct(e) && longTermKey(e)
})

func longTermKey(e *event.Event) bool { return strings.HasPrefix(e.Identity.AccessKeyID, "AKIA") }

func dormantKeyAwakens(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "dormant-key-awakens",
		Doc: "A user whose long-term access keys were not used for 30 days uses one. " +
			"Keys that nobody misses are the ones that leak unnoticed, and their old habits are forgotten by then, so that no other rule would speak. " +
			"Days are those of all of a user's keys together.",
		Technique:  "T1078.004",
		Tactic:     detect.InitialAccess,
		Severity:   detect.Medium,
		Conditions: []*detect.Condition{longLived},
		Uses:       []baseline.Feature{keyDays},
		Needs:      detect.ManagementEvents,
		// As long as the other baselines remember anything about a key.
		Threshold: c.threshold("dormant-key-awakens", detect.Threshold{
			Of: "days since a long-term key of the user was last used", Value: 30, Min: 7, Max: 365,
		}),
		Quiet: novelty,
		Benign: []string{
			"A quarterly or yearly job, or somebody back from a long leave.",
		},
		Respond: []string{
			"Ask the key's owner whether they use it again; look at the address and the first calls.",
			"If nobody owns the use: deactivate the key. If somebody does, replace it by a role or rotate it: it is old.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		a := keyDays.In(p)
		if !p.Reaches(a.Days) {
			return
		}
		severity := detect.Medium
		if c.knownSource(e) {
			severity = detect.Low
		}
		p.ReportWith(severity, "", func() (string, []detect.Evidence) {
			return fmt.Sprintf("access key used from %s after %d days of silence", e.SourceAddress, a.Days), []detect.Evidence{{
				Name:     "days since a long-term key of the user was last used",
				Observed: fmt.Sprintf("%d, since %s", a.Days, a.Last.Format("2006-01-02")),
				Expected: fmt.Sprintf("fewer than %d", p.Threshold()),
			}}
		})
	})
}
