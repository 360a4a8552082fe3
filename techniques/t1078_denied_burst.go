package techniques

import (
	"fmt"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

const (
	// deniedCallsThreshold is Suzaku's ten in ten minutes, of different calls
	// instead of all, so that one failing loop is not a burst. Panther has 15.
	deniedCallsThreshold = 10
	// deniedActions of them must be more than questions, else they are
	// denied-recon-burst's. Our own.
	deniedActions = 3
)

var (
	// deniedCalls counts the different calls of any kind that a principal was
	// refused.
	deniedCalls = baseline.Distinct("denied call", deniedCall, 2*deniedCallsThreshold, 10*time.Minute)
	// deniedCallBursts remembers on which days it was refused many.
	deniedCallBursts = bursts("denied call", deniedCall, deniedCallsThreshold/2, 10*time.Minute)
)

func deniedCall(e *event.Event) string {
	if !e.Denied() || !direct(e) {
		return ""
	}
	return api(e)
}

func deniedBurst(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "denied-burst",
		Doc: "A principal is refused ten different calls within ten minutes, three of which would have done something, and is not used to that. " +
			"Who finds credentials tries what they allow, by script: create a user, start a machine, write a policy. " +
			"What differs from denied-recon-burst: that rule counts only questions (get, list and describe), this one counts everything and wants actions among it. " +
			"A new network and a new tool raise it, the console, whose pages try much, lowers it. Needs no learning.",
		Technique:  "T1078.004",
		Tactic:     detect.InitialAccess,
		Severity:   detect.Medium,
		Conditions: []*detect.Condition{{Text: "a call was refused", Is: func(e *event.Event) bool { return deniedCall(e) != "" }}},
		Uses:       []baseline.Feature{deniedCalls, deniedReads, deniedCallBursts, networks, tools},
		Needs:      detect.ManagementEvents,
		Threshold: c.threshold("denied-burst", detect.Threshold{
			Of: "different calls refused within 10 minutes", Value: deniedCallsThreshold, Min: deniedActions, Max: 2 * deniedCallsThreshold,
		}),
		Quiet: day,
		Benign: []string{
			"A deployment runs with a role that lacks rights, or after they were taken away by mistake.",
			"A person with few rights clicks through the console.",
		},
		Respond: []string{
			"List what was allowed among the refused calls: that is what the caller now knows it can do.",
			"Ask the principal's owner; if unexplained, deactivate the key or revoke the sessions.",
		},
	}, func(p *detect.Pass) {
		w := deniedCalls.In(p)
		if !p.Reaches(w.Count) ||
			!p.AtLeast("of them, calls that are no get, list or describe", w.Except(deniedReads.In(p)).Count, deniedActions) ||
			p.Excuse("the principal is refused much on many days", deniedCallBursts.In(p).Normal) {
			return
		}
		severity, around := unfamiliar(c, p, detect.Medium)
		p.ReportWith(severity, "", func() (string, []detect.Evidence) {
			return fmt.Sprintf("%d different calls refused within 10 minutes", w.Count), around.evidence(p, detect.Evidence{
				Name:     "different calls refused within 10 minutes",
				Observed: fmt.Sprintf("%d: %s", w.Count, strings.Join(w.Values(), ", ")),
				Expected: fmt.Sprintf("fewer than %d", p.Threshold()),
				EventIDs: w.EventIDs(),
			})
		})
	})
}
