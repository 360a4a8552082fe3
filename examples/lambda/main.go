// Command lambda runs detection as an AWS Lambda function, on logs as AWS pushes
// them: EventBridge events, CloudWatch Logs subscriptions, and notifications of S3
// and CloudTrail about log files, which it fetches. Findings go to the function's log as lines of
// JSON.
//
// What is learnt is in the Valkey or Redis (ElastiCache, MemoryDB) that
// CLOUDTELL_VALKEY names: rediss://host:6379. Any [baseline.Store] that is for
// many processes will do in its place.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/url"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/valkey-io/valkey-go"

	"github.com/cloudtell/cloudtell/baseline/valkeystore"
	"github.com/cloudtell/cloudtell/detect"
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
	server, err := valkey.ParseURL(os.Getenv("CLOUDTELL_VALKEY"))
	if _, ok := errors.AsType[*url.Error](err); ok { // which quotes it, with the password
		return nil, errors.New("CLOUDTELL_VALKEY is no URL")
	} else if err != nil {
		return nil, fmt.Errorf("CLOUDTELL_VALKEY: %w", err)
	}
	store, err := valkeystore.Open(ctx, server, nil)
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

// printTo returns a handler's deliver that writes findings as lines of JSON, those
// of one call in one piece: several may write at once.
func printTo(w io.Writer) func(context.Context, []detect.Finding) error {
	return func(_ context.Context, findings []detect.Finding) error {
		var b bytes.Buffer
		lines := json.NewEncoder(&b)
		for i := range findings {
			if err := lines.Encode(&findings[i]); err != nil {
				return err
			}
		}
		_, err := w.Write(b.Bytes())
		return err
	}
}
