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

// bucketsRead remembers the buckets that a principal reads.
var bucketsRead = baseline.FirstSeen("bucket read", bucketRead, &baseline.FirstSeenOptions{Cap: 128}).On("s3:GetObject")

// The buckets that a principal read lately, and the networks it did so from.
var (
	lateBuckets  = baseline.Distinct("bucket read", bucketRead, 16, time.Hour).On("s3:GetObject")
	lateNetworks = baseline.Distinct("network read from", networkRead, 8, time.Hour).On("s3:GetObject")
)

func bucketRead(e *event.Event) string {
	if !readsObject(e) {
		return ""
	}
	return e.Bucket()
}

func networkRead(e *event.Event) string {
	if !readsObject(e) {
		return ""
	}
	return network(e)
}

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
		Uses:      []baseline.Feature{readAfterList, objectsRead, bucketsRead, lateBuckets, lateNetworks, networks},
		Needs:     detect.S3DataEvents,
		Learn:     learn,
		Cold:      detect.Low,
		Quiet:     novelty,
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
		if !readsObject(e) && !listsStorage(e) || c.publicBucket(e.Bucket()) {
			return
		}
		objects := objectsRead.In(p)
		if objects.Count < bulkObjects {
			return
		}
		steps := readAfterList.In(p)
		if !steps.Done {
			return
		}
		buckets, sources := bucketsRead.In(p), networks.In(p)
		// The whole window is judged, not only this event, so that it does not
		// matter which of its events comes last.
		atBuckets, atNetworks := lateBuckets.In(p), lateNetworks.In(p)
		newBuckets, newNetworks := unestablished(atBuckets, buckets, bucketRead(e)), unestablished(atNetworks, sources, networkRead(e))
		onlyNewBuckets := newBuckets.Count > 0 && newBuckets.Count == atBuckets.Count
		onlyNewNetworks := newNetworks.Count > 0 && newNetworks.Count == atNetworks.Count
		var severity detect.Severity
		switch {
		case onlyNewBuckets && onlyNewNetworks:
			severity = detect.High
		case onlyNewBuckets || onlyNewNetworks:
			severity = detect.Medium
		case newBuckets.Count+newNetworks.Count > 0:
			severity = detect.Low
		default:
			return
		}
		if c.sensitiveBucket(e.Bucket()) {
			severity = raised(severity, 1)
		}
		p.ReportAt(person(e, severity), "", fmt.Sprintf("listed storage, then read %d objects of %s within an hour", objects.Count, some(atBuckets.Values())), detect.Evidence{
			Name:     "listing, then reading, within an hour",
			Observed: "ListBuckets or ListObjects, then GetObject",
			EventIDs: steps.EventIDs(),
		}, objectsEvidence(objects), detect.Evidence{
			Name:     "buckets read within an hour",
			Observed: some(atBuckets.Values()) + "; new: " + someOrNone(newBuckets),
			Expected: habit(buckets),
		}, detect.Evidence{
			Name:     "networks read from within an hour",
			Observed: some(atNetworks.Values()) + "; new: " + someOrNone(newNetworks),
			Expected: habit(sources),
		})
	})
}

// unestablished returns what of a window is not normal for the key; nothing if
// new values are so usual for it that they mean nothing. current is the event's
// own value.
func unestablished(w baseline.Window, n baseline.Novelty, current string) baseline.Window {
	if w.Count == 1 && n.Established(current) || surprise(n, detect.High) == detect.Silent {
		return baseline.Window{} // the first is the usual case: without allocation
	}
	return w.Except(n)
}

// someOrNone names the first values of a window.
func someOrNone(w baseline.Window) string {
	if w.Count == 0 {
		return "none"
	}
	return some(w.Values())
}
