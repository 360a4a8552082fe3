package techniques

import (
	"strings"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// lambdaReads are the calls whose reply holds environment variables.
// ListFunctions gives those of every function at once.
var lambdaReads = []string{
	"lambda:GetFunction", "lambda:GetFunctionConfiguration", "lambda:ListFunctions", "lambda:ListVersionsByFunction",
}

// allFunctions stands for what ListFunctions reads.
const allFunctions = "all functions"

// functionReads remembers the functions whose configuration a principal got.
var functionReads = baseline.FirstSeen("lambda function read", func(e *event.Event) string {
	if !direct(e) || !e.Succeeded() {
		return ""
	}
	return functionRead(e)
}, &baseline.FirstSeenOptions{Cap: habits}).On(lambdaReads...)

// ownFunctions remembers the functions that a principal created or updates,
// which means that it knows their environment.
var ownFunctions = newOwnership("lambda function managed", func(list []string, e *event.Event) []string {
	return added(list, functionName(e.Request.At("functionName").Text()))
}, "lambda:CreateFunction", "lambda:UpdateFunctionCode", "lambda:UpdateFunctionConfiguration", "lambda:PublishVersion")

// functionRead returns the function that one of lambdaReads is about.
func functionRead(e *event.Event) string { return functionReadOf.Of(e) }

var functionReadOf = event.Derive(func(e *event.Event) string {
	if e.Operation == "ListFunctions" {
		return allFunctions
	}
	if name := e.Request.At("functionName").Text(); name != "" {
		return functionName(name)
	}
	return functionName(deniedResource(e))
})

// functionName returns the bare name of a function that is named, as the API
// allows, by name or ARN, whole or in part, with or without a version.
func functionName(name string) string {
	const marker = "function:"
	if i := strings.LastIndex(name, marker); i >= 0 {
		name = name[i+len(marker):]
	}
	name, _, _ = strings.Cut(name, ":")
	return name
}

func lambdaConfigRead(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "lambda-config-read",
		Doc: "A principal reads the configuration, and with it the environment variables, of a Lambda function that it neither manages nor reads regularly; " +
			"or lists all functions for the first time, which shows the variables of all. " +
			"Environment variables often hold credentials. Denied calls count too.",
		Technique: "T1552",
		Tactic:    detect.CredentialAccess,
		Severity:  detect.Medium,
		Events:    lambdaReads,
		Uses:      []baseline.Feature{functionReads, ownFunctions.earlier, ownFunctions.today, networks},
		Needs:     detect.ManagementReads,
		Learn:     learn,
		Cold:      detect.Low,
		Quiet:     novelty,
		Benign: []string{
			"A developer opens another team's function in the console.",
			"A deployment pipeline takes over functions that others had created.",
			"An inventory tool lists functions; declare it in Config.Scanners.",
		},
		Respond: []string{
			"Ask the principal's owner; if unexplained, revoke the principal's sessions and keys.",
			"Rotate every credential in the function's environment variables, and look for its use from elsewhere.",
		},
	}, func(p *detect.Pass) {
		function := functionRead(p.Event)
		if !p.Require("the configuration of a named function, or of all, was read or denied", function != "" && attempted(p.Event)) {
			return
		}
		reads := noveltyOf(functionReads.In(p), function)
		if p.Excuse("the principal reads it regularly", !reads.New) ||
			p.Excuse("the principal made or changed it on an earlier day", ownFunctions.earlier.In(p).Established(function)) {
			return
		}
		// Consoles and tools list functions to show their names.
		severity := detect.Low
		if function != allFunctions {
			severity = detect.Medium
		}
		if severity = ownFunctions.weigh(c, p, function, reads, severity); p.Excuse("the principal reads new ones every day", severity == detect.Silent) {
			return
		}
		age := functionReads.Age(p)
		p.ReportWith(severity, subjectOf(age, function), func() (string, []detect.Evidence) {
			title := "configuration of all functions"
			if function != allFunctions {
				title = "configuration of function " + shown(function)
			}
			return title + firstRead(p.Event, reads), placed(c, p, detect.Evidence{
				Name:     "function whose environment variables were requested",
				Observed: shown(function),
				Expected: usualReads(reads, age),
			})
		})
	})
}
