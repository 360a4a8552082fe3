package techniques

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// reconThenActThreshold is one less than what canonicalThreshold asks for by
// itself: the action that follows is the rest of the proof.
const reconThenActThreshold = canonicalThreshold - 1

// actingCalls are what intruders do once they know where they are: they take
// credentials, make sure that they can come back, or carry data off.
var actingCalls = []string{
	"ec2:CreateSnapshot",
	"ec2:GetPasswordData",
	"ec2:ModifyImageAttribute",
	"ec2:ModifySnapshotAttribute",
	"iam:AddUserToGroup",
	"iam:AttachRolePolicy",
	"iam:AttachUserPolicy",
	"iam:CreateAccessKey",
	"iam:CreateLoginProfile",
	"iam:CreatePolicyVersion",
	"iam:CreateUser",
	"iam:PutRolePolicy",
	"iam:PutUserPolicy",
	"iam:UpdateAssumeRolePolicy",
	"iam:UpdateLoginProfile",
	"lambda:AddPermission",
	"lambda:UpdateFunctionCode",
	"rds:ModifyDBSnapshotAttribute",
	"s3:PutBucketPolicy",
	"secretsmanager:BatchGetSecretValue",
	"secretsmanager:GetSecretValue",
	"ssm:SendCommand",
	"ssm:StartSession",
	"sts:GetFederationToken",
}

var (
	// actsLately tells which of them a principal lately made, allowed or not.
	actsLately = baseline.Distinct("acting call", act, 8, day).On(actingCalls...)
	// actsUsual remembers which it makes as a habit. It has room for all.
	actsUsual = baseline.FirstSeen("acting call", act, &baseline.FirstSeenOptions{Cap: len(actingCalls)}).On(actingCalls...)
	// canonicalLately is canonicalAsked for a whole day.
	canonicalLately = baseline.Distinct("canonical recon", directAPI, len(canonicalCalls), day).On(canonicalCalls...)
	// askedThenActed watches for an action that follows a question.
	askedThenActed = baseline.Sequence("recon then act", day,
		func(e *event.Event) bool { return direct(e) && slices.Contains(canonicalCalls, api(e)) },
		func(e *event.Event) bool { return slices.Contains(actingCalls, act(e)) }).On(askingOrActing...)
)

var askingOrActing = slices.Concat(canonicalCalls, actingCalls)

// act names one of the actingCalls that a principal made itself, allowed or
// not.
func act(e *event.Event) string {
	if !direct(e) || !attempted(e) {
		return ""
	}
	return api(e)
}

func reconThenAct(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "recon-then-act",
		Doc: "Within a day a principal makes four of the eleven calls that intruders orient themselves with, and then one that takes credentials, keeps a way in or carries data off; none of them is its habit. " +
			"The orientation may be slow here, because the action proves what it was for. The actions: " + strings.Join(actingCalls, ", ") + ". Refused calls count too.",
		Technique: "T1580",
		Tactic:    detect.Discovery,
		Severity:  detect.High,
		Events:    askingOrActing,
		Uses:      []baseline.Feature{actsLately, actsUsual, canonicalLately, reconUsual, askedThenActed},
		Needs:     detect.ManagementEvents,
		Threshold: c.threshold("recon-then-act", detect.Threshold{
			Of: "orientation calls within 24 hours that are no habit", Value: reconThenActThreshold, Min: 2, Max: len(canonicalCalls),
		}),
		Learn: learn,
		Cold:  detect.Informational,
		Quiet: day,
		Benign: []string{
			"An administrator or a deployment is given a new task, and looks around before it begins.",
			"Someone looks into an incident and stops it.",
		},
		Respond: []string{
			"Undo the action first if nobody explains it: delete the key, user or policy, end the sharing, rotate the secret.",
			"Deactivate the principal's keys and revoke its sessions, and those of whatever it created.",
			"Read all its calls of the day in their order, with source address and tool.",
		},
	}, func(p *detect.Pass) {
		did := actsLately.In(p)
		if !p.Require("a call within 24 hours that takes credentials, keeps a way in or carries data off", did.Count > 0) {
			return
		}
		asked := canonicalLately.In(p)
		if !p.AtLeast("orientation calls within 24 hours", asked.Count, p.Threshold()) {
			return
		}
		steps := askedThenActed.In(p)
		if !p.Require("the orientation began before it", steps.Done) {
			return
		}
		usual := actsUsual.In(p)
		if did = did.Except(usual); !p.Require("the principal did not use to make such calls", did.Count > 0) {
			return
		}
		questions := reconUsual.In(p)
		if asked = asked.Except(questions); !p.Reaches(asked.Count) {
			return
		}
		p.ReportWith(surprise(usual, person(p.Event, detect.High)), "", func() (string, []detect.Evidence) {
			return "looks around, then calls " + strings.Join(did.Values(), ", "), []detect.Evidence{{
				Name:     "calls that take credentials, keep a way in or carry data off",
				Observed: strings.Join(did.Values(), ", "),
				Expected: "usual ones: " + habit(usual),
				EventIDs: did.EventIDs(),
			}, {
				Name:     "orientation calls within 24 hours that are no habit",
				Observed: strings.Join(asked.Values(), ", "),
				Expected: fmt.Sprintf("fewer than %d; usual ones: %s", p.Threshold(), habit(questions)),
				EventIDs: asked.EventIDs(),
			}}
		})
	})
}
