package techniques

import (
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

func maliciousIP(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "malicious-ip",
		Doc: "A principal gets, lists or describes something from an address of bad reputation, as Config.Reputation says: a Tor exit, a known attacker, an anonymous proxy. " +
			"Buckets and objects (T1619, T1530) are no exception: what is asked matters less than from where. " +
			"Refused calls count too, since the credentials were in use there. Reads by presigned URL, which others are meant to use, are medium, and one finding whatever their addresses. " +
			"Without the hook, the rule is silent.",
		Technique:   "T1580",
		Tactic:      detect.Discovery,
		Severity:    detect.High,
		Conditions:  []*detect.Condition{{Text: "Config.Reputation is set", Is: func(*event.Event) bool { return c.Reputation != nil }}},
		Needs:       detect.ManagementReads | detect.S3DataEvents,
		AboutSource: true,
		Hook:        "Config.Reputation",
		Quiet:       day,
		Benign: []string{
			"The reputation is stale: cloud and carrier addresses change hands.",
			"Someone of yours uses a commercial VPN that attackers use as well.",
		},
		Respond: []string{
			"Deactivate the key or revoke the sessions first, unless the owner confirms the address at once.",
			"List everything called from the address, by any principal.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		if p.Excuse("the call needs no credentials, as those of a Cognito pool's guests", nameless(e)) ||
			!p.Require("the call asks for something", asks(e.Operation) || e.Is("s3", "HeadBucket", "HeadObject")) ||
			!p.Require("the source is an address", e.IP.IsValid()) ||
			p.Excuse("the source is known", c.knownSource(e)) {
			return
		}
		why := c.Reputation(e.IP)
		if !p.Require("the address has a bad reputation", why != "") {
			return
		}
		severity, subject := detect.High, e.SourceAddress
		if presigned(e) {
			severity, subject = detect.Medium, origin(e)
		}
		p.ReportWith(severity, subject, func() (string, []detect.Evidence) {
			return "looks around from " + e.SourceAddress + ", of bad reputation: " + clip(why), []detect.Evidence{{
				Name:     "reputation of the source address",
				Observed: e.SourceAddress + ": " + why,
				Expected: "none",
			}}
		})
	})
}
