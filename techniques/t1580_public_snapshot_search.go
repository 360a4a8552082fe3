package techniques

import (
	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// publicSearches remembers which snapshots and images of others a principal
// searches for.
var publicSearches = baseline.FirstSeen("public snapshot search", publicSearch, &baseline.FirstSeenOptions{Cap: 8}).On(publicSearchCalls...)

var publicSearchCalls = []string{"ec2:DescribeImages", "ec2:DescribeSnapshots", "rds:DescribeDBClusterSnapshots", "rds:DescribeDBSnapshots"}

// publicSearch returns what a call searches for among the snapshots and images
// that others share or publish, or "" if it is about certain ones or the
// account's own.
func publicSearch(e *event.Event) string {
	if !direct(e) || !attempted(e) || !e.Request.Exists() {
		return ""
	}
	ask := e.Request
	switch e.Operation {
	case "DescribeDBSnapshots", "DescribeDBClusterSnapshots":
		kind := ask.At("snapshotType").Text()
		switch {
		case ask.At("dBSnapshotIdentifier").Exists() || ask.At("dBClusterSnapshotIdentifier").Exists():
			return ""
		case ask.At("includePublic").IsTrue() || kind == "public":
			return "public database snapshots"
		case ask.At("includeShared").IsTrue() || kind == "shared":
			return "shared database snapshots"
		}
	case "DescribeSnapshots":
		switch {
		case lists(ask, "snapshotSet") || ownOnly(e):
			return ""
		case lists(ask, "sharedUsersSet"):
			return "shared or public snapshots"
		case !lists(ask, "ownersSet") && !lists(ask, "filterSet"):
			return "all public snapshots"
		}
	case "DescribeImages":
		switch {
		case lists(ask, "imagesSet") || ownOnly(e):
			return ""
		case ask.At("includeDeprecated").IsTrue():
			return "deprecated images"
		case lists(ask, "executableBySet"):
			return "shared or public images"
		case !lists(ask, "ownersSet") && !lists(ask, "filterSet"):
			return "all public images"
		}
	}
	return ""
}

// lists reports whether EC2 logged any items under a name.
func lists(request event.Raw, name string) bool {
	for range request.At(name, "items").Items() {
		return true
	}
	return false
}

// ownOnly reports whether all owners that a request asks for are the account
// itself.
func ownOnly(e *event.Event) bool {
	own := false
	for item := range e.Request.At("ownersSet", "items").Items() {
		switch item.At("owner").Text() {
		case "self", e.AccountID:
			own = true
		default:
			return false
		}
	}
	return own
}

func publicSnapshotSearch(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "public-snapshot-search",
		Doc: "A principal searches for the first time among the snapshots and images that others share or publish, or among images that are outdated. " +
			"Copies of other people's disks and databases hold secrets, and old images known weaknesses; workloads ask for certain images or their own. " +
			"Low on its own, more from a new network or with a new tool. Refused calls count too.",
		Technique: "T1580",
		Tactic:    detect.Discovery,
		Severity:  detect.Low,
		Events:    publicSearchCalls,
		Uses:      []baseline.Feature{publicSearches, networks, tools},
		Needs:     detect.ManagementReads,
		Learn:     learn,
		Cold:      detect.Informational,
		Quiet:     novelty,
		Benign: []string{
			"Somebody looks for a base image, or lists snapshots without naming an owner, which returns the public ones too.",
			"A posture scanner checks whether the account's own snapshots are public.",
			"A clean-up looks for deprecated images.",
		},
		Respond: []string{
			"See whether snapshots or images were copied, restored or launched in the hours after.",
			"If unexplained, ask the principal's owner.",
			"Check that none of the account's own snapshots and images are public.",
		},
		Mitigations: []string{"Turn on Block Public Access for EBS snapshots and AMIs, and Allowed AMIs."},
	}, func(p *detect.Pass) {
		e := p.Event
		if !p.Require("the call searches among what others share or publish", publicSearch(e) != "") {
			return
		}
		n := publicSearches.In(p)
		if !p.Require("such a search is new to the principal", n.New) {
			return
		}
		severity, around := unfamiliar(c, p, detect.Low)
		p.ReportWith(severity, subjectOf(publicSearches.Age(p), n.Value), func() (string, []detect.Evidence) {
			return "searches for " + n.Value + " " + firstTime(n), around.evidence(p, detect.Evidence{
				Name:     "searches among what others share or publish",
				Observed: api(e) + " for " + n.Value + ", " + outcome(e),
				Expected: "what is usual: " + habit(n),
			})
		})
	})
}
