package techniques

import (
	"strings"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// parameterReads are the calls that return the values of parameters.
var parameterReads = []string{"ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath", "ssm:GetParameterHistory"}

// parametersRead remembers the parameters, and the paths of parameters, that a
// principal got.
var parametersRead = baseline.FirstSeenEach("ssm parameter read", func(list []string, e *event.Event) []string {
	if !direct(e) || !e.Succeeded() {
		return list
	}
	return parameters(list, e)
}, &baseline.FirstSeenOptions{Cap: habits}).On(parameterReads...)

// ownParameters remembers the parameters that a principal wrote, whose values
// it knows without reading them.
var ownParameters = newOwnership("ssm parameter written", parameters, "ssm:PutParameter")

// publicParameters is where AWS publishes AMI ids and the like for everyone.
const publicParameters = "/aws/service/"

// parameters appends the parameters, or the path of parameters, that an event
// of SSM names.
func parameters(list []string, e *event.Event) []string {
	for r := range event.Raw(parameterList.Of(e)).Items() {
		list = added(list, parameterName(r.Text()))
	}
	return added(list, parameterNamed.Of(e))
}

var (
	// parameterList is the list of parameters that an event names, as it was
	// logged; parameterNamed is the parameter, or the path, of an event without
	// one.
	parameterList = event.Derive(func(e *event.Event) string {
		if e.Operation == "GetParametersByPath" {
			return ""
		}
		return string(e.Request.At("names"))
	})
	parameterNamed = event.Derive(func(e *event.Event) string {
		if e.Operation == "GetParametersByPath" {
			return parameterPath(e)
		}
		if event.Raw(parameterList.Of(e)).Exists() {
			return ""
		}
		name := e.Request.At("name").Text()
		if name == "" {
			name = deniedResource(e)
		}
		return parameterName(name)
	})
)

// parameterName returns a parameter's name without the ARN before it, the
// version or label after it, and the slash that names at the top may have; ""
// for those that AWS publishes.
func parameterName(name string) string {
	if strings.HasPrefix(name, "arn:") {
		const marker = ":parameter"
		i := strings.Index(name, marker)
		if i < 0 {
			return ""
		}
		name = name[i+len(marker):]
	}
	name, _, _ = strings.Cut(name, ":")
	if strings.HasPrefix(name, publicParameters) {
		return ""
	}
	if strings.LastIndexByte(name, '/') == 0 {
		name = name[1:]
	}
	return name
}

// parameterPath returns the path that GetParametersByPath asks for, with a
// slash before it and none after it; "/" is everything.
func parameterPath(e *event.Event) string {
	path := e.Request.At("path").Text()
	if path == "" {
		if _, path, _ = strings.Cut(deniedResource(e), ":parameter"); path == "" {
			return ""
		}
		path = strings.TrimSuffix(path, "*")
	}
	path = strings.TrimRight(path, "/")
	if path == "" {
		return "/"
	}
	return path
}

func ssmSensitiveName(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "ssm-sensitive-name",
		Doc: "A principal reads a parameter whose name tells of a secret (password, api-key, token, …) and which it neither wrote nor reads regularly. " +
			"Only whole words count, and not those of what is about a secret, such as token-url. Asking for the decrypted value weighs more, " +
			"and the finding then says whether KMS decrypted it or it is kept in plain text. Denied calls count too.",
		Technique: "T1552",
		Tactic:    detect.CredentialAccess,
		Severity:  detect.Medium,
		Events:    parameterReads,
		Uses:      []baseline.Feature{parametersRead, parametersDecrypted, ownParameters.earlier, ownParameters.today, networks},
		Needs:     detect.ManagementReads,
		Learn:     learn,
		Cold:      detect.Low,
		Quiet:     novelty,
		Benign: []string{
			"A new version of an application reads a secret that was added for it.",
			"A person looks up a password they are entitled to.",
		},
		Respond: []string{
			"Ask the principal's owner; if unexplained, revoke the principal's sessions and keys.",
			"Rotate the secret in the parameter, and look for its use from elsewhere.",
			"If no kms:Decrypt with the parameter's ARN follows the call, the secret is kept in plain text: make it a SecureString.",
		},
	}, func(p *detect.Pass) {
		if !p.Require("a parameter was read or denied", attempted(p.Event)) {
			return
		}
		var reads baseline.Novelty
		var room [8]string
		for _, name := range parameters(room[:0], p.Event) {
			if reads.Value == "" {
				reads = parametersRead.In(p)
			}
			if reads = noveltyOf(reads, name); !reads.New {
				continue
			}
			if word := c.sensitiveName(name); word != "" {
				sensitiveParameter(c, p, name, word, reads)
				return // one finding for all names of a call
			}
		}
		p.Require("a name tells of a secret, and is new to the principal", false)
	})
}

func sensitiveParameter(c *Config, p *detect.Pass, name, word string, reads baseline.Novelty) {
	if p.Excuse("the principal wrote it on an earlier day", ownParameters.earlier.In(p).Established(name)) {
		return
	}
	severity := detect.Low
	if decrypted(p.Event) {
		severity = detect.Medium
	}
	if severity = ownParameters.weigh(c, p, name, reads, severity); p.Excuse("the principal reads new ones every day", severity == detect.Silent) {
		return
	}
	age := parametersRead.Age(p)
	p.ReportWith(severity, subjectOf(age, name), func() (string, []detect.Evidence) {
		title, observed := "parameter "+shown(name)+firstRead(p.Event, reads), shown(name)+", for the word "+word
		if !p.Event.Denied() && decrypted(p.Event) {
			title = "parameter " + shown(name) + " read and decrypted " + firstTime(reads)
			observed += ", decrypted"
		}
		evidence := []detect.Evidence{{
			Name:     "parameter whose name tells of a secret",
			Observed: observed,
			Expected: usualReads(reads, age),
		}}
		if p.Event.Succeeded() && decrypted(p.Event) {
			evidence = append(evidence, kept(p, name))
		}
		return title, placed(c, p, evidence...)
	})
}
