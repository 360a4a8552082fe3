package techniques

import (
	"fmt"
	"strings"
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

// bulkObjects is how many different objects are many: fewer than that, asked
// for often, are the parts of large ones.
const bulkObjects = 20

// objectsRead tells the different objects that a principal read. Objects of
// one name in two buckets count once, which spares joining the two names for
// every read.
var objectsRead = baseline.Distinct("object read", func(e *event.Event) string {
	if !readsObject(e) {
		return ""
	}
	return e.ObjectKey()
}, 2*bulkObjects, time.Hour).On("s3:GetObject")

// readsObject reports whether a principal itself got an object.
func readsObject(e *event.Event) bool {
	return e.Is("s3", "GetObject") && direct(e) && e.Succeeded()
}

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
		Learn:     learn,
		LearnDays: readRateDays,
		Cold:      detect.Low,
		Quiet:     24 * time.Hour,
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
		if !readsObject(p.Event) {
			return
		}
		r := readRate.In(p)
		if r.Now < readRateFloor {
			return
		}
		past := r.Past()
		if past.Days < readRateDays || float64(r.Now) <= readRateFactor*past.Typical || r.Now <= readRatePeakFactor*past.Peak {
			return
		}
		objects := objectsRead.In(p)
		severity := person(p.Event, detect.High)
		if objects.Count < bulkObjects {
			severity = severity.Lowered(1)
		}
		p.ReportAt(severity, "", fmt.Sprintf("%d objects read in a minute, %.0f in a usual one", r.Now, past.Typical), detect.Evidence{
			Name:     "GetObject calls in a minute",
			Observed: fmt.Sprint(r.Now),
			Expected: fmt.Sprintf("about %.0f, the median of %d days with reads; %d was reached on two of them", past.Typical, past.Days, past.Peak),
		}, objectsEvidence(objects))
	})
}

// objectsEvidence shows the objects read in a window of objectsRead.
func objectsEvidence(w baseline.Window) detect.Evidence {
	count := fmt.Sprint(w.Count)
	if w.Count >= 2*bulkObjects {
		count += " or more"
	}
	return detect.Evidence{
		Name:     "different objects read within an hour",
		Observed: count + ": " + some(w.Values()),
		EventIDs: w.EventIDs(),
	}
}

// some names the first values of a list that may be long.
func some(values []string) string {
	const most = 10
	if more := len(values) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(values[:most], ", "), more)
	}
	return strings.Join(values, ", ")
}
