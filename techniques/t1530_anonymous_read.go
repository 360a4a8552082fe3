package techniques

import (
	"fmt"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// objectReads are the requests that need leave to read an object. HeadObject is
// one: that it succeeds proves that GetObject would.
var objectReads = []string{"s3:GetObject", "s3:HeadObject", "s3:SelectObjectContent", "s3:GetObjectTorrent"}

// anonymousHabit remembers, for a bucket, that it is read anonymously. That it
// was so when we first looked makes no habit, hence an initial period of less
// than a day; it takes five days over the week for which the first finding
// stands. Elastic's rule takes five days to know a bucket's reader.
var anonymousHabit = baseline.FirstSeen("anonymous reads", func(e *event.Event) string {
	if !readAnonymously(e) {
		return ""
	}
	return "anonymous"
}, &baseline.FirstSeenOptions{Cap: 4, Learn: time.Hour, Days: 5, Span: novelty}).On(objectReads...)

// anonymousNetworks remembers, for a bucket, where it is read from
// anonymously.
var anonymousNetworks = baseline.FirstSeen("network of anonymous reads", func(e *event.Event) string {
	if !readAnonymously(e) {
		return ""
	}
	return network(e)
}, nil).On(objectReads...)

func readAnonymously(e *event.Event) bool {
	return e.Principal.Kind == event.Anonymous && e.Succeeded()
}

func anonymousRead(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "anonymous-read",
		Doc: "An object was read without any credentials from a bucket that is not meant to be public. " +
			"One success proves that the whole world can read it; of a sensitive bucket that is critical. " +
			"A bucket that is still read so every day a week later is one that somebody forgot to declare in Config.PublicBuckets: there only a new network counts, and little.",
		Technique: "T1530",
		Tactic:    detect.Collection,
		Severity:  detect.High,
		Events:    objectReads,
		Uses:      []baseline.Feature{anonymousHabit, anonymousNetworks},
		Scope:     detect.ByBucket,
		Needs:     detect.S3DataEvents,
		Quiet:     novelty,
		Benign: []string{
			"The bucket serves a public website or download; declare it in Config.PublicBuckets.",
			"A partner reads under a bucket policy that trusts its addresses.",
		},
		Respond: []string{
			"Turn on Block Public Access for the bucket unless it is public on purpose.",
			"See who opened it: PutBucketPolicy, PutBucketAcl, PutObjectAcl, DeleteBucketPublicAccessBlock; bucket-opened tells them.",
			"List every object read anonymously since, and treat its contents as disclosed.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		bucket := e.Bucket()
		if !p.Require("an object was read without credentials", readAnonymously(e)) ||
			p.Excuse("the bucket is meant to be public", c.publicBucket(bucket)) {
			return
		}
		severity, sensitive, habitual := detect.High, c.sensitiveBucket(bucket), !anonymousHabit.In(p).New
		switch {
		case sensitive:
			severity = detect.Critical
		case habitual:
			n := anonymousNetworks.In(p)
			if !p.Require("the bucket, read without credentials for a week, was read so from a new network", n.New) {
				return
			}
			severity = surprise(n, detect.Low)
			if p.Excuse("the bucket is read from ever new networks", severity == detect.Silent) {
				return
			}
		}
		p.ReportWith(severity, bucket, func() (string, []detect.Evidence) {
			expected := "no anonymous reads: not in Config.PublicBuckets, and no habit"
			switch {
			case sensitive:
				expected = "no anonymous reads of a sensitive bucket"
			case habitual:
				expected = "anonymous reads from " + habit(anonymousNetworks.In(p))
			}
			return fmt.Sprintf("%s read anonymously from %s", bucket, e.SourceAddress), []detect.Evidence{{
				Name:     "successful request without credentials",
				Observed: fmt.Sprintf("%s of %s from %s", e.Operation, e.ObjectKey(), source(e)),
				Expected: expected,
			}}
		})
	})
}
