package techniques

import (
	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// bucketLists remembers that a principal asks for the list of buckets, allowed
// or not.
var bucketLists = baseline.FirstSeen("list of buckets", func(e *event.Event) string {
	if !listsBuckets(e) {
		return ""
	}
	return "ListBuckets"
}, &baseline.FirstSeenOptions{Cap: 4}).On("s3:ListBuckets")

func listsBuckets(e *event.Event) bool { return e.Is("s3", "ListBuckets") && direct(e) }

func listBucketsFirstSeen(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "listbuckets-first-seen",
		Doc: "A principal that did not list the account's buckets in the past 30 days does so. " +
			"Alone that is low: consoles and tools do it too. If it was refused, came from a network new to the principal, or with a tool new to it, that is medium; two of these are high.",
		Technique: "T1619",
		Tactic:    detect.Discovery,
		Severity:  detect.Low,
		Events:    []string{"s3:ListBuckets"},
		Uses:      []baseline.Feature{bucketLists, networks, tools},
		Needs:     detect.ManagementReads,
		Learn:     learn,
		Cold:      detect.Informational,
		Quiet:     novelty,
		Benign: []string{
			"Someone opens the S3 console, whose first page lists the buckets.",
			"A new version of a job or tool lists buckets to check its access.",
		},
		Respond: []string{
			"See what the principal did next: bucket-sweep and list-then-get tell the usual sequel.",
			"If network or tool are new too, ask the principal's owner; if unexplained, revoke its sessions and keys.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		n := bucketLists.In(p)
		if !p.Require("the principal did not use to list the buckets", n.New) {
			return
		}
		around := circumstances{network: newNetwork(c, p), tool: newTool(p)}
		severity := around.raise(detect.Low)
		if e.Denied() {
			severity = raised(severity, 1)
		}
		p.ReportWith(person(e, severity), "", func() (string, []detect.Evidence) {
			evidence := []detect.Evidence{{
				Name:     "ListBuckets by the principal",
				Observed: "from " + source(e) + " with " + clip(e.UserAgent),
				Expected: "none: not its habit within the past 30 days",
			}}
			title := "buckets listed " + firstTime(n) + refused(e)
			if around.network {
				title += ", from a new network"
				evidence = append(evidence, detect.Evidence{Name: "network", Observed: network(e), Expected: habit(networks.In(p))})
			}
			if around.tool {
				title += ", with a new tool"
				evidence = append(evidence, detect.Evidence{Name: "tool", Observed: string(e.Tool), Expected: habit(tools.In(p))})
			}
			return title, evidence
		})
	})
}
