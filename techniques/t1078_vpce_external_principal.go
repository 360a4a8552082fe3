package techniques

import (
	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// endpointAccounts remembers the accounts whose credentials are used through a
// VPC endpoint.
var endpointAccounts = baseline.FirstSeen("account at endpoint", func(e *event.Event) string {
	if e.ViaService() {
		return ""
	}
	return e.Principal.AccountID
}, &baseline.FirstSeenOptions{Cap: 32})

func vpceExternalPrincipal(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "vpce-external-principal",
		Doc: "Somebody inside a VPC uses credentials of another account through its VPC endpoint, an account that is not seen there otherwise. " +
			"That is how data leaves a network that has no other way out: into an account of the thief's own. " +
			"Medium, and high if Config.Accounts is given and does not have the account; without it, the endpoint's owner is all that is known to be own. " +
			"Low if the endpoint's policy refused it, and while the endpoint is not known for two weeks.",
		Technique: "T1078.004",
		Tactic:    detect.InitialAccess,
		Severity:  detect.Medium,
		Uses:      []baseline.Feature{endpointAccounts},
		Scope:     byVPCEndpoint,
		Needs:     detect.NetworkEvents,
		Learn:     learn,
		Cold:      detect.Low,
		Quiet:     novelty,
		Benign: []string{
			"A vendor's agent in the VPC works with the vendor's own credentials.",
			"The account is the organisation's; list it in Config.Accounts.",
		},
		Respond: []string{
			"Find the machine with the source address, and what runs there with those credentials.",
			"If nobody owns the use: isolate the machine, and see in the log what was written or read.",
			"Allow only the organisation's principals and resources in the endpoint's policy (aws:PrincipalOrgID, aws:ResourceOrgID).",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		account := c.foreignAt(e)
		if p.Excuse("AWS made the call, for itself or for someone", e.ViaService()) ||
			!p.Require("the caller is of another account than the endpoint, and of none that is known as own", account != "") {
			return
		}
		n := endpointAccounts.In(p)
		if p.Excuse("the account is usual at the endpoint", !n.New) {
			return
		}
		severity, verb := detect.Medium, "used"
		switch {
		case !e.Succeeded():
			severity, verb = detect.Low, "refused"
		case len(c.Accounts) > 0:
			severity = detect.High
		}
		p.ReportWith(surprise(n, severity), subjectOf(endpointAccounts.Age(p), account), func() (string, []detect.Evidence) {
			return "credentials of account " + account + " " + verb + " at " + e.VPCEndpointID, []detect.Evidence{{
				Name:     "account of a caller at the VPC endpoint of account " + endpointOwner(e),
				Observed: account + ": " + e.Principal.Key + " called " + api(e) + " from " + e.SourceAddress + ", " + outcome(e),
				Expected: habit(n),
			}}
		})
	})
}
