package boltstore_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/cloudtell/cloudtell/baseline/boltstore"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/techniques"
)

// A program that keeps what it has learnt over a restart.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	store, err := boltstore.Open(filepath.Join(dir, "baselines.db"), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	detectors, err := techniques.All(nil)
	if err != nil {
		log.Fatal(err)
	}
	set, err := detect.NewSet(detectors, nil)
	if err != nil {
		log.Fatal(err)
	}
	engine, err := detect.NewEngine(set, store, nil)
	if err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	for e, err := range event.Read(strings.NewReader(record), nil) {
		if err != nil {
			log.Fatal(err)
		}
		if _, err := engine.Process(ctx, []*event.Event{e}); err != nil {
			log.Print(err)
		}
	}
	if err := engine.Flush(ctx); err != nil { // after every few thousand events
		log.Fatal(err) // nothing is lost: flush again
	}
	for r, err := range store.All(ctx) {
		fmt.Println(r.Key, r.Version, err)
	}
	// Output: principal/arn:aws:iam::111122223333:user/alice 1 <nil>
}

const record = `{"eventVersion":"1.08","userIdentity":{"type":"IAMUser","principalId":"AIDAEXAMPLE","arn":"arn:aws:iam::111122223333:user/alice",
"accountId":"111122223333","accessKeyId":"AKIAEXAMPLE","userName":"alice"},"eventTime":"2026-01-05T09:00:00Z","eventSource":"sts.amazonaws.com",
"eventName":"GetCallerIdentity","awsRegion":"us-east-1","sourceIPAddress":"198.51.100.7","userAgent":"aws-cli/2.15.0","eventID":"5d4f0a3e-0000-4000-8000-000000000001",
"eventType":"AwsApiCall","recipientAccountId":"111122223333","eventCategory":"Management"}`
