package techniques

import (
	"strings"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// byPolicyAccount is the account, for events that put policies on identities.
// A narrow scope spares an engine from taking every event of an account to one
// more record.
var byPolicyAccount = &detect.Scope{Name: "account-policies", Key: func(e *event.Event) string {
	if e.Is("iam", "AttachUserPolicy", "AttachRolePolicy", "PutUserPolicy") {
		return e.AccountID
	}
	return ""
}}

func awsQuarantinedKey(*Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "aws-quarantined-key",
		Doc: "AWS quarantines an identity: the policy AWSCompromisedKeyQuarantine, in any version, is put on it. " +
			"AWS does so when it finds the identity's access key in public, so the key is in strangers' hands. One event proves it.",
		Technique: "T1078.004",
		Tactic:    detect.InitialAccess,
		Severity:  detect.Critical,
		Events:    []string{"iam:AttachUserPolicy", "iam:AttachRolePolicy", "iam:PutUserPolicy"},
		Scope:     byPolicyAccount,
		Needs:     detect.ManagementWrites,
		Quiet:     novelty,
		Benign: []string{
			"A responder attaches the policy by hand to hold an identity; then the caller is a person of yours.",
		},
		Respond: []string{
			"Deactivate all access keys of the identity named, now: the quarantine denies only some actions.",
			"Open AWS's message in the Health Dashboard or the support case, and delete the key where it was found.",
			"List everything the key called since it was leaked; remove what it created, in every region.",
			"Issue a new key only if no role can do the work, then delete the old one and detach the policy.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		policy := e.Request.At("policyArn").Text()
		if policy == "" {
			policy = e.Request.At("policyName").Text()
		}
		name := policy[strings.LastIndexByte(policy, '/')+1:]
		if !p.Require("the policy is AWS's quarantine", strings.HasPrefix(name, "AWSCompromisedKeyQuarantine")) ||
			!p.Require("the call succeeded", e.Succeeded()) {
			return
		}
		kind, identity := "user", e.Request.At("userName").Text()
		if identity == "" {
			kind, identity = "role", e.Request.At("roleName").Text()
		}
		// What else is found about the identity belongs to the same story.
		p.About(event.Principal{Key: "arn:aws:iam::" + e.AccountID + ":" + kind + "/" + identity, Name: identity})
		p.Report(identity, "AWS quarantined "+clip(identity)+": its access key is public", detect.Evidence{
			Name:     "policy put on " + clip(identity),
			Observed: clip(name),
			Expected: "no quarantine",
		})
	})
}
