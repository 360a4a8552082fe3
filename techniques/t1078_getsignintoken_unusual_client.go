package techniques

import (
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// consoleWindow is how far apart the steps from an access key to the console
// may lie: Elastic allows two minutes, ten leave time to do it by hand.
const consoleWindow = 10 * time.Minute

var consoleCalls = []string{"sts:GetFederationToken", "signin:GetSigninToken"}

var (
	// consoleWays remembers how a principal gets from credentials to the
	// console: with which software, or by a federation token.
	consoleWays = baseline.FirstSeen("way to the console", func(e *event.Event) string {
		switch {
		case !direct(e) || !e.Succeeded():
			return ""
		case e.Operation == "GetFederationToken":
			return federationToken
		}
		return toolName(e)
	}, &baseline.FirstSeenOptions{Cap: 8}).On(consoleCalls...)
	// consoleSteps collects the steps to the console with their sources.
	consoleSteps = baseline.Distinct("step to the console", func(e *event.Event) string {
		if !direct(e) || !e.Succeeded() {
			return ""
		}
		return consoleStep(e.Operation, e)
	}, 12, consoleWindow).On(consoleCalls...)
)

const federationToken = "GetFederationToken"

// consoleStep names a step as if it came from where the event does.
func consoleStep(operation string, e *event.Event) string {
	return operation + " from " + e.SourceAddress
}

func getSigninTokenUnusualClient(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "getsignintoken-unusual-client",
		Doc: "Credentials are turned into a console session by other means than the principal is used to. " +
			"The console asks for no MFA then, and shows an intruder around. " +
			"Low for a GetSigninToken with software that is new to the principal. " +
			"High for the credentials of an EC2 instance, which needs no console. " +
			"Medium for the way that stolen access keys take, GetFederationToken and then GetSigninToken from one address within ten minutes, by a user that does not ask for federation tokens. " +
			"A network that is new, too, raises it. What is learnt early or done regularly, as a sign-in portal does, is habit.",
		Technique: "T1078.004",
		Tactic:    detect.InitialAccess,
		Severity:  detect.Low,
		Events:    consoleCalls,
		Uses:      []baseline.Feature{consoleWays, consoleSteps, networks},
		Needs:     detect.ManagementEvents,
		Quiet:     novelty,
		Benign: []string{
			"A person uses a tool that opens the console from a command line profile, such as aws-vault or Granted.",
			"The organisation's own sign-in portal is new, or has a new version.",
		},
		Respond: []string{
			"Ask the principal's owner whether they opened the console so.",
			"If not: deactivate the access key or revoke the role's sessions, which ends the console session too; a federated user's is ended by a policy on its user.",
			"List what the session did; its calls say sessionCredentialFromConsole.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		steps := consoleSteps.In(p)
		if !p.Require("a sign-in token was given to this address within 10 minutes", steps.Contains(consoleStep("GetSigninToken", e))) {
			return
		}
		ways := consoleWays.In(p)
		known := mature(consoleWays.Age(p))
		federated := steps.Contains(consoleStep(federationToken, e)) && !ways.Established(federationToken)
		if !p.Require("the way to the console is new to the principal", federated || ways.New) {
			return
		}
		var severity detect.Severity
		switch {
		case e.Principal.Kind == event.InstanceRole:
			severity = detect.High
		case federated:
			severity = detect.Medium
			if !known {
				severity = detect.Low
			}
		case !p.Require("the principal is known for two weeks", known):
			return
		case e.Principal.Kind == event.SSO && e.Tool == event.ToolConsole:
			severity = detect.Informational // the access portal, from wherever AWS runs it, or who says so
		default:
			severity = surprise(ways, detect.Low)
		}
		around := circumstances{network: severity > detect.Informational && newNetwork(c, p)}
		p.ReportWith(around.raise(severity), "", func() (string, []detect.Evidence) {
			title := "console opened with the principal's credentials, by " + toolName(e)
			switch {
			case e.Principal.Kind == event.InstanceRole:
				title = "console opened with the credentials of instance " + clip(e.Principal.Session)
			case federated:
				title = "console opened with an access key, by a federation token"
			}
			return title + ", from " + e.SourceAddress, around.evidence(p, detect.Evidence{
				Name:     "way from credentials to the console",
				Observed: e.Operation + " with " + clip(e.UserAgent) + " from " + source(e),
				Expected: habit(ways),
				EventIDs: steps.EventIDs(),
			})
		})
	})
}
