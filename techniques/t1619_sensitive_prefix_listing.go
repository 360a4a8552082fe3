package techniques

import (
	"fmt"
	"strings"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// sensitivePrefixWords are the words in a key prefix that promise what is worth
// stealing, without the plural's s. The first six are the reference's, the
// others ours.
var sensitivePrefixWords = map[string]bool{
	"backup": true, "dump": true, "export": true, "report": true, "finance": true, "invoice": true,
	"accounting": true, "archive": true, "billing": true, "confidential": true, "contract": true,
	"credential": true, "customer": true, "database": true, "db": true, "hr": true, "key": true,
	"log": true, "passport": true, "password": true, "payment": true, "payroll": true,
	"pii": true, "private": true, "salary": true, "secret": true, "snapshot": true, "sql": true,
	"statement": true, "terraform": true, "tfstate": true,
}

// maxPrefix is the longest key that S3 allows, in bytes.
const maxPrefix = 1024

// sensitivePrefix returns the word that makes a key prefix sensitive, or "".
// Words are whole: parted by anything that is no letter, whatever the case.
// Of Config's own prefixes, which may begin at any path segment, it returns
// the whole.
func (c *Config) sensitivePrefix(prefix string) string {
	prefix = prefix[:min(len(prefix), maxPrefix)]
	for _, own := range c.SensitivePrefixes {
		for at := prefix; own != ""; {
			if strings.HasPrefix(at, own) {
				return own
			}
			_, rest, more := strings.Cut(at, "/")
			if !more {
				break
			}
			at = rest
		}
	}
	for word := range strings.FieldsFuncSeq(prefix, func(r rune) bool { return (r|0x20) < 'a' || (r|0x20) > 'z' }) {
		word = strings.ToLower(word)
		if sensitivePrefixWords[strings.TrimSuffix(word, "s")] {
			return word
		}
	}
	return ""
}

// sensitiveListing describes a listing that looks for what is worth stealing,
// as the bucket and the sensitive word or prefix: dates and tenants elsewhere
// in the prefix do not make it another. A bucket with nothing behind it stands
// for all objects of a sensitive bucket. "" is any other event.
func (c *Config) sensitiveListing(e *event.Event) string {
	if !listsObjects(e) {
		return ""
	}
	bucket, prefix := e.Bucket(), prefixOf.Of(e)
	if prefix == "" {
		if c.sensitiveBucket(bucket) && e.Request.At("delimiter").Text() == "" {
			return bucket
		}
		return ""
	}
	word := c.sensitivePrefix(prefix)
	if word == "" {
		return ""
	}
	return bucket + "/" + strings.TrimSuffix(word, "/")
}

func sensitivePrefixListing(c *Config) detect.Detector {
	// What is sensitive depends on Config, so the feature does: after a change
	// of it, the values that came in addition are new to everybody.
	listings := baseline.FirstSeen("sensitive listing", c.sensitiveListing, nil).
		On("s3:ListObjects", "s3:ListObjectVersions")
	return detect.New(detect.Info{
		Name: "sensitive-prefix-listing",
		Doc: "A principal lists backups/, dumps/, exports/, reports/, finance/ or another prefix that promises what is worth stealing, where it never used to. " +
			"Listing all objects of a sensitive bucket at once counts too. A sensitive prefix in a sensitive bucket, or a network new to the principal, makes it high. Refused attempts count.",
		Technique: "T1619",
		Tactic:    detect.Discovery,
		Severity:  detect.Medium,
		Events:    []string{"s3:ListObjects", "s3:ListObjectVersions"},
		Uses:      []baseline.Feature{listings, networks},
		Needs:     detect.S3DataEvents,
		Learn:     learn,
		Cold:      detect.Low,
		Quiet:     novelty,
		Benign: []string{
			"A job was given a new prefix to work on.",
			"Someone looks for a log file or a report in the console or with the CLI.",
		},
		Respond: []string{
			"Ask the principal's owner what was looked for.",
			"Look for GetObject calls under the prefix that followed; if there are and nobody explains them, revoke the principal's sessions and keys.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		if !p.Require("the bucket was listed or denied", attempted(e)) ||
			p.Excuse("the bucket is declared public", c.publicBucket(e.Bucket())) {
			return
		}
		n := listings.In(p)
		if !p.Require("a sensitive prefix, or all of a sensitive bucket", n.Value != "") ||
			!p.Require("the principal did not use to list it", n.New) {
			return
		}
		prefix := prefixOf.Of(e)
		severity := detect.Medium
		if prefix != "" && c.sensitiveBucket(e.Bucket()) {
			severity = raised(severity, 1)
		}
		if newNetwork(c, p) {
			severity = raised(severity, 1)
		}
		if severity = surprise(n, person(e, severity)); p.Excuse("the principal often lists new sensitive prefixes", severity == detect.Silent) {
			return
		}
		p.ReportWith(severity, n.Value, func() (string, []detect.Evidence) {
			title := fmt.Sprintf("%s listed under %.100q", e.Bucket(), prefix)
			if prefix == "" {
				title = fmt.Sprintf("all objects of sensitive bucket %s listed", e.Bucket())
			}
			return title + refused(e), placed(c, p, detect.Evidence{
				Name:     "prefix listed by the principal",
				Observed: fmt.Sprintf("%s/%s, from %s, %s", e.Bucket(), prefix, source(e), outcome(e)),
				Expected: "sensitive ones it is used to: " + habit(n),
			})
		})
	})
}
