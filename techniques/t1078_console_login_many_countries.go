package techniques

import (
	"fmt"
	"strings"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
)

func consoleLoginManyCountries(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "console-login-many-countries",
		Doc: "One person signs in to the console from two or more countries within 65 minutes. " +
			"Nobody travels so fast: either a VPN does it for them, or two people have the password. " +
			"Where people share a role, each session name counts for itself. Countries that all are habits of the principal are left out.",
		Technique:   "T1078.004",
		Tactic:      detect.InitialAccess,
		Severity:    detect.Medium,
		Events:      []string{"signin:ConsoleLogin"},
		Uses:        []baseline.Feature{c.places.signIns, c.places.countries},
		Needs:       detect.ManagementWrites,
		AboutSource: true,
		Hook:        "Config.Locate",
		Threshold: c.threshold("console-login-many-countries", detect.Threshold{
			// Splunk's and Elastic's numbers.
			Of: "countries of sign-ins within 65 minutes", Value: 2, Min: 2, Max: 4,
		}),
		Learn: learn,
		Cold:  detect.Low,
		Quiet: day,
		Benign: []string{
			"Someone switches a VPN on or off between two sign-ins.",
			"Someone near a border changes between networks.",
			"A shared user; give everyone their own.",
		},
		Respond: []string{
			"Ask the person which of the sign-ins were theirs.",
			"If one was not: revoke the sessions, reset the password and the MFA device, and look at everything the session did.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		if !p.Require("the source's country is known", c.locate(e).Country != "") ||
			!p.Require("the sign-in succeeded", e.Succeeded()) {
			return
		}
		signIns := c.places.signIns.In(p).together()
		if !p.Reaches(len(signIns)) {
			return
		}
		n := c.places.countries.In(p)
		habitual := true
		for _, s := range signIns {
			habitual = habitual && n.Established(s.label)
		}
		if p.Excuse("all the countries are habits of the principal", habitual) {
			return
		}
		countries := strings.Join(labelsOf(signIns), ", ")
		p.ReportAt(surprise(n, detect.Medium), e.Principal.Session, "console sign-ins from several countries within 65 minutes: "+countries, detect.Evidence{
			Name:     "countries of sign-ins within 65 minutes",
			Observed: countries,
			Expected: fmt.Sprintf("fewer than %d, or habits: %s", p.Threshold(), habit(n)),
			EventIDs: eventsOf(signIns),
		})
	})
}
