package techniques

import (
	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// identityChecks remembers whether a principal is one that asks who it is.
var identityChecks = baseline.FirstSeen("asks its identity", func(e *event.Event) string {
	if !direct(e) {
		return ""
	}
	return e.Operation
}, &baseline.FirstSeenOptions{Cap: 4}).On("sts:GetCallerIdentity")

func getCallerIdentityFirstSeen(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "getcalleridentity-first-seen",
		Doc: "A principal that does not ask GetCallerIdentity asks it. " +
			"Whoever finds credentials wants to know whose they are, and this call always works; most attackers make it, not all, so nothing depends on it here. " +
			"Low on its own; a new network, a new tool, and three questions denied in the ten minutes before it each raise it.",
		Technique: "T1078.004",
		Tactic:    detect.InitialAccess,
		Severity:  detect.Low,
		Events:    []string{"sts:GetCallerIdentity"},
		Uses:      []baseline.Feature{identityChecks, networks, tools, deniedReads},
		Needs:     detect.ManagementReads,
		Learn:     learn,
		Quiet:     novelty,
		Benign: []string{
			"Terraform, CI jobs, EKS tokens and many scripts ask at every start; they become habit after a few days.",
			"A person checks a profile by hand.",
		},
		Respond: []string{
			"See what the principal called in the minutes after it: discovery of many services is an intrusion.",
			"If the network or the tool is not its owner's, deactivate the key or revoke the sessions.",
		},
	}, func(p *detect.Pass) {
		n := identityChecks.In(p)
		if !p.Require("the question is no habit of the principal", n.New) {
			return
		}
		const someDenied = 3
		around, denied := circumstances{network: newNetwork(c, p), tool: newTool(p)}, deniedReads.In(p)
		severity := around.raise(detect.Low)
		if denied.Count >= someDenied {
			severity = raised(severity, 1)
		}
		p.ReportWith(person(p.Event, severity), "", func() (string, []detect.Evidence) {
			title := "asks for its own identity " + firstTime(n)
			evidence := around.evidence(p, detect.Evidence{Name: "GetCallerIdentity", Observed: "called with " + toolName(p.Event), Expected: "no such question"})
			if around.network {
				title += ", from a new network"
			}
			if around.tool {
				title += ", with a new tool"
			}
			if denied.Count >= someDenied {
				title += ", among denied calls"
				evidence = append(evidence, deniedEvidence(denied, someDenied))
			}
			return title, evidence
		})
	})
}
