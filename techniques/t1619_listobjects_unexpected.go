package techniques

import (
	"fmt"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
)

func listObjectsUnexpected(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "listobjects-unexpected",
		Doc: "A principal lists the objects of a bucket that it never used to list. " +
			"Sensitive buckets are medium, others low and only once the principal's habits are learnt; from a network new to the principal, each is one level higher. Refused attempts count too.",
		Technique: "T1619",
		Tactic:    detect.Discovery,
		Severity:  detect.Medium,
		Events:    []string{"s3:ListObjects", "s3:ListObjectVersions"},
		Uses:      []baseline.Feature{bucketsListed, networks},
		Needs:     detect.S3DataEvents,
		Learn:     learn,
		Cold:      detect.Low,
		Quiet:     novelty,
		Benign: []string{
			"A role was given a new task, or a new job its first run.",
			"An analyst's query engine reads a new table with the analyst's own role.",
			"Someone browses the S3 console.",
		},
		Respond: []string{
			"Ask the principal's owner why it lists the bucket.",
			"Look for GetObject calls that followed, and for the same source address at other principals.",
			"If it should not list the bucket, take s3:ListBucket away from it.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		if !p.Require("the bucket was listed or denied", attempted(e)) ||
			p.Excuse("the bucket is declared public", c.publicBucket(e.Bucket())) {
			return
		}
		n := bucketsListed.In(p)
		if !p.Require("the principal did not use to list the bucket", n.New) {
			return
		}
		severity, kind := detect.Low, "bucket"
		if c.sensitiveBucket(n.Value) {
			severity, kind = detect.Medium, "sensitive bucket"
		} else if p.Excuse("the principal is a newcomer, to whom every bucket is new", !mature(bucketsListed.Age(p))) {
			return
		}
		if newNetwork(c, p) {
			severity = raised(severity, 1)
		}
		if severity = surprise(n, person(e, severity)); p.Excuse("the principal often lists new buckets", severity == detect.Silent) {
			return
		}
		p.ReportWith(severity, n.Value, func() (string, []detect.Evidence) {
			return fmt.Sprintf("%s %s listed %s%s", kind, n.Value, firstTime(n), refused(e)), placed(c, p, detect.Evidence{
				Name:     "bucket listed by the principal",
				Observed: fmt.Sprintf("%s, from %s, %s", n.Value, source(e), outcome(e)),
				Expected: habit(n),
			})
		})
	})
}
