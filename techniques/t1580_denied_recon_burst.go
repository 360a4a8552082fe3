package techniques

import (
	"fmt"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// deniedReadsThreshold is Suzaku's: ten in ten minutes. It counts calls there,
// different calls here, so that one failing loop is not a burst.
const deniedReadsThreshold = 10

// deniedReads counts the different questions that a principal was refused.
var deniedReads = baseline.Distinct("denied read", deniedRead, 4*deniedReadsThreshold, 10*time.Minute)

// deniedBursts remembers on which days it was refused many.
var deniedBursts = bursts("denied read", deniedRead, deniedReadsThreshold/2, 10*time.Minute)

func deniedRead(e *event.Event) string {
	if !e.Denied() || !direct(e) || !asks(e.Operation) {
		return ""
	}
	return api(e)
}

func deniedReconBurst(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "denied-recon-burst",
		Doc: "A principal is refused ten different get, list and describe calls within ten minutes, and is not used to that. " +
			"Who tries what credentials are allowed to do is refused most of it; who knows them is not. " +
			"High from a new network or with a new tool. Needs no learning.",
		Technique:  "T1580",
		Tactic:     detect.Discovery,
		Severity:   detect.Medium,
		Conditions: []*detect.Condition{{Text: "a question was refused", Is: func(e *event.Event) bool { return deniedRead(e) != "" }}},
		Uses:       []baseline.Feature{deniedReads, deniedBursts, networks, tools},
		Needs:      detect.ManagementReads,
		Threshold: c.threshold("denied-recon-burst", detect.Threshold{
			Of: "different get, list and describe calls refused within 10 minutes", Value: deniedReadsThreshold, Min: 3, Max: 4 * deniedReadsThreshold,
		}),
		Quiet: day,
		Benign: []string{
			"A person with few rights opens console pages that try everything; lowered.",
			"A scanner or agent whose policy lacks rights; after three days it is habit.",
			"A permission was taken away by mistake.",
		},
		Respond: []string{
			"List what was allowed among the refused calls: that is what the caller now knows it can do.",
			"Ask the principal's owner; if unexplained, deactivate the key or revoke the sessions.",
		},
	}, func(p *detect.Pass) {
		w := deniedReads.In(p)
		if !p.Reaches(w.Count) || p.Excuse("such bursts are a habit of the principal", deniedBursts.In(p).Normal) {
			return
		}
		severity, around := unfamiliar(c, p, detect.Medium)
		p.ReportWith(severity, "", func() (string, []detect.Evidence) {
			return fmt.Sprintf("%d different read calls refused within 10 minutes", w.Count), around.evidence(p, deniedEvidence(w, p.Threshold()))
		})
	})
}

func deniedEvidence(w baseline.Window, threshold int) detect.Evidence {
	const shown = 12
	values := w.Values()
	return detect.Evidence{
		Name:     "different get, list and describe calls refused within 10 minutes",
		Observed: fmt.Sprintf("%d: %s", w.Count, strings.Join(values[:min(shown, len(values))], ", ")),
		Expected: fmt.Sprintf("fewer than %d", threshold),
		EventIDs: w.EventIDs(),
	}
}
