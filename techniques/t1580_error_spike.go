package techniques

import (
	"fmt"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// The bar for a quarter of an hour of failures is our own; Elastic's jobs look
// at as long a time with a model. The floor keeps next to nothing from being
// multiplied, and the different calls keep out what fails in a loop.
const (
	errorSpikeThreshold = 20 // failed calls
	errorSpikeCalls     = 4  // different ones
	errorSpikeFactor    = 5  // over what typically fails for the principal
	errorSpikePeak      = 2  // over what has failed for it on two days
	errorSpikePeriod    = 15 * time.Minute
)

var (
	// mistakeRate counts the calls of a principal that fail for its own sake.
	mistakeRate = baseline.Rate("mistakes", func(e *event.Event) int64 {
		if !mistaken(e) {
			return 0
		}
		return 1
	}, errorSpikePeriod)
	// callsMistaken tells which different ones do.
	callsMistaken = baseline.Distinct("mistaken call", func(e *event.Event) string {
		if !mistaken(e) {
			return ""
		}
		return api(e)
	}, 4*errorSpikeCalls, errorSpikePeriod)
)

// mistaken reports whether a principal's own call failed because it may not
// make it or makes it wrongly: not because AWS was busy, the session over or
// the thing gone, which is what jobs fail of.
func mistaken(e *event.Event) bool { return e.ErrorCode != "" && mistakes.Of(e) != "" }

// mistakes are the error codes of such calls.
var mistakes = event.Derive(func(e *event.Event) string {
	if !direct(e) {
		return ""
	}
	for _, excuse := range [...]string{
		"Throttl", "RequestLimitExceeded", "TooManyRequests", "SlowDown", "RateExceeded", "ThroughputExceeded",
		"Internal", "Unavailable", "Timeout", "Expired",
		"NotFound", "NoSuch", "NotExist", "AlreadyExists", "AlreadyOwned", "ConditionalCheckFailed", "NotModified",
	} {
		if strings.Contains(e.ErrorCode, excuse) {
			return ""
		}
	}
	return e.ErrorCode
})

func errorSpike(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "error-spike",
		Doc: "Twenty or more calls of a principal fail within a quarter of an hour, of four different kinds at least, and far more than on its other days. " +
			"Whoever tries out credentials, or a tool that does, makes calls that are refused or malformed; whoever knows them does not. " +
			"Throttled calls, expired sessions and things that are gone do not count. Low; from a new network or with a new tool it is one level higher each.",
		Technique:  "T1580",
		Tactic:     detect.Discovery,
		Severity:   detect.Low,
		Conditions: []*detect.Condition{{Text: "the call failed for the caller's sake", Is: mistaken}},
		Uses:       []baseline.Feature{mistakeRate, callsMistaken, networks, tools},
		Needs:      detect.ManagementEvents | detect.S3DataEvents,
		Threshold: c.threshold("error-spike", detect.Threshold{
			Of: "calls failed in a quarter of an hour", Value: errorSpikeThreshold, Min: 5, Max: 10_000,
		}),
		Learn: learn,
		Cold:  detect.Informational,
		Quiet: day,
		Benign: []string{
			"A deployment runs with a policy that lacks rights, or permissions were taken away by mistake.",
			"Someone develops against AWS by trial and error.",
		},
		Respond: []string{
			"Read the failed calls: refused reads of many services are an inventory, refused IAM calls an attempt to gain rights.",
			"List what succeeded among them, from which address and with which tool.",
			"Ask the principal's owner; if unexplained, deactivate the key or revoke the sessions.",
		},
	}, func(p *detect.Pass) {
		r := mistakeRate.In(p)
		if !p.Reaches(int(min(r.Now, 1<<30))) {
			return
		}
		w := callsMistaken.In(p)
		if !p.AtLeast("different calls that failed within 15 minutes", w.Count, errorSpikeCalls) {
			return
		}
		past := r.Past()
		if p.Excuse("the principal fails about as often on other days",
			float64(r.Now) <= errorSpikeFactor*past.Typical || r.Now <= errorSpikePeak*past.Peak) {
			return
		}
		severity, around := unfamiliar(c, p, detect.Low)
		p.ReportWith(severity, "", func() (string, []detect.Evidence) {
			title := fmt.Sprintf("%d calls failed in a quarter of an hour, about %.0f do on other days", r.Now, past.Typical)
			return title, around.evidence(p, detect.Evidence{
				Name:     "calls that failed in a quarter of an hour",
				Observed: fmt.Sprintf("%d, of %d kinds or more: %s", r.Now, w.Count, some(w.Values())),
				Expected: fmt.Sprintf("fewer than %d; about %.0f on the %d days with any", p.Threshold(), past.Typical, past.Days),
				EventIDs: w.EventIDs(),
			})
		})
	})
}
