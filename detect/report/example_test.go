package report_test

import (
	"bytes"
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/incident"
	"github.com/cloudtell/cloudtell/detect/report"
)

func ExampleWrite() {
	findings := []detect.Finding{{
		ID: "4f9a1c52", Rule: "bucket-opened", Technique: "T1530", Tactic: detect.Collection, Severity: detect.High,
		Title: "payroll was opened to <everybody>", Principal: "arn:aws:iam::111122223333:user/mallory", PrincipalName: "mallory",
		Time: time.Date(2026, 1, 25, 12, 0, 0, 0, time.UTC),
	}}
	joiner, err := incident.NewJoiner(nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range findings {
		joiner.Add(f)
	}
	var page bytes.Buffer // or a file
	err = report.Write(&page, &report.Report{Scope: "one day of one account", Incidents: joiner.Incidents(), Findings: findings})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(strings.Contains(page.String(), "payroll was opened to &lt;everybody&gt;"))
	// Output: true
}
