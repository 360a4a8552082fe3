package techniques

import (
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// ssmBulkThreshold is Panther's, more than 25 parameters in an hour, but of any
// hour instead of one by the clock. Stratus Red Team's attack reads 42.
const ssmBulkThreshold = 26

// parametersAsked collects the parameters that a principal asked for by name,
// allowed or not.
var parametersAsked = baseline.DistinctEach("ssm parameter", func(e *event.Event) iter.Seq[string] {
	if !direct(e) || !attempted(e) {
		return nil
	}
	return parameters(e)
}, 64, time.Hour).On("ssm:GetParameter", "ssm:GetParameters", "ssm:GetParameterHistory")

func ssmBulk(*Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "ssm-bulk",
		Doc: "A principal reads more than 25 parameters within an hour that it neither wrote nor reads regularly; " +
			"or has everything below a short path returned and decrypted at once, for the first time. " +
			"Applications read their own parameters, by their own path, again and again; who reads many others collects secrets.",
		Technique: "T1552",
		Tactic:    detect.CredentialAccess,
		Severity:  detect.High,
		Events:    parameterReads,
		Uses:      []baseline.Feature{parametersAsked, parametersRead, ownParameters.earlier, ownParameters.today},
		Needs:     detect.ManagementReads,
		Learn:     learn,
		Cold:      detect.Medium,
		Quiet:     24 * time.Hour,
		Benign: []string{
			"An application with many parameters, or a backup of them, was introduced.",
			"An administrator exports parameters to move or document them.",
		},
		Respond: []string{
			"Ask the principal's owner; if unexplained, revoke the principal's sessions and keys.",
			"Rotate every secret among the parameters listed; those that kms:Decrypt names by PARAMETER_ARN were decrypted.",
		},
	}, func(p *detect.Pass) {
		if !attempted(p.Event) {
			return
		}
		if p.Event.Operation == "GetParametersByPath" {
			ssmPathDump(p)
			return
		}
		w := parametersAsked.In(p)
		if w.Count < ssmBulkThreshold {
			return
		}
		reads := parametersRead.In(p)
		names := ownParameters.unusual(p, w, reads)
		if names.Count < ssmBulkThreshold {
			return
		}
		severity := ownParameters.weighBurst(p, names, reads, detect.High)
		p.ReportAt(severity, "", fmt.Sprintf("%d parameters read within an hour", names.Count), detect.Evidence{
			Name:     "parameters requested within an hour, without a habit of it",
			Observed: fmt.Sprintf("%d: %s", names.Count, strings.Join(names.Values(), ", ")),
			Expected: fmt.Sprintf("fewer than %d; %s", ssmBulkThreshold, usualReads(reads, parametersRead.Age(p))),
			EventIDs: names.EventIDs(),
		})
	})
}

// ssmPathDump reports the first time that a principal gets everything below "/"
// or a single folder decrypted. Its pages are one finding.
func ssmPathDump(p *detect.Pass) {
	r := p.Event.Request
	if !p.Event.Succeeded() || !r.At("recursive").IsTrue() || !r.At("withDecryption").IsTrue() {
		return
	}
	path := parameterPath(p.Event)
	if strings.Count(path, "/") != 1 {
		return // an application's own prefix is deeper
	}
	reads := noveltyOf(parametersRead.In(p), path)
	if !reads.New {
		return
	}
	severity, title := detect.Medium, "all parameters below "+shown(path)+" read and decrypted"
	if path == "/" {
		severity, title = detect.High, "all parameters of the region read and decrypted"
	}
	p.ReportAt(person(p.Event, surprise(reads, severity)), path, title, detect.Evidence{
		Name:     "path read recursively, with decryption",
		Observed: shown(path),
		Expected: usualReads(reads, parametersRead.Age(p)),
	})
}
