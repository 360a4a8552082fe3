package techniques

import (
	"strings"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// rolesAssumed remembers the roles that a principal takes.
var rolesAssumed = baseline.FirstSeen("role assumed", func(e *event.Event) string {
	if !direct(e) || !e.Succeeded() {
		return ""
	}
	return e.Request.At("roleArn").Text()
}, &baseline.FirstSeenOptions{Cap: 32}).On("sts:AssumeRole")

func roleAssumeFirstSeen(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "role-assume-first-seen",
		Doc: "A principal assumes a role that it never assumed before. " +
			"Whoever holds stolen credentials goes from role to role until one can do what is wanted. " +
			"Informational on its own. One step higher each: a role's session takes the role, as when roles are chained; " +
			"the caller or the role is of another account, unless Config.Accounts knows it; the network is new, too. " +
			"What services assume is left out.",
		Technique: "T1078.004",
		Tactic:    detect.InitialAccess,
		Severity:  detect.Low,
		Events:    []string{"sts:AssumeRole"},
		Uses:      []baseline.Feature{rolesAssumed, networks},
		Needs:     detect.ManagementReads,
		Quiet:     novelty,
		Benign: []string{
			"A person or a pipeline got a new role, account or task.",
			"A vendor's access from its own account was set up; a caller of another account is known only by its unique id.",
		},
		Respond: []string{
			"Ask the caller's owner what the role was taken for, and see in the role's trust policy who may take it.",
			"Follow the session: its access key id is in the response, and its calls carry the role's name.",
			"If unexplained, revoke the sessions of both, and narrow the trust policy.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		n := rolesAssumed.In(p)
		severity := surprise(n, detect.Informational)
		// A foreign caller is what is new about itself: there is no waiting for
		// its habits.
		foreign := e.Principal.Kind == event.Account
		if !p.Require("the role was assumed", n.Value != "") ||
			!p.Require("the role is new to the caller", n.New) ||
			!p.Require("the caller is known for two weeks, or of another account", foreign || mature(rolesAssumed.Age(p))) ||
			p.Excuse("the caller is of an own account, whose log tells it", foreign && c.ownAccount(e.Principal.AccountID)) {
			return
		}
		chained := e.Principal.Kind == event.Role || e.Principal.Kind == event.InstanceRole
		if chained {
			severity = raised(severity, 1)
		}
		target := accountOf(n.Value)
		elsewhere := target != e.Principal.AccountID && !c.ownAccount(target)
		if foreign || elsewhere {
			severity = raised(severity, 1)
		}
		around := circumstances{network: newNetwork(c, p)}
		p.ReportWith(around.raise(severity), subjectOf(rolesAssumed.Age(p), n.Value), func() (string, []detect.Evidence) {
			title := "assumed role " + shown(n.Value) + " " + firstTime(n)
			if chained {
				title += ", from another role"
			}
			switch {
			case foreign:
				title += ", from account " + e.Principal.AccountID
			case elsewhere:
				title += ", in another account"
			}
			if around.network {
				title += ", from a new network"
			}
			return title, around.evidence(p, detect.Evidence{
				Name:     "role assumed",
				Observed: shown(n.Value) + " by " + e.Principal.Key,
				Expected: habit(n),
			})
		})
	})
}

// accountOf returns the account that an ARN names, or "".
func accountOf(arn string) string {
	for range 4 {
		_, arn, _ = strings.Cut(arn, ":")
	}
	account, _, whole := strings.Cut(arn, ":")
	if !whole {
		return ""
	}
	return account
}
