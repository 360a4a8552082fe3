package detecttest_test

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/detecttest"
)

const script = `rule root-call
principal root = root from 198.51.100.7 agent "aws-cli/2.31.1"
principal alice = user alice from 198.51.100.8 agent "aws-cli/2.31.1"

case fires on a call of root
  day 1 10:00 root iam:ListUsers
  day 1 10:05 root iam:ListRoles
  expect medium by root title "root called"

case near miss: somebody else
  day 1 10:00 alice iam:ListUsers
  expect nothing
`

func rootCall([]byte) ([]detect.Detector, error) {
	return []detect.Detector{detect.New(detect.Info{
		Name: "root-call", Doc: "The root user makes a call.", Technique: "T1078.004", Tactic: detect.InitialAccess, Severity: detect.Medium,
	}, func(p *detect.Pass) {
		if p.Require("root calls", p.Event.Identity.Type == "Root") {
			p.Report("", "root called "+p.Event.Operation)
		}
	})}, nil
}

// In a test, Run does this for a folder of scenarios.
func ExampleParse() {
	scenario, err := detecttest.Parse("root-call.txt", script)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range scenario.Cases {
		fmt.Println(c.Name+":", len(c.Events()), "events,", c.Check(rootCall))
	}
	// Output:
	// fires on a call of root: 2 events, <nil>
	// near miss: somebody else: 1 events, <nil>
}

// A rule that remembers something by itself breaks the laws; the error names
// them. In a test, Laws shows each as a subtest.
func ExampleTestDetector() {
	scenario, err := detecttest.Parse("root-call.txt", script)
	if err != nil {
		fmt.Println(err)
		return
	}
	detectors, _ := rootCall(nil)
	fmt.Println(detecttest.TestDetector(detectors, scenario.Cases[0].Events()))

	info := detectors[0].Info()
	info.Quiet = time.Minute
	var seen atomic.Int64
	counting := detect.New(info, func(p *detect.Pass) {
		if seen.Add(1)%2 == 0 {
			p.Report(p.Event.Operation, "every second call")
		}
	})
	fmt.Println(detecttest.TestDetector([]detect.Detector{counting}, scenario.Cases[0].Events()) != nil)
	// Output:
	// <nil>
	// true
}
