package techniques

import (
	"fmt"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
)

// distinctKeysThreshold is ours: public rules count reads, which the parts of
// one large object drive up as well, not objects.
const distinctKeysThreshold = 500

func distinctKeysBurst(c *Config) detect.Detector {
	threshold := c.threshold("distinct-keys-burst", detect.Threshold{
		Of: "different objects, give or take some percent, read within ten minutes", Value: distinctKeysThreshold, Min: 20, Max: 2000,
	})
	// Both what comes now and what is a habit depend on the threshold.
	objects := bursts("object read", objectRead, threshold.Value/2, 10*time.Minute).On("s3:GetObject")
	return detect.New(detect.Info{
		Name: "distinct-keys-burst",
		Doc: "A principal reads about 500 or more different objects within ten minutes, and does not do so habitually. " +
			"Objects are counted, not reads, so that fetching a large one in parts is nothing. " +
			"High if all of the hour's reads are of buckets or from networks new to the principal. For who reads many on three days over a week, it is normal.",
		Technique: "T1530",
		Tactic:    detect.Collection,
		Severity:  detect.Medium,
		Events:    []string{"s3:GetObject"},
		Uses:      append([]baseline.Feature{objects, objectsRead}, readHourFeatures...),
		Needs:     detect.S3DataEvents,
		Threshold: threshold,
		Learn:     learn,
		Cold:      detect.Informational,
		Quiet:     novelty,
		Benign: []string{
			"A new job processes a bucket for the first time.",
			"A one-off migration, restore or reprocessing of old data.",
		},
		Respond: []string{
			"Look at the buckets, the tool and the source address; ask the principal's owner whether a job was meant to run.",
			"If unexplained, revoke the principal's sessions and keys, and treat the objects read as disclosed.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		if !p.Require("the principal itself read an object", readsObject(e)) ||
			p.Excuse("the bucket is meant to be public", c.publicBucket(e.Bucket())) {
			return
		}
		burst := objects.In(p)
		if !p.Reaches(burst.Now) ||
			p.Excuse("half as many objects at once are a habit", burst.Normal) {
			return
		}
		hour := readHourOf(p)
		severity := detect.Medium
		if hour.onlyNewBuckets() || hour.onlyNewNetworks() {
			severity = raised(severity, 1)
		}
		p.ReportWith(person(e, severity), "", func() (string, []detect.Evidence) {
			return fmt.Sprintf("about %d different objects read within ten minutes", burst.Now), append([]detect.Evidence{{
				Name:     "different objects read within ten minutes",
				Observed: fmt.Sprintf("about %d", burst.Now),
				Expected: fmt.Sprintf("fewer than %d; half as many were read at once on %d of the last 30 days", p.Threshold(), burst.Days),
			}, objectsEvidence(objectsRead.In(p))}, hour.evidence(p)...)
		})
	})
}
