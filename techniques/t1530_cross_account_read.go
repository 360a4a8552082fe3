package techniques

import (
	"fmt"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// bucketReaders remembers the accounts that read a bucket's objects, its own
// aside where the log tells which one that is.
var bucketReaders = baseline.FirstSeen("reader's account", readerAccount, &baseline.FirstSeenOptions{Cap: 32}).On(objectReads...)

// readerAccount returns the account of who read an object, or the canonical
// user that an access log names instead; "" if it is the bucket's own, or AWS,
// or nobody. It is a reading of the foreign account's if a service made it for
// that, since there is where the data went.
func readerAccount(e *event.Event) string {
	if !e.Succeeded() {
		return ""
	}
	reader := e.Principal.AccountID // AWS and nobody have none
	switch {
	case e.Access == nil:
		if reader == e.AccountID {
			return "" // its own bucket, or its own log of what it reads elsewhere
		}
	case reader == "":
		if reader = e.Identity.PrincipalID; reader == e.Access.BucketOwner {
			return ""
		}
	}
	return reader
}

func crossAccountRead(c *Config) detect.Detector {
	info := detect.Info{
		Name: "cross-account-read",
		Doc: "An object was read by another account, which is not the organisation's and never used to read the bucket. " +
			"A bucket policy, an access point or an access control list lets it in, on purpose or not. A sensitive bucket makes it high. " +
			"CloudTrail tells whose the bucket is; a server access log does not, so that there the accounts in Config decide, and without them a new account is low. " +
			"What is another account's is known at once if Config names accounts, and has to be learnt otherwise.",
		Technique: "T1530",
		Tactic:    detect.Collection,
		Severity:  detect.Medium,
		Events:    objectReads,
		Uses:      []baseline.Feature{bucketReaders},
		Scope:     detect.ByBucket,
		Needs:     detect.S3DataEvents,
		Quiet:     novelty,
		Benign: []string{
			"A partner, a vendor or another account of the organisation reads what was shared with it; name the organisation's in Config.Accounts.",
			"A CloudFront origin access identity, which is an account's of AWS's, in a server access log.",
		},
		Respond: []string{
			"Find out whose the account is, and what lets it in: bucket policy, access points, object ACLs.",
			"If it should not read the bucket, close that and treat the objects it read as disclosed.",
			"Bind the bucket policy to the organisation with aws:PrincipalOrgID.",
		},
	}
	configured := len(c.Accounts) > 0
	if !configured {
		info.Learn, info.Cold = learn, detect.Informational
	}
	return detect.New(info, func(p *detect.Pass) {
		e := p.Event
		reader, bucket := readerAccount(e), e.Bucket()
		if !p.Require("an object was read by an account other than the bucket's", reader != "") ||
			p.Excuse("the account is one of the organisation's", c.ownAccount(reader)) ||
			p.Excuse("the reader is a declared scanner at its place", c.declaredScanner(e)) ||
			p.Excuse("the bucket is meant to be public", c.publicBucket(bucket)) {
			return
		}
		n := bucketReaders.In(p)
		if p.Excuse("the account reads the bucket habitually", !n.New) {
			return
		}
		severity := detect.Medium
		if e.Access != nil && !configured {
			if p.Excuse("the account may be the bucket's own, which the log does not tell and the bucket's history not yet", !mature(bucketReaders.Age(p))) {
				return
			}
			severity = detect.Low
		}
		if c.sensitiveBucket(bucket) {
			severity = raised(severity, 1)
		}
		severity = surprise(n, severity)
		if p.Excuse("the bucket is read by ever new accounts", severity == detect.Silent) {
			return
		}
		p.ReportWith(severity, reader, func() (string, []detect.Evidence) {
			expected := "accounts that read it: " + habit(n)
			if configured {
				expected = "Config.Accounts; " + expected
			}
			return fmt.Sprintf("objects of %s read by account %s", bucket, reader), []detect.Evidence{{
				Name:     "account of the reader",
				Observed: fmt.Sprintf("%s, as %s from %s", reader, e.Principal.Name, source(e)),
				Expected: expected,
			}, {
				Name:     "object read",
				Observed: bucket + "/" + shown(e.ObjectKey()),
			}}
		})
	})
}
