package techniques

import (
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// byParameterAccount is the account, for events that write parameters. The
// parameter is what the finding is about, whoever writes it, services on behalf
// of someone included.
var byParameterAccount = &detect.Scope{Name: "account-parameters", Key: func(e *event.Event) string {
	if e.Is("ssm", "PutParameter") {
		return e.AccountID
	}
	return ""
}}

func plaintextSecretWritten(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "plaintext-secret-written",
		Doc: "A parameter whose name tells of a secret is written as a String or StringList, which is kept in plain text. " +
			"Everyone who may read parameters can read it, without the key that a SecureString needs. CloudFormation, which cannot write a SecureString, is no exception.",
		Technique: "T1552",
		Tactic:    detect.CredentialAccess,
		Severity:  detect.Medium,
		Events:    []string{"ssm:PutParameter"},
		Scope:     byParameterAccount,
		Needs:     detect.ManagementWrites,
		Quiet:     novelty,
		Benign: []string{
			"The name tells of a secret, but the value is a setting, such as a feature flag.",
			"The value is the name or ARN of a secret kept elsewhere.",
		},
		Respond: []string{
			"Write the parameter anew as a SecureString, or move the secret to Secrets Manager; String values stay in the parameter's history.",
			"Rotate the secret, and find out from GetParameter events who has read it.",
			"Correct the code or template that writes it.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		kind := e.Request.At("type").Text()
		if !p.Require("the call succeeded", e.Succeeded()) ||
			!p.Require("the value is kept in plain text", kind == "String" || kind == "StringList") {
			return
		}
		name := parameterName(e.Request.At("name").Text())
		word := c.sensitiveName(name)
		if !p.Require("the name tells of a secret", word != "") {
			return
		}
		p.Report(name, "parameter "+shown(name)+" written in plain text", detect.Evidence{
			Name:     "type of a parameter whose name tells of a secret",
			Observed: kind + ", with the word " + word + " in its name",
			Expected: "SecureString",
		})
	})
}
