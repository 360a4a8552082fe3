package techniques

import (
	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// metadataVersions remembers by which versions of the instance metadata service
// a role's credentials are delivered. One day, a week ago, makes a version usual.
var metadataVersions = baseline.FirstSeen("instance metadata version", func(e *event.Event) string {
	if !direct(e) {
		return ""
	}
	return e.Identity.EC2RoleDelivery
}, &baseline.FirstSeenOptions{Cap: 4, Days: 1})

// The versions of the instance metadata service, as records name them.
const imdsV1, imdsV2 = "1.0", "2.0"

func imdsv1Allowed(*Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "imdsv1-allowed",
		Doc: "Instances are launched, changed or described in a template or the account's defaults so that version 1 of the instance metadata service answers them, or a role's credentials are delivered by it. " +
			"Version 1 asks for no token: whoever can make a program on the instance fetch an address of their choice gets the role's credentials and the user data. " +
			"A role whose credentials were always delivered by version 2 until now weighs more.",
		Technique: "T1552.005",
		Tactic:    detect.CredentialAccess,
		Severity:  detect.Informational,
		Uses:      []baseline.Feature{metadataVersions},
		Needs:     detect.ManagementWrites,
		Quiet:     novelty,
		Benign: []string{
			"An old program or agent on the instance knows version 1 only.",
			"Nobody has made version 2 the account's default yet.",
		},
		Respond: []string{
			"Set HttpTokens to required, on the instance, in the template, and as the account's default for the region.",
			"Look with the metric MetadataNoToken for what on the instance still uses version 1.",
			"If a role's credentials came by version 2 before, look for requests to a web application that name 169.254.169.254.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		if e.Identity.EC2RoleDelivery == imdsV1 {
			deliveredWithoutToken(p)
		}
		if !p.Require("options of the metadata service were set", e.Service() == "ec2" && setsMetadataOptions(e.Operation)) ||
			!p.Require("the call succeeded", e.Succeeded()) {
			return
		}
		options, subject, what := metadataOptions(e)
		if !p.Require("tokens are optional", folded(options, "httpTokens").Text() == "optional") ||
			p.Excuse("the metadata service is switched off", folded(options, "httpEndpoint").Text() == "disabled") {
			return
		}
		p.Report(subject, what, detect.Evidence{
			Name:     "tokens for the instance metadata service",
			Observed: "optional",
			Expected: "required",
		})
	})
}

// deliveredWithoutToken reports credentials that version 1 delivered.
func deliveredWithoutToken(p *detect.Pass) {
	versions := metadataVersions.In(p)
	if p.Excuse("the role's credentials were delivered so on an earlier day", !versions.New) {
		return
	}
	severity := detect.Informational
	if versions.Established(imdsV2) {
		severity = detect.Low
	}
	p.ReportWith(severity, "credentials", func() (string, []detect.Evidence) {
		return "credentials of an instance's role were delivered without a token", []detect.Evidence{{
			Name:     "version of the metadata service that delivered the credentials",
			Observed: imdsV1,
			Expected: imdsV2,
		}}
	})
}

func setsMetadataOptions(operation string) bool {
	switch operation {
	case "RunInstances", "ModifyInstanceMetadataOptions", "ModifyInstanceMetadataDefaults", "CreateLaunchTemplate", "CreateLaunchTemplateVersion":
		return true
	}
	return false
}

// metadataOptions returns the metadata options that a call sets, what they are
// for, and a title. What a launch results in is in the response, since the
// image, the template and the account's default have a say in it.
func metadataOptions(e *event.Event) (options event.Raw, subject, title string) {
	r := ec2Request(e)
	switch e.Operation {
	case "RunInstances":
		options = r.At("metadataOptions")
		for instance := range e.Response.At("instancesSet", "items").Items() {
			if o := instance.At("metadataOptions"); o.Exists() {
				options = o
			}
			break // all are alike
		}
		return options, "launches", "instances launched that the metadata service answers without a token"
	case "ModifyInstanceMetadataOptions":
		subject = folded(r, "instanceId").Text()
		return r, subject, "metadata service of " + shown(subject) + " changed to answer without a token"
	case "ModifyInstanceMetadataDefaults":
		return r, "defaults", "instances launched in " + e.Region + " from now on answer without a token unless told otherwise"
	}
	for _, template := range launchTemplates(nil, e) {
		subject = template
		break
	}
	return folded(folded(r, "launchTemplateData"), "metadataOptions"), subject,
		"launch template " + shown(subject) + " has the metadata service answer without a token"
}
