package techniques

import (
	"strings"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// templateReads remembers the launch templates whose user data a principal got,
// and the instances whose user data it got in the form of a template.
var templateReads = baseline.FirstSeen("launch template read", func(e *event.Event) string {
	if !direct(e) || !e.Succeeded() {
		return ""
	}
	return templateRead(e)
}, &baseline.FirstSeenOptions{Cap: 24}).On("ec2:DescribeLaunchTemplateVersions", "ec2:GetLaunchTemplateData")

// ownTemplates remembers the launch templates that a principal wrote, by id and
// by name.
var ownTemplates = ownershipOf("launch template written", 24, launchTemplates,
	"ec2:CreateLaunchTemplate", "ec2:CreateLaunchTemplateVersion", "ec2:ModifyLaunchTemplate")

// allTemplates stands for what DescribeLaunchTemplateVersions reads when it
// names no template.
const allTemplates = "all launch templates"

// templateRead returns what an event of templateReads reads the user data of: a
// template, by id or name, or an instance.
func templateRead(e *event.Event) string {
	r := ec2Request(e)
	if e.Operation == "GetLaunchTemplateData" {
		return folded(r, "instanceId").Text()
	}
	if id := folded(r, "launchTemplateId").Text(); id != "" {
		return id
	}
	if name := folded(r, "launchTemplateName").Text(); name != "" {
		return name
	}
	return allTemplates
}

// launchTemplates appends the id and the name of the template that a call
// writes.
func launchTemplates(list []string, e *event.Event) []string {
	response := e.Response
	for _, inner := range response.Members() { // CreateLaunchTemplateResponse
		response = inner
	}
	template := folded(response, "launchTemplate")
	if !template.Exists() {
		template = folded(response, "launchTemplateVersion")
	}
	for _, r := range [...]event.Raw{template, ec2Request(e)} {
		for _, name := range [...]string{"launchTemplateId", "launchTemplateName"} {
			list = added(list, folded(r, name).Text())
		}
	}
	return list
}

// ec2Request returns the parameters of a call of EC2. Those of its newer
// operations are logged one level deeper, in their API's capitals:
// {"GetLaunchTemplateDataRequest":{"InstanceId":"i-…"}}. [folded] reads both.
func ec2Request(e *event.Event) event.Raw {
	for name, inner := range e.Request.Members() {
		if strings.HasSuffix(name, "Request") {
			return inner
		}
	}
	return e.Request
}

// folded returns the member of a name, whatever its capitals.
func folded(r event.Raw, name string) event.Raw {
	for n, v := range r.Members() {
		if strings.EqualFold(n, name) {
			return v
		}
	}
	return ""
}

func launchTemplateUserdata(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "launch-template-userdata",
		Doc: "A principal reads a launch template, and with it the user data of what is launched from it, which it neither wrote nor reads regularly; " +
			"or has an instance that it does not manage described as a template, which shows the instance's user data by another way than userdata-read watches. " +
			"User data often holds bootstrap secrets. Denied calls count too.",
		Technique: "T1552.005",
		Tactic:    detect.CredentialAccess,
		Severity:  detect.Medium,
		Events:    templateReads.Events(),
		Uses:      []baseline.Feature{templateReads, ownTemplates.earlier, ownTemplates.today, ownInstances.earlier, ownInstances.today, networks},
		Needs:     detect.ManagementReads,
		Learn:     learn,
		Cold:      detect.Informational,
		Quiet:     novelty,
		Benign: []string{
			"A cluster's or a fleet's scaling was set up, and its role reads the templates of others from now on.",
			"Someone looks into how a fleet of another team boots.",
		},
		Respond: []string{
			"Ask the principal's owner; if unexplained, revoke the principal's sessions and keys.",
			"Read the user data in all versions of the template, and rotate every secret in it.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		thing := templateRead(e)
		if !p.Require("user data was read or denied", thing != "" && attempted(e)) {
			return
		}
		reads := noveltyOf(templateReads.In(p), thing)
		if p.Excuse("the principal reads it regularly", !reads.New) {
			return
		}
		// Tools that launch or scale read templates for other reasons, too;
		// nobody but a reader of user data makes a template of an instance.
		severity, own := detect.Low, &ownTemplates
		if e.Operation == "GetLaunchTemplateData" {
			severity, own = detect.Medium, &ownInstances
		}
		if p.Excuse("the principal made or managed it on an earlier day", own.earlier.In(p).Established(thing)) {
			return
		}
		severity = own.weigh(c, p, thing, reads, severity)
		if p.Excuse("the principal reads new ones every day", severity == detect.Silent) {
			return
		}
		age := templateReads.Age(p)
		p.ReportWith(severity, subjectOf(age, thing), func() (string, []detect.Evidence) {
			title := "launch template " + shown(thing) + " with its user data"
			switch {
			case e.Operation == "GetLaunchTemplateData":
				title = "user data of " + shown(thing) + ", as a launch template,"
			case thing == allTemplates:
				title = thing + " with their user data"
			}
			return title + firstRead(e, reads), placed(c, p, detect.Evidence{
				Name:     "launch template or instance whose user data was requested",
				Observed: shown(thing),
				Expected: usualReads(reads, age),
			})
		})
	})
}
