package techniques

import (
	"fmt"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

func getObjectOutsideNetworks(c *Config) detect.Detector {
	info := detect.Info{
		Name: "getobject-outside-networks",
		Doc: "A principal reads S3 objects from outside the organisation's networks. " +
			"Where Config names networks or VPC endpoints, outside is what they do not cover; a network that the principal has long used is then two levels lower. " +
			"Otherwise outside is a network new to the principal. " +
			"Reads by presigned URL, which others are meant to use, are one level lower, and one finding whatever their networks; " +
			"they are compared with where the principal's URLs were used before. Reads of public buckets do not count.",
		Technique: "T1530",
		Tactic:    detect.Collection,
		Severity:  detect.Medium,
		Events:    []string{"s3:GetObject"},
		Uses:      []baseline.Feature{networks, urlNetworks},
		Needs:     detect.S3DataEvents,
		Quiet:     novelty,
		Benign: []string{
			"A presigned URL was handed to a user or a partner.",
			"Someone works from home or travels without the VPN.",
			"A workload moved behind another NAT gateway; add its addresses to Config.Networks.",
		},
		Respond: []string{
			"Find out whose the network is, and what else the access key did from there.",
			"If unexplained, revoke the principal's sessions and keys.",
			"Bind the bucket to known networks with aws:SourceIp or aws:SourceVpce.",
		},
	}
	configured := len(c.Networks)+len(c.VPCEndpoints) > 0
	if !configured {
		info.Learn = learn // what is outside has to be learnt
	}
	return detect.New(info, func(p *detect.Pass) {
		e := p.Event
		bucket := e.Bucket()
		if !p.Require("the principal itself read an object", readsObject(e)) ||
			!p.Require("the source is an address", e.IP.IsValid()) ||
			p.Excuse("the source is one of the organisation's", c.knownSource(e)) ||
			p.Excuse("the bucket is meant to be public", c.publicBucket(bucket)) {
			return
		}
		n := origins(p)
		if !configured && !p.Require("the network is new to the principal", n.New) {
			return
		}
		severity := person(e, info.Severity)
		if c.sensitiveBucket(bucket) {
			severity = raised(severity, 1)
		}
		if presigned(e) {
			severity = severity.Lowered(1)
		}
		switch {
		case n.New:
		case mature(networks.Age(p)):
			severity = severity.Lowered(2) // where the principal has always been: said when it began
		default:
			severity = severity.Lowered(1) // seen on another day
		}
		// A principal seen at ever new networks belongs to a traveller, or runs on
		// a build service; one whose URLs are, signs them for the world. Where the
		// networks are known, that does not excuse its own calls, but each of its
		// networks proves no more than the one before.
		subject := origin(e)
		switch {
		case !configured || presigned(e):
			severity = surprise(n, severity)
		case n.Unseen >= 0.5:
			severity, subject = severity.Lowered(1), ""
		}
		if p.Excuse("the principal reads from ever new networks", severity == detect.Silent) {
			return
		}
		p.ReportWith(severity, subject, func() (string, []detect.Evidence) {
			expected := "networks known of the principal: " + habit(n)
			if configured {
				expected = "Config.Networks and Config.VPCEndpoints; " + expected
			}
			return fmt.Sprintf("object of %s read from outside, at %s", bucket, e.SourceAddress), []detect.Evidence{{
				Name:     "source of a successful GetObject",
				Observed: source(e),
				Expected: expected,
			}, {
				Name:     "object read",
				Observed: bucket + "/" + e.ObjectKey(),
			}}
		})
	})
}

// source describes where a call came from.
func source(e *event.Event) string {
	if e.VPCEndpointID == "" {
		return e.SourceAddress
	}
	return e.SourceAddress + " through " + e.VPCEndpointID
}
