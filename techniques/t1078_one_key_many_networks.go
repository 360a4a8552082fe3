package techniques

import (
	"fmt"
	"strings"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
)

// keyServices is the number of services that a key must serve: Elastic's, whose
// rule drowned in integrations that call one service from everywhere.
const keyServices = 2

func oneKeyManyNetworks(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "one-key-many-networks",
		Doc: "One access key, or one session's key, is used within 30 minutes through two providers in different cities, for more than one service. " +
			"Keys do not travel, so somebody has a copy. A dual stack of IPv4 and IPv6 has one provider or one city and is left out, as is a pair of providers that the principal always uses, such as an office and its VPN. " +
			"High for a long-term key, low if no provider is known to be the principal's, and less for principals that show new providers often.",
		Technique:   "T1078.004",
		Tactic:      detect.InitialAccess,
		Severity:    detect.Medium,
		Uses:        []baseline.Feature{c.places.keys, c.places.services, c.places.providers},
		Needs:       detect.ManagementEvents,
		AboutSource: true,
		Hook:        "Config.Locate",
		Threshold: c.threshold("one-key-many-networks", detect.Threshold{
			// Elastic's numbers.
			Of: "providers in different cities that the key was used through within 30 minutes", Value: 2, Min: 2, Max: 4,
		}),
		Learn: learn,
		Cold:  detect.Low,
		Quiet: day,
		Benign: []string{
			"Someone switches a VPN on or off, or changes from Wi-Fi to a mobile network that is located elsewhere.",
			"A key is shared by a laptop and a server, or by a service that runs at two providers; give each credentials of its own.",
			"The location data is wrong, as it often is for mobile and satellite networks.",
		},
		Respond: []string{
			"Ask the key's owner which of the places are theirs.",
			"If one is nobody's: deactivate the key or revoke the role's sessions, then list everything called from there.",
			"Find where the copy was made: a repository, an image, a laptop, a log.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		at := c.locate(e)
		if !p.Require("an access key was used", e.Identity.AccessKeyID != "") ||
			!p.Require("the source's provider and city are known", at.ASN != "" && at.City != "") ||
			!p.Require("the call succeeded or was denied", attempted(e)) {
			return
		}
		others := c.places.keys.In(p).elsewhere()
		if !p.Reaches(1+len(others)) ||
			!p.AtLeast("services called within 30 minutes", c.places.services.In(p).Count, keyServices) {
			return
		}
		// All places are judged, not only this event's, so that it does not matter
		// which of them comes last.
		n := c.places.providers.In(p)
		habitual := c.knownSource(e) || n.Established(at.ASN)
		for _, o := range others {
			habitual = habitual && (o.group == knownNetworks || n.Established(o.group))
		}
		if p.Excuse("all the providers are habits of the principal or known networks", habitual) {
			return
		}
		severity := detect.Medium
		switch {
		case n.Known == 0:
			severity = detect.Low
		case longTermKey(e):
			severity = detect.High
		}
		p.ReportWith(person(e, surprise(n, severity)), e.Identity.AccessKeyID, func() (string, []detect.Evidence) {
			var places []string
			for _, o := range others {
				places = append(places, Location{ASN: o.group, City: o.label}.String())
			}
			return fmt.Sprintf("one access key used from %s and from %s within 30 minutes", clip(at.City), clip(others[0].label)), []detect.Evidence{{
				Name:     "where " + clip(e.Identity.AccessKeyID) + " was used within 30 minutes",
				Observed: e.SourceAddress + " (" + at.String() + "); " + strings.Join(places, "; "),
				Expected: "one provider, or providers that are habits: " + habit(n),
				EventIDs: eventsOf(others),
			}}
		})
	})
}
