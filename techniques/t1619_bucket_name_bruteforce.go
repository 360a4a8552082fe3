package techniques

import (
	"fmt"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// Elastic's rule counts 40 refused calls of a source on one bucket. Here a name
// counts once, so half as many say the same. Guessing whole buckets is what
// names the rule, and a handful of them is enough.
const (
	bruteforceThreshold = 20
	bruteforceBuckets   = 5
	bruteforceWindow    = 10 * time.Minute
)

var guessingCalls = []string{"s3:HeadBucket", "s3:ListObjects", "s3:ListObjectVersions", "s3:HeadObject", "s3:GetObject"}

// byGuessingSource is the address that storage is refused to, whoever calls: a
// dictionary is tried without credentials, or with those of an account of the
// attacker's own. IPv6 addresses within a /64 are one.
var byGuessingSource = &detect.Scope{Name: "source-refused-storage", Key: func(e *event.Event) string {
	switch {
	case !guessed(e) || !e.IP.IsValid():
		return ""
	case e.IP.Is4():
		return e.IP.String()
	}
	return network(e)
}}

// guessed reports whether someone other than AWS was refused a bucket or an
// object. The owner of a bucket never learns of guesses that no bucket bears,
// the account of who guesses may.
func guessed(e *event.Event) bool {
	return (e.Denied() || e.ErrorCode == "NoSuchBucket") &&
		e.Is("s3", "HeadBucket", "ListObjects", "ListObjectVersions", "HeadObject", "GetObject") &&
		e.Category != event.NetworkActivity && direct(e) && e.Principal.Kind != event.ServiceRole
}

func bucketNameBruteforce(c *Config) detect.Detector {
	bucket := func(e *event.Event) string {
		if !guessed(e) || c.publicBucket(e.Bucket()) {
			return ""
		}
		return e.Bucket()
	}
	name := func(e *event.Event) string {
		b, key := bucket(e), e.ObjectKey()
		if b == "" || key == "" {
			return b
		}
		return b + "/" + key
	}
	names := baseline.Distinct("name refused", name, 2*bruteforceThreshold, bruteforceWindow).On(guessingCalls...)
	buckets := baseline.Distinct("bucket refused", bucket, 2*bruteforceBuckets, bruteforceWindow).On(guessingCalls...)
	usual := bursts("name refused", name, bruteforceThreshold/2, bruteforceWindow).On(guessingCalls...)
	return detect.New(detect.Info{
		Name: "bucket-name-bruteforce",
		Doc: "One source address is refused 20 or more different buckets or objects within ten minutes, and is not used to that. " +
			"Whoever guesses names is refused most of them. With credentials, yours or another account's, it is low, without any informational, because scanners of the internet do nothing else. " +
			"Five different buckets among them, and a sensitive one, make it one level higher each; a known source one level lower. Needs no learning.",
		Technique:   "T1619",
		Tactic:      detect.Discovery,
		Severity:    detect.Low,
		Events:      guessingCalls,
		Uses:        []baseline.Feature{names, buckets, usual},
		Scope:       byGuessingSource,
		Needs:       detect.S3DataEvents,
		AboutSource: true,
		Threshold: c.threshold("bucket-name-bruteforce", detect.Threshold{
			Of: "different buckets and objects refused within 10 minutes", Value: bruteforceThreshold, Min: bruteforceThreshold / 2, Max: 2 * bruteforceThreshold,
		}),
		Quiet: novelty,
		Benign: []string{
			"A job lost its permission, and tries object after object.",
			"A posture scanner or a crawler of the internet; declare buckets that are meant to be public in Config.PublicBuckets.",
		},
		Respond: []string{
			"See whether a call from the address succeeded, and what it read.",
			"If the caller is one of yours, ask its owner; if unexplained, revoke its sessions and keys.",
			"Turn on Block Public Access, and refuse the address or foreign accounts in the bucket policies.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		if p.Excuse("the principal is a declared scanner at its place", c.declaredScanner(e)) {
			return
		}
		w := names.In(p)
		if !p.Reaches(w.Count) {
			return
		}
		past := usual.In(p)
		if p.Excuse("the source is used to refusals", past.Normal) {
			return
		}
		severity := detect.Low
		if e.Principal.Kind == event.Anonymous {
			severity = detect.Informational
		}
		tried := buckets.In(p)
		if tried.Count >= bruteforceBuckets {
			severity = raised(severity, 1)
		}
		if c.sensitiveBucket(e.Bucket()) {
			severity = raised(severity, 1)
		}
		if c.knownSource(e) {
			severity = severity.Lowered(1)
		}
		p.ReportWith(person(e, severity), "", func() (string, []detect.Evidence) {
			return fmt.Sprintf("%d buckets and objects refused to %s within 10 minutes", w.Count, e.SourceAddress), []detect.Evidence{{
				Name:     "different buckets and objects refused within 10 minutes",
				Observed: fmt.Sprintf("%d in buckets %s: %s", w.Count, some(tried.Values()), some(w.Values())),
				Expected: fmt.Sprintf("fewer than %d; as many on %d of the last 30 days", p.Threshold(), past.Days),
				EventIDs: w.EventIDs(),
			}}
		})
	})
}
