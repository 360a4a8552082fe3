package techniques

import (
	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

func consoleLoginNoMFA(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "console-login-no-mfa",
		Doc: "An IAM user or root signs in to the console with a password alone. " +
			"A guessed or phished password is then enough. Root is high; a user is medium, and high from a network new to it. " +
			"Sign-ins through an identity provider always say that no MFA was used, because AWS does not see it, and are left out.",
		Technique: "T1078.004",
		Tactic:    detect.InitialAccess,
		Severity:  detect.Medium,
		Events:    []string{"signin:ConsoleLogin"},
		Uses:      []baseline.Feature{networks},
		Needs:     detect.ManagementWrites,
		Quiet:     day,
		Benign: []string{
			"A user who has not set up MFA yet: true, and still to be mended.",
		},
		Respond: []string{
			"Ask the user whether the sign-in was theirs.",
			"If not: delete the login profile, deactivate the user's keys and look at everything the session did.",
			"If so: have MFA set up, and deny everything else without it (aws:MultiFactorAuthPresent).",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		root := e.Principal.Kind == event.Root
		if !p.Require("root or an IAM user signed in", root || e.Principal.Kind == event.User) ||
			!p.Require("the sign-in succeeded", e.Succeeded()) ||
			!p.Require("no MFA was used", e.Additional.At("MFAUsed").Text() == "No") {
			return
		}
		severity, who := detect.Medium, "an IAM user"
		if root {
			severity, who = detect.High, "root"
		}
		around := circumstances{network: newNetwork(c, p)}
		p.ReportWith(around.raise(severity), "", func() (string, []detect.Evidence) {
			title := "console sign-in of " + who + " without MFA from " + e.SourceAddress
			if around.network {
				title += ", a network new to it"
			}
			return title, around.evidence(p, detect.Evidence{Name: "MFA used", Observed: "No", Expected: "Yes"})
		})
	})
}
