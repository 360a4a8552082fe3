package techniques

import (
	"fmt"
	"strings"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// userdataReads remembers the instances whose user data a principal got.
var userdataReads = baseline.FirstSeen("userdata read", func(e *event.Event) string {
	if !direct(e) || !e.Succeeded() {
		return ""
	}
	return userdataInstance(e)
}, &baseline.FirstSeenOptions{Cap: habits}).On("ec2:DescribeInstanceAttribute")

// ownInstances remembers the instances that a principal launched or manages.
var ownInstances = newOwnership("instance managed", managedInstances,
	"ec2:RunInstances", "ec2:StartInstances", "ec2:StopInstances", "ec2:RebootInstances", "ec2:TerminateInstances",
	"ec2:MonitorInstances", "ec2:ModifyInstanceAttribute", "ec2:AttachVolume", "ec2:CreateTags")

// userdataInstance returns the instance whose user data an event asks for, or
// "". The console reads other attributes with the same call.
func userdataInstance(e *event.Event) string {
	if !e.Is("ec2", "DescribeInstanceAttribute") || e.Request.At("attribute").Text() != "userData" {
		return ""
	}
	return e.Request.At("instanceId").Text()
}

// managedInstances appends the instances that a call acts on.
func managedInstances(list []string, e *event.Event) []string {
	list = added(list, e.Request.At("instanceId").Text())
	instances := e.Request.At("instancesSet", "items")
	if e.Is("ec2", "RunInstances") {
		instances = e.Response.At("instancesSet", "items")
	}
	for r := range instances.Items() {
		list = added(list, r.At("instanceId").Text())
	}
	for r := range e.Request.At("resourcesSet", "items").Items() {
		if id := r.At("resourceId").Text(); len(id) > 2 && id[:2] == "i-" {
			list = append(list, id)
		}
	}
	return list
}

func userdataRead(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "userdata-read",
		Doc: "A principal asks for the user data of an instance that it neither launched nor manages, and whose user data it does not read regularly. " +
			"User data often holds bootstrap secrets, and anyone who may describe instance attributes can read it. Denied calls count too.",
		Technique: "T1552.005",
		Tactic:    detect.CredentialAccess,
		Severity:  detect.Medium,
		Events:    []string{"ec2:DescribeInstanceAttribute"},
		Uses:      []baseline.Feature{userdataReads, userdataInstances, ownInstances.earlier, ownInstances.today, networks},
		Needs:     detect.ManagementReads,
		Learn:     learn,
		Cold:      detect.Low,
		Quiet:     day,
		Benign: []string{
			"Someone looks into how an instance of another team boots.",
			"An inventory or migration tool was introduced; if it reads everything, declare it in Config.Scanners.",
		},
		Respond: []string{
			"Ask the principal's owner; if unexplained, revoke the principal's sessions and keys.",
			"Read the instance's user data, and rotate every secret in it.",
		},
	}, func(p *detect.Pass) {
		instance := userdataInstance(p.Event)
		if !p.Require("user data was read or denied", instance != "" && attempted(p.Event)) {
			return
		}
		reads := noveltyOf(userdataReads.In(p), instance)
		if p.Excuse("the principal reads it regularly", !reads.New) ||
			p.Excuse("the principal launched or managed it on an earlier day", ownInstances.earlier.In(p).Established(instance)) {
			return
		}
		severity := ownInstances.weigh(c, p, instance, reads, detect.Medium)
		if p.Excuse("the principal reads new ones every day", severity == detect.Silent) {
			return
		}
		p.ReportWith(severity, "", func() (string, []detect.Evidence) {
			// One finding for all instances of a day, with those so far.
			w := ownInstances.unusual(p, userdataInstances.In(p), reads)
			return "user data of " + shown(instance) + firstRead(p.Event, reads), placed(c, p, detect.Evidence{
				Name:     "instances whose user data was requested within 24 hours, without a habit of it",
				Observed: fmt.Sprintf("%d: %s", w.Count, strings.Join(w.Values(), ", ")),
				Expected: usualReads(reads, userdataReads.Age(p)),
				EventIDs: w.EventIDs(),
			})
		})
	})
}
