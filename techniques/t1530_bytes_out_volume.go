package techniques

import (
	"fmt"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// The bar for ten minutes of reading. The floor and the window are Panther's,
// which has no history to compare with. Factors and days are those of
// getobject-rate-over-baseline.
const (
	bytesOutFloor  = 50 // megabytes
	bytesOutWindow = 10 * time.Minute
	megabyte       = 1_000_000
)

// bytesOut adds up what S3 sent to a principal in its reads.
var bytesOut = baseline.Rate("bytes read", func(e *event.Event) int64 {
	if !readsObject(e) {
		return 0
	}
	return e.BytesOut()
}, bytesOutWindow).On("s3:GetObject")

func bytesOutVolume(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "bytes-out-volume",
		Doc: "A principal reads more than ten times as many bytes from S3 within ten minutes as it usually does, and at least 50 MB. " +
			"Ten minutes count if they also exceed twice what the principal has reached on two of the past 30 days, so that batch jobs and weekly cycles are its habit. " +
			"It finds a few large objects, such as database dumps, where counting reads sees nothing. " +
			"High if all of the hour's reads are of buckets or from networks new to the principal.",
		Technique: "T1530",
		Tactic:    detect.Collection,
		Severity:  detect.Medium,
		Events:    []string{"s3:GetObject"},
		Uses:      append([]baseline.Feature{bytesOut, objectsRead}, readHourFeatures...),
		Needs:     detect.S3DataEvents,
		Threshold: c.threshold("bytes-out-volume", detect.Threshold{
			Of: "megabytes read within ten minutes", Value: bytesOutFloor, Min: 1, Max: 1_000_000_000,
		}),
		Learn: learn,
		Cold:  detect.Low,
		Quiet: 24 * time.Hour,
		Benign: []string{
			"A restore, a migration or the training of a model reads large objects for the first time.",
			"A batch job runs for the first or second time; from the third day on it is normal.",
			"Someone downloads a disk image or a video.",
		},
		Respond: []string{
			"Look at the objects, the tool and the source address; ask the principal's owner what they were for.",
			"If unexplained, revoke the principal's sessions and keys, and deny it the bucket.",
			"Treat the objects read as disclosed.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		if !p.Require("the principal itself read an object", readsObject(e)) ||
			p.Excuse("the bucket is meant to be public", c.publicBucket(e.Bucket())) {
			return
		}
		r := bytesOut.In(p)
		if !p.Reaches(int(r.Now / megabyte)) {
			return
		}
		past := r.Past()
		// Whatever bytes a log claims, the products are in range.
		usual, peak := int(min(past.Typical, 1<<58)), int(min(past.Peak, 1<<58))
		if !p.AtLeast("days with reads to judge by", past.Days, readRateDays) ||
			!p.AtLeast("bytes read within ten minutes, against ten times the usual", int(r.Now), readRateFactor*usual+1) ||
			!p.AtLeast("bytes read within ten minutes, against twice what two days reached", int(r.Now), readRatePeakFactor*peak+1) {
			return
		}
		hour := readHourOf(p)
		severity := detect.Medium
		if hour.onlyNewBuckets() || hour.onlyNewNetworks() {
			severity = raised(severity, 1)
		}
		p.ReportWith(person(e, severity), "", func() (string, []detect.Evidence) {
			now, typical := megabytes(r.Now), megabytes(int64(past.Typical))
			return fmt.Sprintf("%s read from S3 in ten minutes, %s in usual ones", now, typical), append([]detect.Evidence{{
				Name:     "bytes read from S3 in ten minutes",
				Observed: now,
				Expected: fmt.Sprintf("about %s, the median of %d days with reads; %s was reached on two of them", typical, past.Days, megabytes(past.Peak)),
			}, objectsEvidence(objectsRead.In(p))}, hour.evidence(p)...)
		})
	})
}

// megabytes writes an amount of bytes.
func megabytes(bytes int64) string {
	return fmt.Sprintf("%.4g MB", float64(bytes)/megabyte)
}
