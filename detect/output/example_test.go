package output_test

import (
	"fmt"
	"time"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/output"
)

func ExampleMarkdown() {
	at := time.Date(2026, 1, 25, 12, 0, 0, 0, time.UTC)
	f := detect.Finding{
		ID: "4f9a1c52", Rule: "bucket-opened", Technique: "T1530", Tactic: detect.Collection, Severity: detect.High,
		Title: "payroll was opened to everybody", Principal: "arn:aws:iam::111122223333:user/mallory", Time: at,
		Evidence: []detect.Evidence{{Name: "grant", Observed: "READ to AllUsers"}},
	}
	fmt.Printf("%s", output.Markdown(&f))
	// Output:
	// ### high: payroll was opened to everybody
	//
	// - technique: T1530 Data from Cloud Storage (Collection), rule bucket-opened
	// - who: `arn:aws:iam::111122223333:user/mallory`
	// - when: 2026-01-25 12:00:00Z
	// - id: `4f9a1c52`
	//
	// | evidence | observed | expected |
	// |---|---|---|
	// | grant | READ to AllUsers |  |
}
