package output_test

import (
	"encoding/json"
	"fmt"
	"log"
	"time"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/output"
)

var opened = detect.Finding{
	ID: "4f9a1c52", Rule: "bucket-opened", Technique: "T1530", Tactic: detect.Collection, Severity: detect.High,
	Title: "payroll was opened to everybody", Principal: "arn:aws:iam::111122223333:user/mallory",
	AccountID: "111122223333", Region: "eu-west-1", Time: time.Date(2026, 1, 25, 12, 0, 0, 0, time.UTC),
	Evidence: []detect.Evidence{{Name: "grant", Observed: "READ to AllUsers"}},
}

func ExampleMarkdown() {
	fmt.Printf("%s", output.Markdown(&opened))
	// Output:
	// ### high: payroll was opened to everybody
	//
	// - technique: T1530 Data from Cloud Storage (Collection), rule bucket-opened
	// - who: `arn:aws:iam::111122223333:user/mallory`
	// - from: `eu-west-1`, account `111122223333`
	// - when: 2026-01-25 12:00:00Z
	// - id: `4f9a1c52`
	//
	// | evidence | observed | expected |
	// |---|---|---|
	// | grant | READ to AllUsers |  |
}

// What was written is read back whole, from each of the formats of machines.
func ExampleOCSF() {
	text, err := output.OCSF(&opened, nil)
	if err != nil {
		log.Fatal(err)
	}
	var alert struct {
		Class    string `json:"class_name"`
		Severity string `json:"severity"`
	}
	if err := json.Unmarshal(text, &alert); err != nil {
		log.Fatal(err)
	}
	f, err := output.Read(text)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s, %s\n", alert.Class, alert.Severity)
	fmt.Printf("%s: %s\n", f.Rule, f.Evidence[0].Observed)
	// Output:
	// Detection Finding, High
	// bucket-opened: READ to AllUsers
}

func ExampleECS() {
	text, err := output.ECS(&opened, nil)
	if err != nil {
		log.Fatal(err)
	}
	var alert struct {
		Time time.Time `json:"@timestamp"`
		Rule struct {
			Name string `json:"name"`
		} `json:"rule"`
	}
	if err := json.Unmarshal(text, &alert); err != nil {
		log.Fatal(err)
	}
	fmt.Println(alert.Time, alert.Rule.Name)
	// Output: 2026-01-25 12:00:00 +0000 UTC bucket-opened
}

// Requests to Security Hub: of several revisions of a finding it gets the last.
func ExampleBatches() {
	revised, other := opened, opened
	revised.Revision, other.ID, other.AccountID = 1, "90d3be77", "444455556666"
	batches, err := output.Batches([]detect.Finding{opened, revised, other}, nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, b := range batches {
		fmt.Println(b.AccountID, len(b.Findings))
	}
	// Output:
	// 111122223333 1
	// 444455556666 1
}
