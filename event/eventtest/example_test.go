package eventtest_test

import (
	"fmt"
	"time"

	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/event/eventtest"
)

// In a test, Event decodes the record at once.
func ExampleRecord() {
	record := eventtest.Record{
		Call:    "s3:GetObject",
		By:      eventtest.Role(eventtest.Account, "deploy", "ci-17"),
		Request: map[string]any{"bucketName": "backups", "key": "db.sql"},
	}
	e, err := event.Parse(record.JSON())
	if err != nil {
		panic(err)
	}
	fmt.Println(e.Time.Format(time.DateTime), e.Principal.Name, e.Operation, e.Bucket(), e.ObjectKey())
	// Output: 2026-01-05 09:00:00 deploy GetObject backups db.sql
}
