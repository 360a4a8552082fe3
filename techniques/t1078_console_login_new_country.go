package techniques

import (
	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

func consoleLoginNewCountry(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "console-login-new-country",
		Doc: "Someone signs in to the console from a country that they neither signed in nor called from before. " +
			"People rarely travel without anyone knowing; whoever phished their password is often abroad. " +
			"Low if they show new countries often, high for root or an IAM user without MFA.",
		Technique:   "T1078.004",
		Tactic:      detect.InitialAccess,
		Severity:    detect.Medium,
		Events:      []string{"signin:ConsoleLogin"},
		Uses:        []baseline.Feature{c.places.countries},
		Needs:       detect.ManagementWrites,
		AboutSource: true,
		Hook:        "Config.Locate",
		Learn:       learn,
		Quiet:       novelty,
		Benign: []string{
			"The person travels, or moved.",
			"A VPN or a mobile network that is located in another country.",
		},
		Respond: []string{
			"Ask the person, over another channel, whether they signed in from there.",
			"If not: revoke the sessions, reset the password and look at everything the session did, at the identity provider too.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		country := c.locate(e).Country
		if !p.Require("the source's country is known", country != "") ||
			!p.Require("the sign-in succeeded", e.Succeeded()) ||
			p.Excuse("the source is a known network", c.knownSource(e)) {
			return
		}
		n := c.places.countries.In(p)
		if !p.Require("other countries are a habit of the principal", n.Known > 0) ||
			!p.Require("the country is new to the principal", n.New) {
			return
		}
		severity := detect.Medium
		if e.Principal.Kind == event.Root || e.Principal.Kind == event.User && e.Additional.At("MFAUsed").Text() == "No" {
			severity = detect.High
		}
		p.ReportAt(surprise(n, severity), country, "console sign-in from "+clip(country)+", a country new to the principal", detect.Evidence{
			Name:     "country of the sign-in",
			Observed: e.SourceAddress + " (" + c.locate(e).String() + ")",
			Expected: habit(n),
		})
	})
}
