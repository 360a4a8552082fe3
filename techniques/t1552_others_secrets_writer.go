package techniques

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// settingsWritten collects the kinds of settings with room for secrets that a
// principal wrote within an hour.
var settingsWritten = baseline.Distinct("settings written", func(e *event.Event) string {
	if !direct(e) || !e.Succeeded() {
		return ""
	}
	return settings(e)
}, 4, time.Hour).On("ec2:RunInstances", "ec2:ModifyInstanceAttribute", "ec2:CreateLaunchTemplate", "ec2:CreateLaunchTemplateVersion",
	"lambda:CreateFunction", "lambda:UpdateFunctionConfiguration")

// settings returns the kind of settings with room for secrets that an event
// writes, or "". Their values are not logged, only that there are some.
func settings(e *event.Event) string {
	switch e.Operation {
	case "RunInstances":
		if e.Request.At("userData").Exists() {
			return "user data of an instance"
		}
	case "ModifyInstanceAttribute": // logged in two shapes
		if e.Request.At("userData").Exists() || e.Request.At("attribute").Text() == "userData" {
			return "user data of an instance"
		}
	case "CreateLaunchTemplate", "CreateLaunchTemplateVersion":
		if folded(folded(ec2Request(e), "launchTemplateData"), "userData").Exists() {
			return "user data of a launch template"
		}
	case "CreateFunction", "UpdateFunctionConfiguration":
		if e.Request.At("environment").Exists() {
			return "environment variables of a function"
		}
	}
	return ""
}

// settingsRead collects the instances and functions whose settings a principal
// got within an hour.
var settingsRead = baseline.Distinct("settings read", func(e *event.Event) string {
	if !direct(e) || !e.Succeeded() {
		return ""
	}
	return settingsOf(e)
}, 12, time.Hour).On("ec2:DescribeInstanceAttribute", "ec2:GetLaunchTemplateData",
	"lambda:GetFunction", "lambda:GetFunctionConfiguration", "lambda:ListVersionsByFunction")

// settingsOf returns the instance or function whose settings an event reads,
// or "".
func settingsOf(e *event.Event) string {
	switch e.Operation {
	case "DescribeInstanceAttribute", "GetLaunchTemplateData":
		return userdataSource(e)
	case "GetFunction", "GetFunctionConfiguration", "ListVersionsByFunction":
		return functionRead(e)
	}
	return ""
}

func othersSecretsWriter(*Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "others-secrets-writer",
		Doc: "A principal writes user data, a launch template or the environment variables of a function, and within an hour reads such settings of instances or functions that it did not make. " +
			"This is about what it may do: who deploys one application should not be able to read the secrets of the others. " +
			"It weighs more if reading them is no habit of the principal.",
		Technique: "T1552",
		Tactic:    detect.CredentialAccess,
		Severity:  detect.Low,
		Events:    slices.Concat(settingsWritten.Events(), settingsRead.Events()),
		Uses: []baseline.Feature{
			settingsWritten, settingsRead, userdataReads, templateReads, functionReads,
			ownInstances.earlier, ownInstances.today, ownFunctions.earlier, ownFunctions.today,
		},
		Needs: detect.ManagementReads | detect.ManagementWrites,
		Learn: learn,
		Cold:  detect.Informational,
		Quiet: novelty,
		Benign: []string{
			"A pipeline deploys everything in the account, and compares it before it does.",
			"A pipeline takes over what others made: it reads it, and changes it a moment later.",
			"An administrator sets up one application after the model of another.",
		},
		Respond: []string{
			"Find out whether the principal's task needs to read settings of what it does not deploy; if not, take the permission away.",
			"Move secrets from user data and environment variables to Secrets Manager or SecureString parameters.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		if !p.Require("settings were written, or read", e.Succeeded() && (settings(e) != "" || settingsOf(e) != "")) {
			return
		}
		written, read := settingsWritten.In(p), settingsRead.In(p)
		if !p.Require("the principal wrote settings within an hour", written.Count > 0) ||
			!p.Require("the principal read settings within an hour", read.Count > 0) {
			return
		}
		others := read.Except(ownInstances.earlier.In(p), ownFunctions.earlier.In(p))
		if p.Excuse("the principal made all that it read on an earlier day", others.Count == 0) {
			return
		}
		severity := detect.Informational
		strange := others.Except(userdataReads.In(p), templateReads.In(p), functionReads.In(p), ownInstances.today.In(p), ownFunctions.today.In(p))
		if strange.Count > 0 {
			severity = detect.Low
		}
		p.ReportWith(person(e, severity), "", func() (string, []detect.Evidence) {
			return "settings written by a principal that also reads those of others", []detect.Evidence{{
				Name:     "settings with room for secrets, written within an hour",
				Observed: strings.Join(written.Values(), ", "),
				Expected: "none by who reads those of others",
				EventIDs: written.EventIDs(),
			}, {
				Name:     "instances and functions of others whose settings were read within an hour",
				Observed: fmt.Sprintf("%d: %s", others.Count, strings.Join(others.Values(), ", ")),
				Expected: "none by who writes settings",
				EventIDs: others.EventIDs(),
			}}
		})
	})
}
