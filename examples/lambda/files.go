package main

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/aws/aws-lambda-go/events"
)

// A logFile is an object in S3.
type logFile struct {
	bucket, key string
	version     *string // nil: the latest
}

// String returns the file's address.
func (f logFile) String() string { return "s3://" + f.bucket + "/" + f.key }

// logFiles returns the log files that a payload tells of, and the number of
// notifications that it took apart: S3's own and CloudTrail's, by way of SNS and
// SQS or not, and those that EventBridge passes on. Those of something else than an
// object's creation tell of no file.
func logFiles(payload []byte) (files []logFile, notifications int) {
	if bytes.HasPrefix(payload, []byte("CloudTrail validation message")) { // when notifications are set up
		return nil, 1
	}
	var p struct {
		Records []json.RawMessage // S3, SNS, SQS
		Message string            // SNS in the body of an SQS message
		Event   string            // S3 when notifications are set up

		DetailType string `json:"detail-type"` // EventBridge
		Detail     struct {
			Bucket struct{ Name string }
			Object struct {
				Key     string
				Version string `json:"version-id"`
			}
		}

		S3Bucket    string // CloudTrail
		S3ObjectKey []string
	}
	if json.Unmarshal(payload, &p) != nil {
		return nil, 0
	}
	add := func(bucket, version string, keys ...string) {
		if bucket == "" || slices.Contains(keys, "") {
			return // there must be a file, but which?
		}
		notifications++
		for _, key := range keys {
			// CloudTrail's digests lie beside its logs.
			if strings.Contains(key, "/CloudTrail-Digest/") || strings.HasSuffix(key, "/") {
				continue
			}
			f := logFile{bucket: bucket, key: key}
			if version != "" {
				f.version = &version
			}
			files = append(files, f)
		}
	}
	inside := func(text string) {
		f, n := logFiles([]byte(text))
		files, notifications = append(files, f...), notifications+n
	}
	switch {
	case p.DetailType == "Object Created":
		add(p.Detail.Bucket.Name, p.Detail.Object.Version, p.Detail.Object.Key)
	case strings.HasPrefix(p.DetailType, "Object "), p.Event == "s3:TestEvent":
		notifications++
	case p.S3ObjectKey != nil:
		add(p.S3Bucket, "", p.S3ObjectKey...)
	case p.Message != "":
		inside(p.Message)
	}
	for _, text := range p.Records {
		var r struct {
			EventName string
			S3        *events.S3Entity
			Body      string
			SNS       struct{ Message string }
		}
		if json.Unmarshal(text, &r) != nil {
			continue
		}
		switch {
		case r.S3 != nil && r.EventName != "" && !strings.HasPrefix(r.EventName, "ObjectCreated:"):
			notifications++
		case r.S3 != nil:
			add(r.S3.Bucket.Name, r.S3.Object.VersionID, r.S3.Object.URLDecodedKey)
		case r.Body != "":
			inside(r.Body)
		case r.SNS.Message != "":
			inside(r.SNS.Message)
		}
	}
	return files, notifications
}
