package techniques

import (
	"fmt"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// probedThreshold is our own: no public rule looks at what was allowed after it
// was refused. One or two refused calls and a retry are somebody who asked for
// a permission.
const probedThreshold = 3

var (
	// probedCalls counts the different management calls that a principal was
	// refused within an hour.
	probedCalls = baseline.Distinct("probed call", func(e *event.Event) string {
		if !e.Denied() {
			return ""
		}
		return probedCall(e)
	}, 4*probedThreshold, time.Hour)
	// probedUsually remembers which it is refused on other days: some of their
	// objects are allowed and others are not.
	probedUsually = baseline.FirstSeen("probed call", func(e *event.Event) string {
		if !e.Denied() {
			return ""
		}
		return probedCall(e)
	}, &baseline.FirstSeenOptions{Cap: 24})
	// probedTurns watches for the refused calls that were allowed then.
	probedTurns = turned("probed call", probedCall, 4*probedThreshold)
)

// probedCall names a principal's own management call, by as much of its name as
// a feature's answer can show. Who may read which object of a store is decided
// object by object, and says little about the call.
func probedCall(e *event.Event) string {
	if e.Category != event.Management || !direct(e) {
		return ""
	}
	name := api(e)
	return name[max(0, len(name)-32):]
}

func deniedThenAllowed(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "denied-then-allowed",
		Doc: "Within an hour a principal is refused three or more different calls that it is not refused otherwise, and one of them succeeds afterwards. " +
			"Either someone tries what the credentials allow and finds it, or the principal just got more rights. " +
			"Low, because people who are granted what they asked for look the same; a new network and a new tool each raise it, and the console lowers it.",
		Technique: "T1078.004",
		Tactic:    detect.InitialAccess,
		Severity:  detect.Low,
		Uses:      []baseline.Feature{probedCalls, probedUsually, probedTurns, networks, tools},
		Needs:     detect.ManagementEvents,
		Learn:     learn,
		Cold:      detect.Informational,
		Threshold: c.threshold("denied-then-allowed", detect.Threshold{
			Of: "different calls refused within an hour, but not on other days", Value: probedThreshold, Min: 2, Max: 4 * probedThreshold,
		}),
		Quiet: day,
		Benign: []string{
			"A deployment failed for lack of rights, somebody granted them, and it ran again.",
			"A call is allowed for some objects and refused for others, and the principal is new to it.",
		},
		Respond: []string{
			"See who gave the principal the rights in between: look for changes of policies, groups and roles within the hour.",
			"If nobody did, the caller is looking for what works: ask the principal's owner, and deactivate the key or revoke the sessions.",
			"List what the caller did with the call that worked.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		call := probedCall(e)
		turns := probedTurns.In(p)
		switch {
		case !p.Require("a management call of the principal's own succeeded or was refused", call != "" && attempted(e)):
			return
		case e.Succeeded() && !p.Require("the call was refused within the hour before", turns.of(call)):
			return
		}
		w := probedCalls.In(p)
		if !p.AtLeast("different calls refused within an hour", w.Count, p.Threshold()) { // the quick answer first
			return
		}
		if w = w.Except(probedUsually.In(p)); !p.Reaches(w.Count) {
			return
		}
		var allowed []string
		for _, name := range w.Values() {
			if turns.of(name) {
				allowed = append(allowed, name)
			}
		}
		if !p.Require("one of them was allowed afterwards", len(allowed) > 0) {
			return
		}
		severity, around := unfamiliar(c, p, detect.Low)
		p.ReportWith(severity, "", func() (string, []detect.Evidence) {
			title := fmt.Sprintf("%s allowed after %d different calls were refused", allowed[len(allowed)-1], w.Count)
			return title, around.evidence(p, detect.Evidence{
				Name:     "calls refused within an hour, and those of them allowed afterwards",
				Observed: fmt.Sprintf("%d refused: %s; allowed: %s", w.Count, strings.Join(w.Values(), ", "), strings.Join(allowed, ", ")),
				Expected: fmt.Sprintf("fewer than %d refused, besides those of other days", p.Threshold()),
				EventIDs: w.EventIDs(),
			})
		})
	})
}
