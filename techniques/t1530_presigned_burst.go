package techniques

import (
	"fmt"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// What is many is ours: no public rule counts what is read by presigned URL.
// Whoever opens a shared link, the mail gateways and previews before them
// included, rarely comes from ten networks within the hour.
const (
	presignedKeys     = 50
	presignedNetworks = 10
	presignedWindow   = time.Hour
)

var (
	// presignedFrom tells the networks that a principal's URLs were used from.
	presignedFrom = baseline.Distinct("presigned from", presignedNetwork, 2*presignedNetworks, presignedWindow).On("s3:GetObject")
	// presignedFromMany remembers on which days they were many.
	presignedFromMany = bursts("presigned from", presignedNetwork, presignedNetworks/2, presignedWindow).On("s3:GetObject")
)

func presignedNetwork(e *event.Event) string {
	if !readsObject(e) || !presigned(e) {
		return ""
	}
	return network(e)
}

func presignedKey(e *event.Event) string {
	if !readsObject(e) || !presigned(e) {
		return ""
	}
	return e.ObjectKey()
}

func presignedBurst(c *Config) detect.Detector {
	threshold := c.threshold("presigned-burst", detect.Threshold{
		Of: "different objects, give or take some percent, read by presigned URL within an hour", Value: presignedKeys, Min: 10, Max: 2000,
	})
	// Both what comes now and what is a habit depend on the threshold.
	keys := bursts("presigned key", presignedKey, threshold.Value/2, presignedWindow).On("s3:GetObject")
	return detect.New(detect.Info{
		Name: "presigned-burst",
		Doc: "About 50 or more different objects are read within an hour by URLs that a principal signed, or its URLs are used from ten or more networks, and neither is its habit. " +
			"Who signs URLs with stolen credentials can read with any tool from anywhere; a URL that goes round has leaked. " +
			"Web applications sign URLs for all their users: after three such days over a week, that is normal for them. Many networks alone are low, a sensitive bucket raises.",
		Technique: "T1530",
		Tactic:    detect.Collection,
		Severity:  detect.Medium,
		Events:    []string{"s3:GetObject"},
		Uses:      []baseline.Feature{keys, presignedFrom, presignedFromMany, objectsRead},
		Needs:     detect.S3DataEvents,
		Threshold: threshold,
		Learn:     learn,
		Cold:      detect.Informational,
		Quiet:     novelty,
		Benign: []string{
			"An application was taught to let its users download by presigned URL.",
			"A link to a file was sent to many people.",
		},
		Respond: []string{
			"Ask the principal's owner who signed the URLs, and for whom.",
			"If nobody did: revoke the principal's sessions and keys, which ends all its URLs, and treat the objects as disclosed.",
			"Limit how old a signature may be with s3:signatureAge in the bucket policy.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		if !p.Require("an object was read by presigned URL", presignedKey(e) != "") ||
			p.Excuse("the bucket is meant to be public", c.publicBucket(e.Bucket())) {
			return
		}
		read, from := keys.In(p), presignedFrom.In(p)
		manyKeys := p.Reaches(read.Now) && !p.Excuse("half as many objects by presigned URL are a habit", read.Normal)
		manyNetworks := p.AtLeast("networks that the principal's URLs were used from within an hour", from.Count, presignedNetworks) &&
			!p.Excuse("half as many networks of presigned URLs are a habit", presignedFromMany.In(p).Normal)
		if !manyKeys && !manyNetworks {
			return
		}
		severity := detect.Low
		if manyKeys {
			severity = detect.Medium
		}
		if c.sensitiveBucket(e.Bucket()) {
			severity = raised(severity, 1)
		}
		p.ReportWith(severity, "", func() (string, []detect.Evidence) {
			title := fmt.Sprintf("presigned URLs used from %d networks within an hour", from.Count)
			if manyKeys {
				title = fmt.Sprintf("about %d objects read by presigned URL within an hour", read.Now)
			}
			return title, []detect.Evidence{{
				Name:     "different objects read by presigned URL within an hour",
				Observed: fmt.Sprintf("about %d", read.Now),
				Expected: fmt.Sprintf("fewer than %d; half as many were read on %d of the last 30 days", p.Threshold(), read.Days),
			}, {
				Name:     "networks that presigned URLs were used from within an hour",
				Observed: fmt.Sprintf("%d: %s", from.Count, some(from.Values())),
				Expected: fmt.Sprintf("fewer than %d", presignedNetworks),
				EventIDs: from.EventIDs(),
			}, objectsEvidence(objectsRead.In(p))}
		})
	})
}
