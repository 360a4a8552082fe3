package techniques

import (
	"strings"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// lambdaFunctions remembers the functions that a role serves: Lambda names a
// function's session after it, and SDKs in its runtime say so.
var lambdaFunctions = baseline.FirstSeen("lambda function", func(e *event.Event) string {
	if e.Principal.Session == "" || !direct(e) || !lambdaRuntime(e) || byStranger(e) {
		return ""
	}
	return e.Principal.Session
}, &baseline.FirstSeenOptions{Cap: 32})

// bareTools remembers the tools that a role uses without the mark of Lambda's
// runtime: extensions and workers of Lambda itself have none.
var bareTools = baseline.FirstSeen("tool outside lambda", func(e *event.Event) string {
	if !direct(e) || e.Principal.Kind != event.Role || lambdaRuntime(e) || byStranger(e) {
		return ""
	}
	return string(e.Tool)
}, &baseline.FirstSeenOptions{Cap: 8})

// lambdaRuntime reports whether a user agent claims to be in a function.
func lambdaRuntime(e *event.Event) bool { return lambdaAgent.Of(e) != "" }

var lambdaAgent = event.Derive(func(e *event.Event) string {
	// The capital is rare in user agents, so most are searched quickly.
	if strings.Contains(e.UserAgent, "AWS_Lambda_") && strings.Contains(e.UserAgent, "exec-env/AWS_Lambda_") {
		return "lambda"
	}
	return ""
})

func lambdaCredsOffLambda(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "lambda-creds-off-lambda",
		Doc: "The session of a Lambda function is used from a network or through a provider new to its role, or with a tool outside Lambda's runtime that the role is not used to. " +
			"A function's credentials stand in its environment, where one request forgery or one bad dependency reads them, and work anywhere for hours. " +
			"Low for the tool alone, medium for the place alone, high for both. Who fakes the runtime's user agent is still found by the place. " +
			"Functions outside a VPC call from ever changing addresses of AWS, so for them the place is only known with Config.Locate.",
		Technique:   "T1078.004",
		Tactic:      detect.InitialAccess,
		Severity:    detect.High,
		Conditions:  []*detect.Condition{{Text: "a role's session made the call", Is: func(e *event.Event) bool { return e.Principal.Kind == event.Role }}},
		Uses:        []baseline.Feature{lambdaFunctions, bareTools, networks, c.places.providers},
		Needs:       detect.ManagementEvents,
		AboutSource: true,
		Learn:       learn,
		Quiet:       novelty,
		Benign: []string{
			"The function moved into a VPC, or to another subnet or NAT gateway.",
			"A new extension or library makes calls without the runtime's mark.",
			"An engineer copied the function's environment to debug it.",
		},
		Respond: []string{
			"Compare the address with the function's egress: its NAT gateway, or Amazon's ranges for the region.",
			"If it is none of them: revoke the role's sessions, and set the function's concurrency to zero until the hole is found.",
			"Look in the function's code and dependencies for what reads the environment: request forgery, injection, a package that was taken over.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		if !p.Require("the session is that of a Lambda function of long standing", lambdaFunctions.In(p).Established(e.Principal.Session)) {
			return
		}
		provider := newProvider(c, p)
		place, tool := provider || newNetwork(c, p), newBareTool(p)
		if !p.Require("the place or the tool is new to the role", place || tool) {
			return
		}
		severity := detect.Low
		switch {
		case place && tool:
			severity = detect.High
		case place:
			severity = detect.Medium
		}
		p.ReportWith(severity, e.Principal.Session, func() (string, []detect.Evidence) {
			title := "the session of function " + clip(e.Principal.Session) + " used"
			var evidence []detect.Evidence
			if place {
				title += " from " + e.SourceAddress + ", a place new to the role"
				evidence = append(evidence, networkEvidence(p))
			}
			if provider {
				evidence = append(evidence, providerEvidence(c, p))
			}
			if tool {
				title += " with " + string(e.Tool) + " outside Lambda"
				evidence = append(evidence, detect.Evidence{
					Name: "tool without the mark of Lambda's runtime", Observed: string(e.Tool) + " (" + clip(e.UserAgent) + ")", Expected: habit(bareTools.In(p)),
				})
			}
			return title, evidence
		})
	})
}

// newBareTool reports whether a function's session is used with a tool that the
// role is not used to outside Lambda's runtime. The user agent only adds
// suspicion.
func newBareTool(p *detect.Pass) bool {
	switch p.Event.Tool {
	case event.ToolNone, event.ToolService:
		return false
	}
	n := bareTools.In(p)
	return n.New && steady(n)
}
