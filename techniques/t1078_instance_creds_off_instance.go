package techniques

import (
	"strings"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// instanceEgress remembers where the EC2 instances of a role call from. People
// who assume the same role do not add to it.
var instanceEgress = baseline.FirstSeen("instance egress", func(e *event.Event) string {
	if !direct(e) || e.Principal.Kind != event.InstanceRole || presigned(e) {
		return ""
	}
	return network(e)
}, nil)

func instanceCredsOffInstance(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "instance-creds-off-instance",
		Doc: "The credentials of an EC2 instance are used from a network that the instances of its role do not call from. " +
			"Credentials taken from the instance metadata service work anywhere for hours. " +
			"A private address is not trusted: an attacker's own VPC has them too, so what counts is the VPC endpoint, learnt or in Config.VPCEndpoints. " +
			"Roles whose instances come and go with public addresses of their own teach the rule nothing, and it stays silent for them.",
		Technique:   "T1078.004",
		Tactic:      detect.InitialAccess,
		Severity:    detect.High,
		Conditions:  []*detect.Condition{{Text: "an EC2 instance's credentials made the call", Is: func(e *event.Event) bool { return e.Principal.Kind == event.InstanceRole }}},
		Uses:        []baseline.Feature{instanceEgress, networks, urlNetworks},
		Needs:       detect.ManagementEvents,
		AboutSource: true,
		Learn:       learn,
		Quiet:       novelty,
		Benign: []string{
			"Instances moved to another subnet, NAT gateway, proxy or VPC endpoint.",
			"An engineer copied the credentials of an instance to debug something.",
		},
		Respond: []string{
			"Compare the address with the instance's own and its NAT gateway's.",
			"If it is none of them: revoke the role's sessions (AWSRevokeOlderSessions), isolate the instance, keep its disk and memory.",
			"Find how the credentials left: request forgery against IMDSv1, a shell, a leaked log. Require IMDSv2.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		if p.Excuse("the source is a known network", c.knownSource(e)) {
			return
		}
		n := instanceEgress.In(p)
		if presigned(e) { // a program on the instances may sign URLs for its users
			n = origins(p)
		}
		if !p.Require("the network is new to the instances of the role", n.New) {
			return
		}
		// Credentials that IMDS delivered to something else than a plain
		// instance, such as a container agent, travel more.
		severity := detect.Medium
		if strings.HasPrefix(e.Principal.Session, "i-") {
			severity = detect.High
		}
		p.ReportWith(surprise(n, severity), origin(e), func() (string, []detect.Evidence) {
			return "credentials of instance " + clip(e.Principal.Session) + " used from " + e.SourceAddress, []detect.Evidence{{
				Name:     "source network of the role's instances",
				Observed: e.SourceAddress + " (" + n.Value + ")",
				Expected: habit(n),
			}}
		})
	})
}
