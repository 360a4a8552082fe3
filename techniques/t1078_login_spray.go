package techniques

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// Public rules count failures from an address: Suzaku 3 in 5 minutes, Splunk
// more than 20 in 10. People mistype three times, and an office shares an
// address; five users and fifteen failures are our own.
const (
	sprayUsers    = 5
	sprayFailures = 15
	sprayWindow   = 10 * time.Minute
)

// bySignInSource is the address that a console sign-in comes from, of IPv6 the
// /64, within which a single machine may have any.
var bySignInSource = &detect.Scope{Name: "sign-in-source", Key: func(e *event.Event) string {
	switch {
	case !e.Is("signin", "ConsoleLogin") || !e.IP.IsValid():
		return ""
	case e.IP.Is4():
		return e.IP.String()
	}
	return netip.PrefixFrom(e.IP, 64).Masked().String()
}}

var (
	// usersMistyped counts the users whose sign-ins failed. Names that do not
	// exist are not logged, lest one be a password typed in the wrong place:
	// all those of an account are one.
	usersMistyped = baseline.Distinct("user whose sign-in failed", func(e *event.Event) string {
		if e.Succeeded() {
			return ""
		}
		return e.Principal.Key
	}, 2*sprayUsers, sprayWindow).On("signin:ConsoleLogin")
	// failedSignIns counts the failures.
	failedSignIns = baseline.Distinct("failed sign-in", func(e *event.Event) string {
		if e.Succeeded() {
			return ""
		}
		return e.ID
	}, 2*sprayFailures, sprayWindow).On("signin:ConsoleLogin")
	// signInSteps watches for the password that was right.
	signInSteps = baseline.Sequence("failed, then successful sign-in", sprayWindow,
		func(e *event.Event) bool { return !e.Succeeded() }, (*event.Event).Succeeded).On("signin:ConsoleLogin")
)

func loginSpray(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "login-spray",
		Doc: "Sign-ins to the console fail for five or more users from one address within ten minutes, or fifteen times for fewer. " +
			"The former tries a few passwords on everyone, the latter many on someone. High if a sign-in from there succeeds then. " +
			"One level lower from Config.Networks, where many people may share an address. Names that do not exist count as one user.",
		Technique:   "T1078.004",
		Tactic:      detect.InitialAccess,
		Severity:    detect.Medium,
		Events:      []string{"signin:ConsoleLogin"},
		Uses:        []baseline.Feature{usersMistyped, failedSignIns, signInSteps},
		Scope:       bySignInSource,
		Needs:       detect.ManagementWrites,
		AboutSource: true,
		Threshold: c.threshold("login-spray", detect.Threshold{
			Of: "users whose sign-in failed from one address within 10 minutes", Value: sprayUsers, Min: 2, Max: 2 * sprayUsers,
		}),
		Quiet: day,
		Benign: []string{
			"Many people behind one address mistype at once, after passwords expired; list the address in Config.Networks.",
			"A monitor or script signs in with an old password.",
		},
		Respond: []string{
			"If a sign-in succeeded: disable that user's password and keys, end its sessions, and look at what it did.",
			"Block the address, and ask the users named whether they tried to sign in.",
			"Require MFA of all of them, or replace IAM users by IAM Identity Center.",
		},
	}, func(p *detect.Pass) {
		users, failures := usersMistyped.In(p), failedSignIns.In(p)
		if !p.Reaches(users.Count) && !p.AtLeast("failed sign-ins from one address within 10 minutes", failures.Count, sprayFailures) {
			return
		}
		e := p.Event
		severity := detect.Medium
		steps := signInSteps.In(p)
		if steps.Done {
			severity = detect.High
		}
		if c.knownSource(e) {
			severity = severity.Lowered(1)
		}
		p.ReportWith(severity, "", func() (string, []detect.Evidence) {
			title := fmt.Sprintf("%d sign-ins failed within 10 minutes from %s, different users: %d", failures.Count, e.SourceAddress, users.Count)
			if steps.Done {
				title += "; and one succeeded"
			}
			return title, []detect.Evidence{{
				Name:     "users whose sign-in failed from one address within 10 minutes",
				Observed: fmt.Sprintf("%d: %s", users.Count, strings.Join(users.Values(), ", ")),
				Expected: fmt.Sprintf("fewer than %d", p.Threshold()),
				EventIDs: users.EventIDs(),
			}, {
				Name:     "failed sign-ins from there",
				Observed: fmt.Sprint(failures.Count),
				Expected: fmt.Sprintf("fewer than %d, of however few users", sprayFailures),
				EventIDs: failures.EventIDs(),
			}}
		})
	})
}
