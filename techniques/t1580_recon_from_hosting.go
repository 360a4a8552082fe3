package techniques

import (
	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
)

func reconFromHosting(c *Config) detect.Detector {
	providers := c.places.providers
	return detect.New(detect.Info{
		Name: "recon-from-hosting",
		Doc: "A principal lists or describes something from the network of a hosting provider, a VPN or an anonymiser that it does not use otherwise, as Config.Locate says. " +
			"People call from access networks and workloads from where they run; stolen credentials are tried from rented servers and behind VPNs. " +
			"Higher with a new tool. Refused calls count too, since the credentials were in use there. Without the hook, the rule is silent.",
		Technique:   "T1580",
		Tactic:      detect.Discovery,
		Severity:    detect.Medium,
		Conditions:  []*detect.Condition{question},
		Uses:        []baseline.Feature{providers, tools},
		Needs:       detect.ManagementReads,
		Hook:        "Config.Locate",
		AboutSource: true,
		Learn:       learn,
		Cold:        detect.Informational,
		Quiet:       novelty,
		Benign: []string{
			"Someone uses a commercial VPN, or works on a rented server; list the organisation's own exits in Config.Networks.",
			"A workload or a build moved to another provider.",
			"The location data are stale: networks change hands.",
		},
		Respond: []string{
			"Ask the principal's owner, over another channel, whether the address is theirs.",
			"If not: deactivate the key or revoke the sessions, then list everything called from this provider's network.",
			"See what was listed: that is what the caller knows now.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		if p.Excuse("the source is one of the organisation's", c.knownSource(e)) {
			return
		}
		at := c.locate(e)
		if !p.Require("the source is a hosting network", at.Hosting && at.ASN != "") {
			return
		}
		n := noveltyOf(providers.In(p), at.ASN)
		if !p.Require("the provider is new to the principal", n.New) {
			return
		}
		around := circumstances{tool: newTool(p)}
		p.ReportWith(person(e, around.raise(surprise(n, detect.Medium))), at.ASN, func() (string, []detect.Evidence) {
			return "looks around from the hosting network " + at.ASN + ", which is new to the principal", around.evidence(p, detect.Evidence{
				Name:     "provider of the source network",
				Observed: at.ASN + ", hosting, " + at.Country + ": " + e.SourceAddress,
				Expected: habit(n),
			})
		})
	})
}
