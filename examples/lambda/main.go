// Command lambda runs detection as an AWS Lambda function, on logs as AWS pushes
// them: EventBridge events, CloudWatch Logs subscriptions, and notifications about
// log files in S3, which it fetches. Findings go to the function's log as lines of
// JSON.
//
// What is learnt is in the folder that CLOUDTELL_STATE names, on an EFS file system
// that is mounted into the function. That store is for one process at a time:
// reserve a concurrency of 1. With a store that is for many, such as a database,
// put it in place of the folder and let Lambda run as many as it likes.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/examples/customstore"
	"github.com/cloudtell/cloudtell/techniques"
)

func main() {
	h, err := start(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	lambda.Start(h)
}

// start makes the handler that all invocations of a process share.
func start(ctx context.Context) (*handler, error) {
	state := os.Getenv("CLOUDTELL_STATE")
	if state == "" {
		return nil, errors.New("CLOUDTELL_STATE names no folder")
	}
	store, err := customstore.Open(state)
	if err != nil {
		return nil, err
	}
	account, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, err
	}
	detectors, err := techniques.All(nil)
	if err != nil {
		return nil, err
	}
	set, err := detect.NewSet(detectors, nil)
	if err != nil {
		return nil, err
	}
	return &handler{set: set, store: store, objects: s3.NewFromConfig(account), deliver: printTo(os.Stdout)}, nil
}

// printTo returns a handler's deliver that writes findings as lines of JSON.
func printTo(w io.Writer) func(context.Context, []detect.Finding) error {
	return func(_ context.Context, findings []detect.Finding) error {
		b := bufio.NewWriter(w)
		lines := json.NewEncoder(b)
		for i := range findings {
			if err := lines.Encode(&findings[i]); err != nil {
				return err
			}
		}
		return b.Flush()
	}
}
