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
