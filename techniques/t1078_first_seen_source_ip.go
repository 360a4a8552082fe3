package techniques

import (
	"strings"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

func firstSeenSourceIP(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "first-seen-source-ip",
		Doc: "A principal makes a successful call from a network that it has not called from before. " +
			"Stolen credentials are used from where their thief is. Addresses count by their /24 or /64, private ones by their VPC endpoint. " +
			"A long-term key or an IAM user weighs most, and a tool that is new at the same time, or a place outside Config.Networks, adds to it. " +
			"Credentials of EC2 instances are left to instance-creds-off-instance.",
		Technique:   "T1078.004",
		Tactic:      detect.InitialAccess,
		Severity:    detect.Medium,
		Uses:        []baseline.Feature{networks, urlNetworks, tools},
		Needs:       detect.ManagementEvents,
		AboutSource: true,
		Learn:       learn,
		Quiet:       novelty,
		Benign: []string{
			"Someone travels, works from home or changes VPN exit; principals that do so often are lowered and then silenced on their own.",
			"A workload moved to another NAT gateway, runner or provider; list its addresses in Config.Networks.",
		},
		Respond: []string{
			"Ask the principal's owner, over another channel, whether the address and the tool are theirs.",
			"If not: deactivate the access key or revoke the role's sessions, then list everything called from this network.",
			"Look for keys, users, roles and policies created from it.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		if !p.Require("the call succeeded", e.Succeeded()) ||
			p.Excuse("an EC2 instance's role made the call", e.Principal.Kind == event.InstanceRole) ||
			p.Excuse("the source is a known network", c.knownSource(e)) {
			return
		}
		n := origins(p)
		if !p.Require("the network is new to the principal", n.New) {
			return
		}
		severity := detect.Medium
		if !longTerm(e) {
			if p.Excuse("the session is of a principal that often shows new networks", !steady(n)) { // CI runners, phones
				return
			}
			severity = detect.Low
		}
		around, outside := circumstances{tool: newTool(p)}, c.unknownSource(e)
		severity = around.raise(severity)
		if outside {
			severity = raised(severity, 1)
		}
		p.ReportWith(person(e, surprise(n, severity)), origin(e), func() (string, []detect.Evidence) {
			title := "calls from " + e.SourceAddress + ", a network new to the principal"
			if around.tool {
				title += ", with a tool new to it"
			}
			evidence := around.evidence(p, networkEvidence(p))
			if outside {
				evidence = append(evidence, outsideEvidence(c, e))
			}
			return title, evidence
		})
	})
}

// longTerm reports whether credentials do not expire by themselves: an access
// key or the password of a user or of root.
func longTerm(e *event.Event) bool {
	return e.Principal.Kind == event.User || e.Principal.Kind == event.Root
}

// networkEvidence shows an event's network against the principal's networks.
func networkEvidence(p *detect.Pass) detect.Evidence {
	e := p.Event
	return detect.Evidence{Name: "source network", Observed: e.SourceAddress + " (" + network(e) + ")", Expected: habit(networks.In(p))}
}

// toolEvidence shows an event's tool against the principal's tools.
func toolEvidence(p *detect.Pass) detect.Evidence {
	return detect.Evidence{Name: "tool", Observed: string(p.Event.Tool) + " (" + clip(p.Event.UserAgent) + ")", Expected: habit(tools.In(p))}
}

// outsideEvidence shows an event's source against the known ones.
func outsideEvidence(c *Config, e *event.Event) detect.Evidence {
	return detect.Evidence{Name: "known networks", Observed: e.SourceAddress, Expected: c.sources()}
}

// clip shortens a text that a caller chose to what a line can show.
func clip(s string) string {
	const most = 120
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
