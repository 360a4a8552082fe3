package techniques

import (
	"fmt"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
)

func oldKeyInUse(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "old-key-in-use",
		Doc: "A long-term access key is used 90 days after it was made or first seen. " +
			"Every copy of a key that was ever left in a file, a log or an image works for as long as the key does. " +
			"This is about a habit to mend, not an attack, and is said once a month for each key. " +
			"What was not logged cannot be known, so a key may be older than it says here.",
		Technique:  "T1078.004",
		Tactic:     detect.InitialAccess,
		Severity:   detect.Low,
		Conditions: []*detect.Condition{longLived},
		Uses:       []baseline.Feature{keyAges},
		Needs:      detect.ManagementEvents,
		// The CIS AWS Foundations Benchmark's number.
		Threshold: c.threshold("old-key-in-use", detect.Threshold{
			Of: "days since the key was made or first seen", Value: 90, Min: 7, Max: 3650,
		}),
		Quiet: 30 * day,
		Benign: []string{
			"A program outside AWS that cannot use a role; its key still has to be rotated.",
		},
		Respond: []string{
			"Replace the key by a role: IAM Identity Center for people, instance profiles or IAM Roles Anywhere for machines.",
			"Where no role can do the work: make a second key, put it in place, deactivate the old one, and delete it when nothing breaks.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		age := keyAges.In(p)
		if !p.Reaches(age.Days) ||
			!p.Require("the call is the key's first of the day", age.First) { // once a day is enough to say it once a month
			return
		}
		p.Report(e.Identity.AccessKeyID, fmt.Sprintf("access key in use for %d days", age.Days), detect.Evidence{
			Name:     "days since access key " + clip(e.Identity.AccessKeyID) + " was made or first seen",
			Observed: fmt.Sprintf("%d, since %s", age.Days, age.Since.Format(time.DateOnly)),
			Expected: fmt.Sprintf("fewer than %d", p.Threshold()),
		})
	})
}
