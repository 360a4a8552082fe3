package techniques

import (
	"fmt"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// lambdaSweepThreshold is our own: nobody publishes one. The console reads one
// function per page.
const lambdaSweepThreshold = 10

// functionsRead collects the functions whose configuration a principal asked
// for one by one, allowed or not.
var functionsRead = baseline.Distinct("lambda function", func(e *event.Event) string {
	if !direct(e) || !attempted(e) {
		return ""
	}
	return functionRead(e)
}, 64, 10*time.Minute).On("lambda:GetFunction", "lambda:GetFunctionConfiguration", "lambda:ListVersionsByFunction")

func lambdaEnvSweep(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "lambda-env-sweep",
		Doc: "A principal reads the configuration of ten or more Lambda functions within ten minutes that it neither manages nor reads regularly. " +
			"With the configurations it collects the environment variables, which often hold credentials. Denied calls count too.",
		Technique: "T1552",
		Tactic:    detect.CredentialAccess,
		Severity:  detect.High,
		Events:    functionsRead.Events(),
		Uses:      []baseline.Feature{functionsRead, functionReads, ownFunctions.earlier, ownFunctions.today},
		Needs:     detect.ManagementReads,
		Threshold: c.threshold("lambda-env-sweep", detect.Threshold{
			Of: "functions within 10 minutes, neither managed by the principal nor read regularly", Value: lambdaSweepThreshold, Min: 2, Max: 64,
		}),
		Learn: learn,
		Cold:  detect.Medium,
		Quiet: 24 * time.Hour,
		Benign: []string{
			"A posture or inventory tool was introduced; declare it in Config.Scanners.",
			"A deployment pipeline takes over many functions at once.",
		},
		Respond: []string{
			"Ask the principal's owner; if unexplained, revoke the principal's sessions and keys.",
			"Rotate every credential in the environment variables of the functions listed, and look for its use from elsewhere.",
		},
	}, func(p *detect.Pass) {
		if !p.Require("the configuration was read or denied", attempted(p.Event)) {
			return
		}
		reads := functionReads.In(p)
		functions := ownFunctions.unusual(p, functionsRead.In(p), reads)
		if !p.Reaches(functions.Count) {
			return
		}
		severity := ownFunctions.weighBurst(p, functions, reads, detect.High)
		p.ReportWith(severity, "", func() (string, []detect.Evidence) {
			return fmt.Sprintf("configuration of %d functions requested within 10 minutes", functions.Count), []detect.Evidence{{
				Name:     "functions whose environment variables were requested within 10 minutes, without a habit of it",
				Observed: fmt.Sprintf("%d: %s", functions.Count, strings.Join(functions.Values(), ", ")),
				Expected: fmt.Sprintf("fewer than %d; %s", p.Threshold(), usualReads(reads, functionReads.Age(p))),
				EventIDs: functions.EventIDs(),
			}}
		})
	})
}
