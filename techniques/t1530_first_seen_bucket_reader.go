package techniques

import (
	"fmt"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
)

func firstSeenBucketReader(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "first-seen-bucket-reader",
		Doc: "A principal reads objects of a bucket that it never used to read. " +
			"That happens at work, so it only counts towards an incident; a sensitive bucket and a network new to the principal make it low each, and both together medium. " +
			"To a newcomer every bucket is new: it has two weeks of grace.",
		Technique: "T1530",
		Tactic:    detect.Collection,
		Severity:  detect.Informational,
		Events:    []string{"s3:GetObject"},
		Uses:      []baseline.Feature{bucketsRead, networks},
		Needs:     detect.S3DataEvents,
		Learn:     learn,
		Quiet:     novelty,
		Benign: []string{
			"A role was given a new task, or a deployment new buckets.",
			"An analyst looks into another team's data.",
		},
		Respond: []string{
			"Ask the principal's owner why it reads the bucket.",
			"If it should not, take s3:GetObject on the bucket away from it.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		if !p.Require("the principal itself read an object", readsObject(e)) {
			return
		}
		n := bucketsRead.In(p)
		if !p.Require("the bucket is new to the principal", n.New) ||
			p.Excuse("the bucket is meant to be public", c.publicBucket(n.Value)) {
			return
		}
		severity, kind, origin := detect.Informational, "bucket", ""
		if c.sensitiveBucket(n.Value) {
			severity, kind = raised(severity, 1), "sensitive bucket"
		}
		if newNetwork(c, p) {
			severity, origin = raised(severity, 1), ", from a new network"
		}
		severity = surprise(n, person(e, severity))
		if p.Excuse("new buckets are usual for the principal", severity == detect.Silent) {
			return
		}
		p.ReportWith(severity, n.Value, func() (string, []detect.Evidence) {
			return fmt.Sprintf("objects of %s %s read %s%s", kind, n.Value, firstTime(n), origin), placed(c, p, detect.Evidence{
				Name:     "bucket read by the principal",
				Observed: n.Value + ", from " + source(e),
				Expected: habit(n),
			})
		})
	})
}
