package techniques

import (
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// rootDays remembers the days on which root was used.
var rootDays = baseline.LastSeen("root", usesRoot)

// usesRoot reports whether someone has root's credentials: signs in with its
// password, or makes a call as root. What can be done without them, such as to
// mistype the password or to ask for a new one, is no use of root, nor is what
// AWS itself does in root's name.
func usesRoot(e *event.Event) bool {
	return e.Principal.Kind == event.Root && direct(e) && e.Type != "AwsServiceEvent" &&
		(!e.Is("signin") || e.Is("signin", "ConsoleLogin") && e.Succeeded())
}

func rootUse(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "root-use",
		Doc: "The root user is used: it signs in, or calls an API. " +
			"Nothing limits root, and hardly anything needs it, so every use should be known beforehand. " +
			"High with an access key, which root should not have at all. Once a day, with the day of the last use.",
		Technique:  "T1078.004",
		Tactic:     detect.InitialAccess,
		Severity:   detect.Medium,
		Conditions: []*detect.Condition{{Text: "root's credentials were used", Is: usesRoot}},
		Uses:       []baseline.Feature{rootDays},
		Needs:      detect.ManagementEvents,
		Quiet:      day,
		Benign: []string{
			"One of the few tasks that only root may do, such as closing the account or changing its plan.",
			"A young account that nobody has set up users for yet.",
			"The management account takes a root action on a member account (AssumeRoot).",
		},
		Respond: []string{
			"Ask whoever keeps root's password and MFA device whether the use was theirs.",
			"If not: reset root's password and MFA, end its sessions, and look for users, keys and roles created by it.",
			"Delete root's access keys; nothing needs them.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		signIn, key := e.Operation == "ConsoleLogin", longTermKey(e)
		severity := detect.Medium
		if key && !signIn {
			severity = detect.High
		}
		p.ReportWith(severity, "", func() (string, []detect.Evidence) {
			title := "root called " + e.Operation + " from " + e.SourceAddress
			switch {
			case signIn:
				title = "root signed in from " + e.SourceAddress
			case key:
				title = "an access key of root was used from " + e.SourceAddress
			}
			lastUse := "never before, as far as is remembered"
			if a := rootDays.In(p); a.Days > 0 {
				lastUse = "last on " + a.Last.Format(time.DateOnly)
			}
			return title, []detect.Evidence{{
				Name:     "use of root",
				Observed: clip(e.Operation) + " from " + source(e) + "; " + lastUse,
				Expected: "none, but for what only root may do",
			}}
		})
	})
}
