package cloudtell_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/techniques"
)

// A log goes in, findings come out. The one record here proves a leaked key by
// itself: AWS attaches this policy to users whose keys it finds published.
func Example() {
	log := strings.NewReader(`{"Records":[{
		"eventVersion":"1.11","eventID":"6f1c2a52-3c1f-4ed0-9a5b-0d6b1f0f8f51","eventTime":"2026-01-21T03:12:44Z",
		"eventSource":"iam.amazonaws.com","eventName":"AttachUserPolicy","awsRegion":"us-east-1",
		"recipientAccountId":"111122223333","sourceIPAddress":"AWS Internal","userAgent":"AWS Internal",
		"userIdentity":{"type":"AWSService","invokedBy":"support.amazonaws.com"},
		"requestParameters":{"userName":"alice","policyArn":"arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV2"}}]}`)

	detectors, err := techniques.All(nil) // nil: nothing known about the organisation
	if err != nil {
		panic(err)
	}
	set, err := detect.NewSet(detectors, nil)
	if err != nil {
		panic(err)
	}
	engine, err := detect.NewEngine(set, nil, nil) // nil: profiles in memory, default options
	if err != nil {
		panic(err)
	}
	for e, err := range event.Read(log, nil) {
		if err != nil {
			fmt.Println(err) // one record that cannot be read; the others still come
			continue
		}
		findings, err := engine.Process(context.Background(), []*event.Event{e})
		if err != nil {
			fmt.Println(err)
		}
		for _, f := range findings {
			fmt.Println(f.Severity, f.Technique, f.Rule, f.Subject)
		}
	}
	// Output: critical T1078.004 aws-quarantined-key alice
}
