package techniques

import (
	"fmt"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// Elastic's rule counts more than 15 buckets in 10 seconds, which takes a tool
// that asks in parallel. A loop around aws-cli makes about one call a second
// and several of them for each bucket, so it needs minutes for as many.
const (
	postureSweepThreshold = 16
	postureSweepWindow    = 5 * time.Minute
)

// postureReads tell who may get at a bucket's objects, and whether anyone
// would see it or could undo it. Those that tools make to find their way, such
// as GetBucketLocation, are not among them.
var postureReads = []string{
	"s3:GetBucketAcl",
	"s3:GetBucketEncryption",
	"s3:GetBucketLogging",
	"s3:GetBucketOwnershipControls",
	"s3:GetBucketPolicy",
	"s3:GetBucketPolicyStatus",
	"s3:GetBucketPublicAccessBlock",
	"s3:GetBucketReplication",
	"s3:GetBucketVersioning",
}

var (
	// bucketsExamined tells the buckets that a principal examined lately.
	bucketsExamined = baseline.Distinct("bucket examined", bucketExamined, 2*postureSweepThreshold, postureSweepWindow).On(postureReads...)
	// postureSweeps remembers on which days it examined many.
	postureSweeps = bursts("bucket examined", bucketExamined, postureSweepThreshold/2, postureSweepWindow).On(postureReads...)
)

// bucketExamined returns the bucket whose posture a principal asks for. That a
// bucket has no policy, or that the policy is refused, is an answer as well.
func bucketExamined(e *event.Event) string {
	if !direct(e) || e.ErrorCode == "NoSuchBucket" {
		return ""
	}
	return e.Bucket()
}

func postureSweep(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "posture-sweep",
		Doc: "A principal asks for the access lists, policies, versioning and the like of more than 15 buckets within five minutes, and is not used to that. " +
			"So one finds the bucket that is open, unlogged or beyond recovery. Posture scanners and infrastructure tools do it every day, which is their habit. " +
			"A new network or tool makes it one level higher each. In the console, whose list of buckets asks by itself, it is informational.",
		Technique: "T1619",
		Tactic:    detect.Discovery,
		Severity:  detect.Medium,
		Events:    postureReads,
		Uses:      []baseline.Feature{bucketsExamined, postureSweeps, networks, tools},
		Needs:     detect.ManagementReads,
		Threshold: c.threshold("posture-sweep", detect.Threshold{
			Of: "buckets examined within 5 minutes", Value: postureSweepThreshold, Min: postureSweepThreshold / 2, Max: 2 * postureSweepThreshold,
		}),
		Learn: learn,
		Cold:  detect.Low,
		Quiet: novelty,
		Benign: []string{
			"A posture scanner was introduced; it becomes habit, or is declared in Config.Scanners.",
			"Terraform refreshes many buckets for the first time under this principal.",
		},
		Respond: []string{
			"See which tool asked, from where, and what it was refused; ask the principal's owner.",
			"Look for changes of the same settings, and for reads of the buckets that are open.",
			"If unexplained, revoke the principal's sessions and keys.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		if !p.Require("the bucket exists", bucketExamined(e) != "") {
			return
		}
		w := bucketsExamined.In(p)
		if !p.Reaches(w.Count) {
			return
		}
		past := postureSweeps.In(p)
		if p.Excuse("the principal is used to examining many buckets", past.Normal) {
			return
		}
		severity, around := unfamiliar(c, p, detect.Medium)
		if e.Console {
			severity = detect.Informational
		}
		p.ReportWith(severity, "", func() (string, []detect.Evidence) {
			return fmt.Sprintf("settings of %d buckets asked for within 5 minutes", w.Count), around.evidence(p, detect.Evidence{
				Name:     "buckets examined within 5 minutes",
				Observed: fmt.Sprintf("%d: %s", w.Count, some(w.Values())),
				Expected: fmt.Sprintf("fewer than %d; as many on %d of the last 30 days", p.Threshold(), past.Days),
				EventIDs: w.EventIDs(),
			})
		})
	})
}
