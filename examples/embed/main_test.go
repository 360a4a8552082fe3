package main

import (
	"context"
	"os"
	"strings"
)

func Example_watch() {
	logs := strings.NewReader(`{"eventVersion":"1.11","eventID":"6f1c2a52-3c1f-4ed0-9a5b-0d6b1f0f8f51","eventTime":"2026-01-21T03:12:44Z",
		"eventSource":"iam.amazonaws.com","eventName":"AttachUserPolicy","awsRegion":"us-east-1","recipientAccountId":"111122223333",
		"sourceIPAddress":"AWS Internal","userAgent":"AWS Internal","userIdentity":{"type":"AWSService","invokedBy":"support.amazonaws.com"},
		"requestParameters":{"userName":"alice","policyArn":"arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV2"}}`)
	if err := watch(context.Background(), logs, os.Stdout); err != nil {
		panic(err)
	}
	// Output: critical aws-quarantined-key: AWS quarantined alice: its access key is public (arn:aws:iam::111122223333:user/alice)
}
