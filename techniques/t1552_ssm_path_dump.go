package techniques

import (
	"strings"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
)

func ssmPathDump(*Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "ssm-path-dump",
		Doc: "A principal has everything below the root or a single folder of the parameters returned and decrypted at once, without a habit of it. " +
			"Applications load a deeper path of their own, again and again. All pages of the answer are one finding. " +
			"Denied calls count too, but less; they are logged without saying whether the values were to be decrypted.",
		Technique: "T1552",
		Tactic:    detect.CredentialAccess,
		Severity:  detect.High,
		Events:    []string{"ssm:GetParametersByPath"},
		Uses:      []baseline.Feature{parametersRead},
		Needs:     detect.ManagementReads,
		Learn:     learn,
		Cold:      detect.Medium,
		Quiet:     day,
		Benign: []string{
			"A new application keeps its parameters in a folder at the top and loads them when it starts.",
			"An administrator exports parameters to move or document them.",
		},
		Respond: []string{
			"Ask the principal's owner; if unexplained, revoke the principal's sessions and keys.",
			"Rotate every secret below the path; those that kms:Decrypt names by PARAMETER_ARN were decrypted.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		if !p.Require("parameters were read or denied", attempted(e)) {
			return
		}
		asked := e.Request.At("recursive").IsTrue() && decrypted(e)
		if !p.Require("everything below the path was to be decrypted", asked || e.Denied()) {
			return
		}
		path := parameterPath(e)
		if !p.Require("the path is the root or a single folder", strings.Count(path, "/") == 1) {
			return
		}
		reads := noveltyOf(parametersRead.In(p), path)
		if p.Excuse("the principal reads it regularly", !reads.New) {
			return
		}
		severity := detect.Medium
		if path == "/" {
			severity = detect.High
		}
		if e.Denied() {
			severity = severity.Lowered(1)
		}
		p.ReportWith(person(e, surprise(reads, severity)), path, func() (string, []detect.Evidence) {
			what, end := "all parameters below "+shown(path), "read and decrypted"
			if path == "/" {
				what = "all parameters of the region"
			}
			if e.Denied() {
				end = "asked for, and denied"
			}
			return what + " " + end, []detect.Evidence{{
				Name:     "path read recursively, with decryption",
				Observed: shown(path),
				Expected: usualReads(reads, parametersRead.Age(p)),
			}}
		})
	})
}
