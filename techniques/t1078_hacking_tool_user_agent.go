package techniques

import (
	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

func hackingToolUserAgent(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "hacking-tool-user-agent",
		Doc: "A call's user agent names an attack tool, a secret finder or a penetration tester's operating system: Pacu, CloudFox, TruffleHog, Kali. " +
			"High if it gets an answer from GetCallerIdentity with a long-term key, for a secret finder such as TruffleHog has found a working key then, and from a network new to the principal. " +
			"Needs no learning.",
		Technique:  "T1078.004",
		Tactic:     detect.InitialAccess,
		Severity:   detect.Medium,
		Conditions: []*detect.Condition{{Text: "the user agent names an attack tool", Is: func(e *event.Event) bool { return e.Tool == event.ToolScanner }}},
		Uses:       []baseline.Feature{networks, tools},
		Needs:      detect.ManagementEvents,
		Quiet:      day,
		Benign: []string{
			"An agreed penetration test, or the organisation's own scan for secrets; declare its principal and source in Config.Scanners.",
			"A security engineer's own workstation.",
		},
		Respond: []string{
			"Ask whether a test is under way, and whether this principal and address are part of it.",
			"If not: deactivate the key or revoke the sessions now; treat everything it called as the attacker's.",
			"For TruffleHog: find where the key was leaked, delete it there and rotate it.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		if !p.Require("credentials were used", !byStranger(e)) {
			return
		}
		severity := detect.Medium
		if longTerm(e) && e.Is("sts", "GetCallerIdentity") && e.Succeeded() || newNetwork(c, p) {
			severity = detect.High
		}
		p.ReportWith(severity, string(e.Tool), func() (string, []detect.Evidence) {
			return "calls with a tool that names itself " + clip(e.UserAgent), placed(c, p, toolEvidence(p))
		})
	})
}
