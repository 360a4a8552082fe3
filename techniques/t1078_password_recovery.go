package techniques

import (
	"github.com/cloudtell/cloudtell/detect"
)

func passwordRecovery(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "password-recovery",
		Doc: "Someone asks for a new password of root, or sets one. " +
			"Only root can recover its password, by a mail to the account's address: who reads that mailbox owns the account. " +
			"Anyone who knows the address can ask, so that is low; a recovery that is completed is high, and one level lower from Config.Networks.",
		Technique: "T1078.004",
		Tactic:    detect.InitialAccess,
		Severity:  detect.Low,
		Events:    []string{"signin:PasswordRecoveryRequested", "signin:PasswordRecoveryCompleted"},
		Needs:     detect.ManagementWrites,
		Quiet:     day,
		Benign: []string{
			"Whoever keeps root has forgotten the password, or it was never set, as in accounts that an organisation creates.",
			"A stranger tries the account's mail address; without its mailbox that leads nowhere.",
		},
		Respond: []string{
			"Ask whoever keeps root, over another channel, whether the request was theirs.",
			"If a recovery was completed and it was not: secure the mailbox first, recover the password again, replace root's MFA device, and call AWS Support.",
			"Read the mailbox's own sign-in log, and see that root has MFA.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		if !p.Require("the request was accepted", e.Succeeded() && e.Response.At(e.Name).Text() != "Failure") {
			return
		}
		severity, title := detect.Low, "a new password of "+e.Principal.Name+" was asked for from "+e.SourceAddress
		if e.Operation == "PasswordRecoveryCompleted" {
			severity, title = detect.High, "a new password of "+e.Principal.Name+" was set by recovery from "+e.SourceAddress
			if c.knownSource(e) {
				severity = severity.Lowered(1)
			}
		}
		p.ReportAt(severity, "", title, detect.Evidence{
			Name:     "recovery of a password",
			Observed: e.Operation + " from " + e.SourceAddress + " (" + clip(e.UserAgent) + ")",
			Expected: "none that nobody announced",
		})
	})
}
