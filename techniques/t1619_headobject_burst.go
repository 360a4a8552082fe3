package techniques

import (
	"fmt"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// headObjectThreshold and its window are our own; no public rule counts
// HeadObject calls.
const (
	headObjectThreshold = 20
	headObjectWindow    = 10 * time.Minute
)

var (
	// objectsHeaded tells the objects that a principal lately looked up without
	// reading them. As with objectsRead, one name in two buckets counts once.
	objectsHeaded = baseline.Distinct("object looked up", objectHeaded, 2*headObjectThreshold, headObjectWindow).On("s3:HeadObject")
	// headBursts remembers on which days it looked up many.
	headBursts = bursts("object looked up", objectHeaded, headObjectThreshold/2, headObjectWindow).On("s3:HeadObject")
)

func objectHeaded(e *event.Event) string {
	if !direct(e) || !attempted(e) {
		return ""
	}
	return e.ObjectKey()
}

func headObjectBurst(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "headobject-burst",
		Doc: "A principal looks up 20 or more different objects with HeadObject within ten minutes, and is not used to that. " +
			"So one learns which keys exist, how large the objects are and when they changed, without a single read. " +
			"Informational, because every tool that copies does it first; one level higher each for a bucket that the principal neither lists nor reads, a sensitive one, and a new network. Refused attempts count too.",
		Technique: "T1619",
		Tactic:    detect.Discovery,
		Severity:  detect.Informational,
		Events:    []string{"s3:HeadObject"},
		Uses:      []baseline.Feature{objectsHeaded, headBursts, bucketsListed, bucketsRead, networks},
		Needs:     detect.S3DataEvents,
		Threshold: c.threshold("headobject-burst", detect.Threshold{
			Of: "different objects looked up within 10 minutes", Value: headObjectThreshold, Min: headObjectThreshold / 2, Max: 2 * headObjectThreshold,
		}),
		Learn: learn,
		Cold:  detect.Informational,
		Quiet: novelty,
		Benign: []string{
			"A tool that copies or synchronises objects runs for the first time; from the third day on it is normal.",
			"A job checks which of its inputs are there.",
		},
		Respond: []string{
			"See whether GetObject calls on the same objects followed.",
			"Compare the bucket, the source address and the tool with what the principal is for; ask its owner.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		if !p.Require("the object was looked up or denied", attempted(e)) ||
			p.Excuse("the bucket is declared public", c.publicBucket(e.Bucket())) {
			return
		}
		w := objectsHeaded.In(p)
		if !p.Reaches(w.Count) {
			return
		}
		past := headBursts.In(p)
		if p.Excuse("the principal is used to looking up many objects", past.Normal) {
			return
		}
		severity, kind := detect.Informational, ""
		if unfamiliarBucket(p) {
			severity, kind = raised(severity, 1), "unfamiliar "
		}
		if c.sensitiveBucket(e.Bucket()) {
			severity = raised(severity, 1)
		}
		around := circumstances{network: newNetwork(c, p)}
		p.ReportWith(person(e, around.raise(severity)), "", func() (string, []detect.Evidence) {
			title := fmt.Sprintf("%d objects looked up within 10 minutes, lately in %sbucket %s", w.Count, kind, e.Bucket())
			return title, around.evidence(p, detect.Evidence{
				Name:     "different objects looked up within 10 minutes",
				Observed: fmt.Sprintf("%d: %s", w.Count, some(w.Values())),
				Expected: fmt.Sprintf("fewer than %d; as many on %d of the last 30 days", p.Threshold(), past.Days),
				EventIDs: w.EventIDs(),
			})
		})
	})
}

// unfamiliarBucket reports whether an event is about a bucket that its
// principal, whose buckets are learnt and steady, neither lists nor reads.
func unfamiliarBucket(p *detect.Pass) bool {
	bucket, listed, read := p.Event.Bucket(), bucketsListed.In(p), bucketsRead.In(p)
	return steady(listed) && steady(read) && !listed.Established(bucket) && !read.Established(bucket) &&
		mature(bucketsListed.Age(p)) && mature(bucketsRead.Age(p))
}
