package techniques

import (
	"fmt"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// The bar for a minute of reading. Ten times the usual is what the reference
// asks for; the rest is ours, so that ten times next to nothing, a weekly batch
// job and a short history do not count.
const (
	readRateFactor     = 10 // over what the principal typically reads in a minute
	readRatePeakFactor = 2  // over what it has read in a minute on two days
	readRateFloor      = 50 // reads a minute
	readRateDays       = 5  // days with reads to judge by
)

// readRate counts the objects that a principal reads per minute.
var readRate = baseline.Rate("object reads", func(e *event.Event) int64 {
	if !readsObject(e) {
		return 0
	}
	return 1
}, time.Minute).On("s3:GetObject")

func getObjectRateOverBaseline(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "getobject-rate-over-baseline",
		Doc: "A principal reads S3 objects more than ten times as fast as it usually does. " +
			"A minute counts from 50 reads on, if it also exceeds twice what the principal has reached on two of the past 30 days, so that batch jobs and weekly cycles are its habit. " +
			"Many reads of few objects, as when a large one is fetched in parts, are one level lower.",
		Technique: "T1530",
		Tactic:    detect.Collection,
		Severity:  detect.High,
		Events:    []string{"s3:GetObject"},
		Uses:      []baseline.Feature{readRate, objectsRead},
		Needs:     detect.S3DataEvents,
		Threshold: c.threshold("getobject-rate-over-baseline", detect.Threshold{
			Of: "reads within a minute", Value: readRateFloor, Min: 1, Max: 1_000_000,
		}),
		Learn: learn,
		Cold:  detect.Low,
		Quiet: 24 * time.Hour,
		Benign: []string{
			"A migration, a restore or a reprocessing of old data runs for the first time.",
			"A batch job runs for the first or second time; from the third day on it is normal.",
			"A client fetches a large object in many parts.",
		},
		Respond: []string{
			"Look at the objects and the source address; ask the principal's owner whether a job was meant to run.",
			"If unexplained, revoke the principal's sessions and keys, and deny it the bucket.",
			"Add up bytesTransferredOut of its GetObject events to know how much has left.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		if !p.Require("the principal itself read an object", readsObject(e)) ||
			p.Excuse("the bucket is meant to be public", c.publicBucket(e.Bucket())) {
			return
		}
		r := readRate.In(p)
		now := int(r.Now)
		if !p.Reaches(now) {
			return
		}
		past := r.Past()
		if !p.AtLeast("days with reads to judge by", past.Days, readRateDays) ||
			!p.AtLeast("reads within a minute, against ten times the usual", now, int(readRateFactor*past.Typical)+1) ||
			!p.AtLeast("reads within a minute, against twice what two days reached", now, readRatePeakFactor*int(past.Peak)+1) {
			return
		}
		objects := objectsRead.In(p)
		severity := person(e, detect.High)
		if objects.Count < bulkObjects {
			severity = severity.Lowered(1)
		}
		p.ReportWith(severity, "", func() (string, []detect.Evidence) {
			return fmt.Sprintf("%d objects read in a minute, %.0f in a usual one", r.Now, past.Typical), []detect.Evidence{{
				Name:     "GetObject calls in a minute",
				Observed: fmt.Sprint(r.Now),
				Expected: fmt.Sprintf("about %.0f, the median of %d days with reads; %d was reached on two of them", past.Typical, past.Days, past.Peak),
			}, objectsEvidence(objects)}
		})
	})
}
