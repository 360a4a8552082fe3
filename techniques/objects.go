package techniques

import (
	"fmt"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// What the rules about reading objects (T1530) share.

// readsObject reports whether a principal itself got an object.
func readsObject(e *event.Event) bool { return objectGot.Of(e) != "" }

var objectGot = event.Derive(func(e *event.Event) string {
	if !e.Is("s3", "GetObject") || !direct(e) || !e.Succeeded() {
		return ""
	}
	return "object"
})

// bulkObjects is how many different objects are many: fewer than that, asked
// for often, are the parts of large ones.
const bulkObjects = 20

// objectsRead tells the different objects that a principal read. Objects of
// one name in two buckets count once, which spares joining the two names for
// every read.
var objectsRead = baseline.Distinct("object read", objectRead, 2*bulkObjects, time.Hour).On("s3:GetObject")

func objectRead(e *event.Event) string {
	if !readsObject(e) {
		return ""
	}
	return e.ObjectKey()
}

// bucketsRead remembers the buckets that a principal reads.
var bucketsRead = baseline.FirstSeen("bucket read", bucketRead, &baseline.FirstSeenOptions{Cap: 128}).On("s3:GetObject")

// The buckets that a principal read lately, and the networks it did so from
// itself.
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
	if !readsObject(e) || presigned(e) {
		return ""
	}
	return network(e)
}

// A readHour is where a principal read objects from within an hour, and what of
// that is new to it. The whole window is judged, not only the event, so that it
// does not matter which of its events comes last.
type readHour struct {
	buckets, newBuckets   baseline.Window
	networks, newNetworks baseline.Window
}

// readHourFeatures are what readHourOf asks.
var readHourFeatures = []baseline.Feature{bucketsRead, lateBuckets, lateNetworks, networks}

func readHourOf(p *detect.Pass) readHour {
	e := p.Event
	h := readHour{buckets: lateBuckets.In(p), networks: lateNetworks.In(p)}
	h.newBuckets = unestablished(h.buckets, bucketsRead.In(p), bucketRead(e))
	h.newNetworks = unestablished(h.networks, networks.In(p), networkRead(e))
	return h
}

// onlyNewBuckets reports that everything was read from buckets that the
// principal never used to read.
func (h readHour) onlyNewBuckets() bool {
	return h.newBuckets.Count > 0 && h.newBuckets.Count == h.buckets.Count
}

// onlyNewNetworks reports that everything was read from networks that
// the principal never used to call from.
func (h readHour) onlyNewNetworks() bool {
	return h.newNetworks.Count > 0 && h.newNetworks.Count == h.networks.Count
}

func (h readHour) evidence(p *detect.Pass) []detect.Evidence {
	return []detect.Evidence{{
		Name:     "buckets read within an hour",
		Observed: some(h.buckets.Values()) + "; new: " + someOrNone(h.newBuckets),
		Expected: habit(bucketsRead.In(p)),
	}, {
		Name:     "networks read from within an hour",
		Observed: someOrNone(h.networks) + "; new: " + someOrNone(h.newNetworks),
		Expected: habit(networks.In(p)),
	}}
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

// objectsEvidence shows the objects read in a window of objectsRead.
func objectsEvidence(w baseline.Window) detect.Evidence {
	count := fmt.Sprint(w.Count)
	if w.Count >= 2*bulkObjects {
		count += " or more"
	}
	return detect.Evidence{
		Name:     "different objects read within an hour",
		Observed: count + ": " + some(w.Values()),
		EventIDs: w.EventIDs(),
	}
}

// some names the first values of a list that may be long.
func some(values []string) string {
	const most = 10
	if more := len(values) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(values[:most], ", "), more)
	}
	return strings.Join(values, ", ")
}
