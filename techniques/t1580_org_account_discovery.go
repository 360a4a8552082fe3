package techniques

import (
	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// accountQuestions remembers what a principal asks about its account and the
// organisation around it.
var accountQuestions = baseline.FirstSeen("account question", accountQuestion, &baseline.FirstSeenOptions{Cap: 4}).On(accountQuestionEvents...)

var accountQuestionEvents = []string{
	"account:*", "iam:GetAccountSummary", "iam:ListAccountAliases", "identitystore:*", "organizations:*", "sso:*", "sso-directory:*",
}

// accountQuestion returns what is asked about, of the three kinds there are.
func accountQuestion(e *event.Event) string {
	if !discovery(e) {
		return ""
	}
	switch e.Service() {
	case "organizations":
		return "the organisation"
	case "account", "iam":
		return "the account"
	case "sso", "sso-directory", "identitystore":
		switch e.Operation {
		case "ListAccounts", "ListAccountRoles": // what every sign-in asks for its own person
			return ""
		}
		return "who may sign on to what"
	}
	return ""
}

func orgAccountDiscovery(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "org-account-discovery",
		Doc: "A principal asks for the first time what its account is called and holds, which organisation the account belongs to with which others, or who may sign on to them. " +
			"Few workloads need to know; whoever came by credentials wants to know how valuable the place is and where one can go from it. " +
			"Low on its own, more from a new network or with a new tool. Refused calls count too.",
		Technique: "T1580",
		Tactic:    detect.Discovery,
		Severity:  detect.Low,
		Events:    accountQuestionEvents,
		Uses:      []baseline.Feature{accountQuestions, networks, tools},
		Needs:     detect.ManagementReads,
		Learn:     learn,
		Cold:      detect.Informational,
		Quiet:     novelty,
		Benign: []string{
			"A landing zone, an inventory or an infrastructure tool starts to look at the organisation.",
			"Somebody opens the console's pages about the account or the organisation.",
		},
		Respond: []string{
			"See what else the principal asked in that hour: canonical-recon-set and new-services-burst tell a tour of the account.",
			"Look for attempts to assume roles in the accounts that were listed.",
			"If unexplained, revoke the principal's sessions and keys.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		if !p.Require("the call asks about the account or the organisation", accountQuestion(e) != "") {
			return
		}
		n := accountQuestions.In(p)
		if !p.Require("the question is new to the principal", n.New) {
			return
		}
		severity, around := unfamiliar(c, p, detect.Low)
		p.ReportWith(severity, subjectOf(accountQuestions.Age(p), n.Value), func() (string, []detect.Evidence) {
			return "asks about " + n.Value + " " + firstTime(n) + ": " + e.Operation, around.evidence(p, detect.Evidence{
				Name:     "questions about the account and the organisation",
				Observed: api(e) + ", " + outcome(e) + ", about " + n.Value,
				Expected: "what is usual: " + habit(n),
			})
		})
	})
}
