package techniques

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

func outsideKnownNetworks(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "outside-known-networks",
		Doc: "A principal's credentials are used from outside Config.Networks and Config.VPCEndpoints. " +
			"Needs the configuration and no learning, so it speaks from the first event on. A private address counts as known only through a known VPC endpoint. " +
			"A learnt place is only noted for long-term credentials and nothing for temporary ones; somebody who is often at new ones is low, and a role that calls from ever new places, such as a CI runner's, is left out. " +
			"Credentials of EC2 instances are left to instance-creds-off-instance.",
		Technique: "T1078.004",
		Tactic:    detect.InitialAccess,
		Severity:  detect.Medium,
		Conditions: []*detect.Condition{
			{Text: "Config.Networks or Config.VPCEndpoints is set", Is: func(*event.Event) bool { return len(c.Networks)+len(c.VPCEndpoints) > 0 }},
			{Text: "the source is outside the known networks", Is: c.unknownSource},
		},
		Uses:        []baseline.Feature{networks, urlNetworks},
		Needs:       detect.ManagementEvents,
		AboutSource: true,
		Hook:        "Config.Networks",
		Quiet:       novelty,
		Benign: []string{
			"An office, VPN exit, runner or endpoint is missing in the configuration.",
			"Lambda functions and other managed compute outside a VPC call from AWS's addresses.",
			"Someone uses a console session without the VPN.",
		},
		Respond: []string{
			"Ask the principal's owner whether the address is theirs; if it is, add it to the configuration.",
			"If not: deactivate the access key or revoke the sessions, then list everything called from this address.",
			"Bind the credentials to the known networks with aws:SourceIp and aws:SourceVpce conditions.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		if !p.Require("the call succeeded or was denied", attempted(e)) ||
			!p.Require("credentials were used", !unproven(e)) {
			return
		}
		place, n := cmp.Or(network(e), e.SourceAddress), origins(p)
		learnt := mature(networks.Age(p))
		habitual, rambling := learnt && (n.Established(place) || networks.In(p).Established(place)), learnt && !steady(n)
		severity := detect.Medium
		switch e.Principal.Kind {
		case event.User, event.Root:
			switch {
			case habitual: // said when it began
				severity = detect.Informational
			case rambling && e.Principal.Kind == event.User:
				severity = detect.Low
			}
		case event.SSO:
			if p.Excuse("the network is a habit of the principal", habitual) {
				return
			}
			if rambling {
				severity = detect.Low
			}
		case event.Role, event.Federated:
			if p.Excuse("the network is a habit of the principal", habitual) ||
				p.Excuse("the principal often shows new networks", rambling) { // a CI runner has a new address each time
				return
			}
			severity = detect.Low
		default: // instances have their own rule; other accounts, their own networks
			p.Require("a user, a person or a plain role made the call", false)
			return
		}
		p.ReportWith(person(e, severity), cmp.Or(origin(e), place), func() (string, []detect.Evidence) {
			return "credentials used from " + e.SourceAddress + ", outside the known networks", []detect.Evidence{outsideEvidence(c, e)}
		})
	})
}

// unknownSource reports whether an event comes from outside what is
// configured. Nothing does of which too little is configured to tell.
func (c *Config) unknownSource(e *event.Event) bool {
	if c.knownSource(e) {
		return false
	}
	if e.IP.IsPrivate() {
		return len(c.VPCEndpoints) > 0
	}
	return len(c.Networks) > 0
}

// sources describes the known sources.
func (c *Config) sources() string {
	const most = 5
	var list []string
	for _, n := range c.Networks[:min(most, len(c.Networks))] {
		list = append(list, n.String())
	}
	list = append(list, c.VPCEndpoints[:min(most-len(list), len(c.VPCEndpoints))]...)
	s := "one of " + strings.Join(list, ", ")
	if rest := len(c.Networks) + len(c.VPCEndpoints) - len(list); rest > 0 {
		s += fmt.Sprintf(" and %d more", rest)
	}
	return s
}
