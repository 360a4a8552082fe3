package techniques

import (
	"fmt"
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
var parametersAsked = baseline.DistinctEach("ssm parameter", func(list []string, e *event.Event) []string {
	if !direct(e) || !attempted(e) {
		return list
	}
	return parameters(list, e)
}, 64, time.Hour).On("ssm:GetParameter", "ssm:GetParameters", "ssm:GetParameterHistory")

func ssmBulk(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "ssm-bulk",
		Doc: "A principal reads more than 25 parameters within an hour, by name, that it neither wrote nor reads regularly. " +
			"Applications read their own parameters again and again; who reads many others collects secrets. Denied calls count too.",
		Technique: "T1552",
		Tactic:    detect.CredentialAccess,
		Severity:  detect.High,
		Events:    parametersAsked.Events(),
		Uses:      []baseline.Feature{parametersAsked, parametersRead, ownParameters.earlier, ownParameters.today},
		Needs:     detect.ManagementReads,
		Threshold: c.threshold("ssm-bulk", detect.Threshold{
			Of: "parameters within an hour, neither written by the principal nor read regularly", Value: ssmBulkThreshold, Min: 2, Max: 64,
		}),
		Learn: learn,
		Cold:  detect.Medium,
		Quiet: 24 * time.Hour,
		Benign: []string{
			"An application with many parameters, or a backup of them, was introduced.",
			"An administrator exports parameters to move or document them.",
		},
		Respond: []string{
			"Ask the principal's owner; if unexplained, revoke the principal's sessions and keys.",
			"Rotate every secret among the parameters listed; those that kms:Decrypt names by PARAMETER_ARN were decrypted.",
		},
	}, func(p *detect.Pass) {
		if !p.Require("parameters were read or denied", attempted(p.Event)) {
			return
		}
		reads := parametersRead.In(p)
		names := ownParameters.unusual(p, parametersAsked.In(p), reads)
		if !p.Reaches(names.Count) {
			return
		}
		severity := ownParameters.weighBurst(p, names, reads, detect.High)
		p.ReportWith(severity, "", func() (string, []detect.Evidence) {
			return fmt.Sprintf("%d parameters requested within an hour", names.Count), []detect.Evidence{{
				Name:     "parameters requested within an hour, without a habit of it",
				Observed: fmt.Sprintf("%d: %s", names.Count, strings.Join(names.Values(), ", ")),
				Expected: fmt.Sprintf("fewer than %d; %s", p.Threshold(), usualReads(reads, parametersRead.Age(p))),
				EventIDs: names.EventIDs(),
			}}
		})
	})
}
