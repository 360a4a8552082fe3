package techniques

import (
	"fmt"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// Whoever looks for data walks the buckets one after the other. Threshold and
// window are ours: no public rule counts listed buckets. sweepRoom is how many of them are
// remembered.
const (
	sweepBuckets = 5
	sweepRoom    = 40
	sweepWindow  = 30 * time.Minute
)

var (
	// bucketsListed remembers the buckets whose objects a principal lists.
	// Refused attempts count: what is tried for weeks is a broken job.
	bucketsListed = baseline.FirstSeen("bucket listed", bucketListed, &baseline.FirstSeenOptions{Cap: 128}).
			On("s3:ListObjects", "s3:ListObjectVersions")
	// bucketsSwept tells the buckets listed lately.
	bucketsSwept = baseline.Distinct("bucket listed", bucketListed, sweepRoom, sweepWindow).
			On("s3:ListObjects", "s3:ListObjectVersions")
	// sweepSteps watches for listings of objects that follow one of buckets.
	sweepSteps = baseline.Sequence("list buckets then objects", sweepWindow,
		func(e *event.Event) bool { return e.Is("s3", "ListBuckets") && direct(e) && e.Succeeded() }, listsObjects).
		On("s3:ListBuckets", "s3:ListObjects", "s3:ListObjectVersions")
)

// listsObjects reports whether a principal itself asked for a bucket's objects,
// allowed or not.
func listsObjects(e *event.Event) bool {
	return e.Is("s3", "ListObjects", "ListObjectVersions") && direct(e)
}

// prefixOf is the prefix that a listing asks for.
var prefixOf = event.Derive(func(e *event.Event) string { return e.Request.At("prefix").Text() })

func bucketListed(e *event.Event) string {
	if !listsObjects(e) {
		return ""
	}
	return e.Bucket()
}

func bucketSweep(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "bucket-sweep",
		Doc: "A principal lists the objects of five or more buckets that it never used to list, within 30 minutes. " +
			"After a ListBuckets it is the very pattern of someone looking for data; without one the names were known, and it is one level lower. Refused attempts count too.",
		Technique: "T1619",
		Tactic:    detect.Discovery,
		Severity:  detect.High,
		Events:    []string{"s3:ListBuckets", "s3:ListObjects", "s3:ListObjectVersions"},
		Uses:      []baseline.Feature{bucketsListed, bucketsSwept, sweepSteps},
		Needs:     detect.S3DataEvents,
		Threshold: c.threshold("bucket-sweep", detect.Threshold{
			Of: "buckets listed within 30 minutes that the principal did not use to list", Value: sweepBuckets, Min: 2, Max: sweepRoom,
		}),
		Learn: learn,
		Cold:  detect.Medium,
		Quiet: 24 * time.Hour,
		Benign: []string{
			"A backup, inventory or cost tool runs for the first time; a posture scanner belongs in Config.Scanners.",
			"An administrator searches the console for a file.",
		},
		Respond: []string{
			"Compare the buckets, the source address and the tool with what the principal is for; ask its owner.",
			"If unexplained, revoke the principal's sessions and keys.",
			"Look for GetObject calls that followed: see list-then-get.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		swept := bucketsSwept.In(p)
		if !p.AtLeast("buckets listed within 30 minutes", swept.Count, p.Threshold()) {
			return
		}
		n := bucketsListed.In(p)
		if !p.Require("a bucket that the principal did not use to list, or the list of buckets", n.New || !listsObjects(e)) {
			return
		}
		buckets := unestablished(swept, n, n.Value)
		if !p.Reaches(buckets.Count) {
			return
		}
		severity := detect.High
		steps := sweepSteps.In(p)
		if !steps.Done {
			severity = severity.Lowered(1)
		}
		if !mature(bucketsListed.Age(p)) {
			severity = severity.Lowered(1)
		}
		if severity = surprise(n, person(e, severity)); p.Excuse("the principal often lists new buckets", severity == detect.Silent) {
			return
		}
		p.ReportWith(severity, "", func() (string, []detect.Evidence) {
			evidence := []detect.Evidence{{
				Name:     "buckets listed within 30 minutes that the principal did not use to list",
				Observed: fmt.Sprintf("%d: %s", buckets.Count, strings.Join(buckets.Values(), ", ")),
				Expected: fmt.Sprintf("fewer than %d; usual: %s", p.Threshold(), habit(n)),
				EventIDs: buckets.EventIDs(),
			}}
			title := fmt.Sprintf("objects of %d unfamiliar buckets listed within 30 minutes", buckets.Count)
			if e.Denied() {
				title += ", the last refused"
			}
			if steps.Done {
				title = "buckets listed, then " + title
				evidence = append(evidence, detect.Evidence{
					Name:     "order of calls",
					Observed: "ListBuckets, then ListObjects",
					EventIDs: steps.EventIDs(),
				})
			}
			return title, evidence
		})
	})
}
