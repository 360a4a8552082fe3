package techniques

import (
	"fmt"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// versionsListed remembers the buckets whose object versions a principal
// lists, allowed or not.
var versionsListed = baseline.FirstSeen("bucket versions listed", func(e *event.Event) string {
	if !listsObjects(e) || !attempted(e) {
		return ""
	}
	return e.Bucket()
}, &baseline.FirstSeenOptions{Cap: 32}).On("s3:ListObjectVersions")

func versionsListing(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "versions-listing",
		Doc: "A principal lists the object versions of a bucket where it never used to. " +
			"Whoever wants to delete data beyond recovery, or to hold it to ransom, needs the versions; few others do. " +
			"Informational, because backup and clean-up tools need them too; medium for a sensitive bucket, and one level higher from a network new to the principal. Refused attempts count.",
		Technique: "T1619",
		Tactic:    detect.Discovery,
		Severity:  detect.Informational,
		Events:    []string{"s3:ListObjectVersions"},
		Uses:      []baseline.Feature{versionsListed, networks},
		Needs:     detect.S3DataEvents,
		Learn:     learn,
		Cold:      detect.Informational,
		Quiet:     novelty,
		Benign: []string{
			"A backup tool, or a clean-up of old versions, covers a new bucket.",
			"Terraform empties a bucket that it is about to destroy (force_destroy).",
			"Someone shows the versions of objects in the console.",
		},
		Respond: []string{
			"Look for DeleteObject, DeleteObjects, PutBucketVersioning and PutBucketLifecycle by the same principal, and stop it if there are any.",
			"Ask the principal's owner why it needs the versions.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		if !p.Require("the versions were listed or denied", attempted(e)) ||
			p.Excuse("the bucket is declared public", c.publicBucket(e.Bucket())) {
			return
		}
		n := versionsListed.In(p)
		if !p.Require("the principal did not use to list the bucket's versions", n.New) {
			return
		}
		severity, kind := detect.Informational, "bucket"
		if c.sensitiveBucket(n.Value) {
			severity, kind = detect.Medium, "sensitive bucket"
		}
		if newNetwork(c, p) {
			severity = raised(severity, 1)
		}
		if severity = surprise(n, person(e, severity)); p.Excuse("the principal often lists the versions of new buckets", severity == detect.Silent) {
			return
		}
		p.ReportWith(severity, subjectOf(versionsListed.Age(p), n.Value), func() (string, []detect.Evidence) {
			return fmt.Sprintf("object versions of %s %s listed %s%s", kind, n.Value, firstTime(n), refused(e)), placed(c, p, detect.Evidence{
				Name:     "bucket whose object versions the principal lists",
				Observed: fmt.Sprintf("%s, from %s, %s", n.Value, source(e), outcome(e)),
				Expected: habit(n),
			})
		})
	})
}
