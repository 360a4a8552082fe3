package techniques

import (
	"fmt"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// readAfterList watches for reads that follow a listing.
var readAfterList = baseline.Sequence("list then get", time.Hour, listsStorage, readsObject).
	On("s3:ListBuckets", "s3:ListObjects", "s3:ListObjectVersions", "s3:GetObject")

// listsStorage reports whether a principal itself got a list of buckets or
// objects.
func listsStorage(e *event.Event) bool {
	return e.Is("s3", "ListBuckets", "ListObjects", "ListObjectVersions") && direct(e) && e.Succeeded()
}

func listThenGet(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "list-then-get",
		Doc: "A principal lists storage and then reads 20 or more different objects within an hour, in buckets or from networks new to it. " +
			"Synchronising tools do the same where they always do, so only what is new counts: high if bucket and network both are, low if the principal meanwhile also read what it is used to.",
		Technique: "T1530",
		Tactic:    detect.Collection,
		Severity:  detect.Medium,
		Events:    []string{"s3:ListBuckets", "s3:ListObjects", "s3:ListObjectVersions", "s3:GetObject"},
		Uses:      append([]baseline.Feature{readAfterList, objectsRead}, readHourFeatures...),
		Needs:     detect.S3DataEvents,
		Threshold: c.threshold("list-then-get", detect.Threshold{
			Of: "different objects read within an hour", Value: bulkObjects, Min: 2, Max: 2 * bulkObjects,
		}),
		Learn: learn,
		Cold:  detect.Low,
		Quiet: novelty,
		Benign: []string{
			"A new job or deployment synchronises a bucket for the first time (aws s3 sync lists, then gets).",
			"An analyst explores a bucket of another team.",
		},
		Respond: []string{
			"Compare the buckets, the source address and the tool with what the principal is for; ask its owner.",
			"If unexplained, revoke the principal's sessions and keys, and treat the objects read as disclosed.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		if !p.Require("the principal itself listed storage or read an object", readsObject(e) || listsStorage(e)) ||
			p.Excuse("the bucket is meant to be public", c.publicBucket(e.Bucket())) {
			return
		}
		objects := objectsRead.In(p)
		if !p.Reaches(objects.Count) {
			return
		}
		steps := readAfterList.In(p)
		if !p.Require("storage was listed, and objects read after that, within an hour", steps.Done) {
			return
		}
		hour := readHourOf(p)
		if !p.Require("the buckets or networks read from are new to the principal", hour.newBuckets.Count+hour.newNetworks.Count > 0) {
			return
		}
		severity := detect.Low
		if hour.onlyNewBuckets() {
			severity = raised(severity, 1)
		}
		if hour.onlyNewNetworks() {
			severity = raised(severity, 1)
		}
		if c.sensitiveBucket(e.Bucket()) {
			severity = raised(severity, 1)
		}
		p.ReportWith(person(e, severity), "", func() (string, []detect.Evidence) {
			title := fmt.Sprintf("listed storage, then read %d objects of %s within an hour", objects.Count, some(hour.buckets.Values()))
			return title, append([]detect.Evidence{{
				Name:     "listing, then reading, within an hour",
				Observed: "ListBuckets or ListObjects, then GetObject",
				EventIDs: steps.EventIDs(),
			}, objectsEvidence(objects)}, hour.evidence(p)...)
		})
	})
}
