package techniques

import (
	"fmt"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

func anonymousListing(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "anonymous-listing",
		Doc: "Someone without any credentials lists the objects of a bucket that is not meant to be public. " +
			"One success proves that the whole world can; of a sensitive bucket that is critical. HeadBucket needs the same permission. " +
			"Refused attempts are what scanners of the internet leave, and informational.",
		Technique: "T1619",
		Tactic:    detect.Discovery,
		Severity:  detect.High,
		Events:    []string{"s3:ListObjects", "s3:ListObjectVersions", "s3:HeadBucket"},
		Scope:     detect.ByBucket,
		Needs:     detect.S3DataEvents,
		Quiet:     novelty,
		Benign: []string{
			"The bucket holds open data and is listed on purpose; declare it in Config.PublicBuckets.",
			"Refused: scanners guess bucket names all the time.",
		},
		Respond: []string{
			"Turn on Block Public Access for the bucket, or take s3:ListBucket from everyone (\"*\") in its policy and ACL.",
			"See who opened it: PutBucketPolicy, PutBucketAcl, DeletePublicAccessBlock.",
			"Look for GetObject calls without credentials on the same bucket.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		bucket := e.Bucket()
		if !p.Require("the request had no credentials", e.Principal.Kind == event.Anonymous) ||
			!p.Require("the call succeeded or was denied", attempted(e)) ||
			p.Excuse("the bucket is declared public", c.publicBucket(bucket)) {
			return
		}
		if e.Denied() {
			// A subject of its own: an open finding about refusals must not
			// swallow the success.
			p.ReportWith(detect.Informational, bucket+" refused", func() (string, []detect.Evidence) {
				return fmt.Sprintf("anonymous listing of %s refused, from %s", bucket, e.SourceAddress), []detect.Evidence{anonymousRequest(e)}
			})
			return
		}
		severity := detect.High
		if c.sensitiveBucket(bucket) {
			severity = detect.Critical
		}
		p.ReportWith(severity, bucket, func() (string, []detect.Evidence) {
			return fmt.Sprintf("%s listed anonymously from %s", bucket, e.SourceAddress), []detect.Evidence{anonymousRequest(e)}
		})
	})
}

func anonymousRequest(e *event.Event) detect.Evidence {
	return detect.Evidence{
		Name:     "listing without credentials",
		Observed: fmt.Sprintf("%s from %s, %s", e.Operation, source(e), outcome(e)),
		Expected: "none: not in Config.PublicBuckets",
	}
}

// refused ends the title of a finding about a listing that was refused.
func refused(e *event.Event) string {
	if e.Denied() {
		return ", refused"
	}
	return ""
}

// outcome says whether a call succeeded.
func outcome(e *event.Event) string {
	if e.ErrorCode != "" {
		return "refused: " + e.ErrorCode
	}
	return "successful"
}
