package techniques

import (
	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

func uncommonS3Client(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "uncommon-s3-client",
		Doc: "A principal uses S3 with a file transfer client that it never used: S3 Browser, Cyberduck, rclone, WinSCP, MEGA and their like. " +
			"They are what people copy whole buckets with, thieves among them. Reading objects is medium, anything else low, and a network new to the principal raises both. " +
			"A caller can claim any tool, so this rule finds the careless.",
		Technique: "T1530",
		Tactic:    detect.Collection,
		Severity:  detect.Medium,
		Events:    []string{"s3:*"},
		Uses:      []baseline.Feature{tools, networks},
		Needs:     detect.S3DataEvents | detect.ManagementReads,
		Learn:     learn,
		Cold:      detect.Informational,
		Quiet:     novelty,
		Benign: []string{
			"A user of the AWS CLI tries a client with windows.",
			"A backup or synchronisation job with rclone was set up.",
		},
		Respond: []string{
			"Ask the principal's owner whether the client is theirs; see which buckets it listed and read.",
			"If not: deactivate the access key or revoke the sessions, and treat the objects read as disclosed.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		if !p.Require("the user agent names a file transfer client for S3", e.Tool == event.ToolS3Client) ||
			!p.Require("the call was allowed or denied", attempted(e)) ||
			p.Excuse("the bucket is meant to be public", c.publicBucket(e.Bucket())) {
			return
		}
		n := noveltyOf(tools.In(p), string(e.Tool)) // of a presigned request's, too
		if p.Excuse("the principal uses such clients habitually", !n.New) {
			return
		}
		severity := detect.Low
		if readsObject(e) {
			severity = detect.Medium
		}
		around := circumstances{network: newNetwork(c, p)}
		severity = surprise(n, around.raise(severity))
		if p.Excuse("new tools are usual for the principal", severity == detect.Silent) {
			return
		}
		p.ReportWith(severity, "", func() (string, []detect.Evidence) {
			title := "S3 used with " + clip(e.UserAgent) + ", a client new to the principal"
			if around.network {
				title += ", from a network new to it"
			}
			return title, around.evidence(p, toolEvidence(p))
		})
	})
}
