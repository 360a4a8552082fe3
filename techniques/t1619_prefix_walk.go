package techniques

import (
	"fmt"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// prefixWalkThreshold and its window are our own: no public rule counts
// prefixes. Who reads one table lists a handful.
const (
	prefixWalkThreshold = 20
	prefixWalkWindow    = 10 * time.Minute
)

func prefixWalk(c *Config) detect.Detector {
	// A prefix of one name in two buckets counts once, which spares joining the
	// two names for every listing.
	listed := func(e *event.Event) string {
		if !listsObjects(e) || !attempted(e) || c.publicBucket(e.Bucket()) {
			return ""
		}
		return prefixOf.Of(e)
	}
	listings := []string{"s3:ListObjects", "s3:ListObjectVersions"}
	prefixes := baseline.Distinct("prefix listed", listed, 2*prefixWalkThreshold, prefixWalkWindow).On(listings...)
	walks := bursts("prefix listed", listed, prefixWalkThreshold/2, prefixWalkWindow).On(listings...)
	return detect.New(detect.Info{
		Name: "prefix-walk",
		Doc: "A principal lists 20 or more different prefixes within ten minutes, and is not used to that. " +
			"Who does not know what a bucket holds opens it folder by folder. Clients that synchronise or mount buckets do so too, but every day. " +
			"Low, and one level higher each for a bucket that the principal never used to list, a sensitive one, and a new network. Refused attempts count too.",
		Technique: "T1619",
		Tactic:    detect.Discovery,
		Severity:  detect.Low,
		Events:    listings,
		Uses:      []baseline.Feature{prefixes, walks, bucketsListed, networks},
		Needs:     detect.S3DataEvents,
		Threshold: c.threshold("prefix-walk", detect.Threshold{
			Of: "different prefixes listed within 10 minutes", Value: prefixWalkThreshold, Min: prefixWalkThreshold / 2, Max: 2 * prefixWalkThreshold,
		}),
		Learn: learn,
		Cold:  detect.Informational,
		Quiet: novelty,
		Benign: []string{
			"A client that synchronises, mounts or crawls the bucket runs for the first time; from the third day on it is normal.",
			"A query engine reads many partitions of a table with the principal's own credentials.",
			"Someone looks for a file in the console.",
		},
		Respond: []string{
			"Compare the prefixes, the source address and the tool with what the principal is for; ask its owner.",
			"Look for GetObject calls under the prefixes that followed.",
			"If unexplained, revoke the principal's sessions and keys.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		if !p.Require("a prefix was listed, or denied, in a bucket that is not public", listed(e) != "") {
			return
		}
		w := prefixes.In(p)
		if !p.Reaches(w.Count) || p.Excuse("the principal is used to listing many prefixes", walks.In(p).Normal) {
			return
		}
		buckets, severity, kind := bucketsListed.In(p), detect.Low, ""
		if buckets.New && steady(buckets) && mature(bucketsListed.Age(p)) {
			severity, kind = raised(severity, 1), "unfamiliar "
		}
		if c.sensitiveBucket(e.Bucket()) {
			severity = raised(severity, 1)
		}
		around := circumstances{network: newNetwork(c, p)}
		p.ReportWith(person(e, around.raise(severity)), "", func() (string, []detect.Evidence) {
			title := fmt.Sprintf("%d prefixes listed within 10 minutes, lately of %sbucket %s", w.Count, kind, e.Bucket())
			if e.Denied() {
				title += ", the last refused"
			}
			return title, around.evidence(p, detect.Evidence{
				Name:     "different prefixes listed within 10 minutes",
				Observed: fmt.Sprintf("%d: %s", w.Count, some(w.Values())),
				Expected: fmt.Sprintf("fewer than %d; as many on %d of the last 30 days", p.Threshold(), walks.In(p).Days),
				EventIDs: w.EventIDs(),
			}, detect.Evidence{
				Name:     "bucket listed by the principal",
				Observed: e.Bucket(),
				Expected: habit(buckets),
			})
		})
	})
}
