package techniques

import (
	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

func userAgentMismatch(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "user-agent-mismatch",
		Doc: "A principal uses a family of software that it does not use, such as a Python script with a key that only ever served the AWS CLI. " +
			"Families are compared, not user agents, so that an upgrade is nothing new. " +
			"A bare HTTP library that asks GetCallerIdentity with a key of the CLI is a thief who tries the key, and high. " +
			"A caller can claim any tool, so this rule finds the careless, and no rule trusts a known tool.",
		Technique: "T1078.004",
		Tactic:    detect.InitialAccess,
		Severity:  detect.Medium,
		Uses:      []baseline.Feature{tools, networks},
		Needs:     detect.ManagementEvents,
		Learn:     learn,
		Quiet:     novelty,
		Benign: []string{
			"A developer tries another SDK or infrastructure tool with the same key.",
			"A workload was rewritten in another language.",
			"A user signs in to the console for the first time in a while.",
		},
		Respond: []string{
			"Ask the principal's owner whether the tool is theirs; look at what it called and from where.",
			"If not: deactivate the access key or revoke the sessions, and look for what the key's copy was found in, such as a repository or an image.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		if !p.Require("the user agent names a tool", e.Tool != event.ToolNone) ||
			p.Excuse("the user agent is that of AWS's own software", e.Tool == event.ToolService) ||
			p.Excuse("the tool is an attack tool, of which another rule tells", e.Tool == event.ToolScanner) {
			return
		}
		n := tools.In(p)
		if !p.Require("the tool is new to the principal", n.New) {
			return
		}
		severity := detect.Low
		if longTerm(e) {
			severity = detect.Medium
		}
		tried := triesKey(e, n)
		if tried {
			severity = detect.High
		}
		around := circumstances{network: newNetwork(c, p)}
		p.ReportWith(person(e, surprise(n, around.raise(severity))), n.Value, func() (string, []detect.Evidence) {
			title := "uses " + string(e.Tool) + ", a tool new to the principal"
			if tried {
				title = "a key that serves the AWS CLI is tried out with " + string(e.Tool)
			}
			if around.network {
				title += ", from a network new to it"
			}
			return title, around.evidence(p, toolEvidence(p))
		})
	})
}

// triesKey reports whether someone asks with a bare HTTP library whose
// credentials these are, when they have only ever served the AWS CLI.
func triesKey(e *event.Event, tools baseline.Novelty) bool {
	return e.Tool == event.ToolRequests && e.Is("sts", "GetCallerIdentity") &&
		tools.Known == 1 && tools.Established(string(event.ToolCLI))
}
