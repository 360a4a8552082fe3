package event_test

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cloudtell/cloudtell/event"
)

func ExampleRead() {
	log := `{"Records":[
		{"eventVersion":"1.11","eventTime":"2026-01-05T09:00:00Z","eventSource":"lambda.amazonaws.com","eventName":"GetFunction20150331v2",
			"userAgent":"aws-cli/2.31.1","userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/alice","accountId":"111122223333"}},
		{"hello":"world"},
		{"eventVersion":"1.11","eventTime":"2026-01-05T09:00:02Z","eventSource":"s3.amazonaws.com","eventName":"GetObject","errorCode":"AccessDenied",
			"requestParameters":{"bucketName":"backups","key":"db.sql"},"userIdentity":{"type":"AWSAccount","accountId":"ANONYMOUS_PRINCIPAL"}}
	]}`
	for e, err := range event.Read(strings.NewReader(log), nil) {
		if bad := (*event.DecodeError)(nil); errors.As(err, &bad) {
			fmt.Println("skipped record", bad.Record)
			continue
		} else if err != nil {
			fmt.Println(err) // the reader failed: nothing comes after this
			break
		}
		fmt.Println(e.Principal.Name, e.Service(), e.Operation, e.Request.At("bucketName").Text(), e.Succeeded(), e.Tool)
	}
	// Output:
	// alice lambda GetFunction  true aws-cli
	// skipped record 1
	// anonymous s3 GetObject backups false
}

func ExampleParseAccessLog() {
	e, err := event.ParseAccessLog(`0123abcd backups [05/Jan/2026:09:00:00 +0000] 198.51.100.7 - 3E57 REST.GET.BUCKET - ` +
		`"GET /backups?list-type=2&prefix=db/ HTTP/1.1" 200 - 5 - 7 6 "-" "curl/8.1" -`)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(e.Principal.Kind, e.Operation, e.Bucket(), e.Request.At("prefix").Text(), e.Tool)
	// Output: anonymous ListObjects backups db/ curl
}

func ExampleParse() {
	e, err := event.Parse(`{"eventTime":"2026-01-05T09:00:00Z","eventSource":"ssm.amazonaws.com","eventName":"GetParameters",
		"requestParameters":{"names":["/app/db/password","/app/db/user"],"withDecryption":"true"},
		"userIdentity":{"type":"AssumedRole","principalId":"AROAEXAMPLE:ci-17","arn":"arn:aws:sts::111122223333:assumed-role/deploy/ci-17","accountId":"111122223333"}}`)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(e.Principal.Key, "as", e.Principal.Session)
	for name := range e.Request.At("names").Items() {
		fmt.Println(name.Text(), e.Request.At("withDecryption").IsTrue())
	}
	// Output:
	// arn:aws:iam::111122223333:role/deploy as ci-17
	// /app/db/password true
	// /app/db/user true
}

// Read reuses the event it yields: what is kept must be cloned.
func ExampleEvent_Clone() {
	log := `{"eventTime":"2026-01-05T09:00:00Z","eventSource":"ec2.amazonaws.com","eventName":"DescribeInstances"}
		{"eventTime":"2026-01-05T09:00:01Z","eventSource":"ec2.amazonaws.com","eventName":"DescribeVolumes"}`
	var kept []*event.Event
	for e, err := range event.Read(strings.NewReader(log), nil) {
		if err != nil {
			fmt.Println(err)
			continue
		}
		kept = append(kept, e.Clone())
	}
	fmt.Println(kept[0].Name, kept[1].Name)
	// Output: DescribeInstances DescribeVolumes
}

// A Batch holds copies in memory that it uses again.
func ExampleBatch() {
	log := `{"eventTime":"2026-01-05T09:00:00Z","eventSource":"ec2.amazonaws.com","eventName":"DescribeInstances"}
		{"eventTime":"2026-01-05T09:00:01Z","eventSource":"ec2.amazonaws.com","eventName":"DescribeVolumes"}`
	var batch event.Batch
	for e, err := range event.Read(strings.NewReader(log), &event.ReadOptions{Reuse: true}) {
		if err != nil {
			fmt.Println(err)
			continue
		}
		batch.Add(e)
	}
	for _, e := range batch.Events() {
		fmt.Println(e.Name)
	}
	batch.Reset() // the events are void
	fmt.Println(len(batch.Events()))
	// Output:
	// DescribeInstances
	// DescribeVolumes
	// 0
}

func ExampleNewIndex() {
	index, err := event.NewIndex([]string{"s3:GetObject"}, []string{"s3:*", "kms:Decrypt"}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	e, err := event.Parse(`{"eventTime":"2026-01-05T09:00:00Z","eventSource":"s3.amazonaws.com","eventName":"ListObjects"}`)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(index.Lookup(e))
	// Output: [1 2]
}

func ExampleToolOf() {
	for _, agent := range []string{"aws-cli/2.31.1 md/awscrt#0.28", "[Boto3/1.40.1 md/Botocore#1.40.1]", "APN/1.0 HashiCorp/1.0 Terraform/1.9"} {
		fmt.Println(event.ToolOf(agent))
	}
	// Output:
	// aws-cli
	// boto3
	// terraform
}

// parameterPath is asked for by several rules, and worked out once.
var parameterPath = event.Derive(func(e *event.Event) string {
	fmt.Println("working it out")
	return strings.ToLower(e.Request.At("name").Text())
})

// An engine holds the event that it detects on. Whoever asks for texts without
// an engine may do so too.
func ExampleDerive() {
	e, err := event.Parse(`{"eventTime":"2026-01-05T09:00:00Z","eventSource":"ssm.amazonaws.com","eventName":"GetParameter","requestParameters":{"name":"/App/DB/Password"}}`)
	if err != nil {
		fmt.Println(err)
		return
	}
	var memo event.Memo
	held := memo.Hold(e)
	fmt.Println(parameterPath.Of(held))
	fmt.Println(parameterPath.Of(held))
	memo.Drop()
	// Output:
	// working it out
	// /app/db/password
	// /app/db/password
}
