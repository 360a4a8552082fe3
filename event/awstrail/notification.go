package awstrail

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// ErrNotNotification says that a text announces no files, in none of the shapes
// that [ParseNotification] knows.
var ErrNotNotification = errors.New("no notification about files")

// ParseNotification returns the log files that a message announces, such as one
// that a Lambda function gets from SQS. It knows
//
//   - event notifications of S3, also those of EventBridge
//   - CloudTrail's own notifications
//   - all of these as SNS wraps them
//
// Objects that are not log files, as [ParseKey] tells, are left out, and so are
// other events than an object's creation. S3's and CloudTrail's messages to test
// a subscription announce none.
func ParseNotification(body string) ([]File, error) {
	files, err := announced(body)
	if err != nil {
		return nil, fmt.Errorf("awstrail: %w", err)
	}
	return files, nil
}

func announced(body string) ([]File, error) {
	for range maxWrappers {
		var n notification
		if strings.HasPrefix(body, "CloudTrail validation message") {
			return nil, nil
		}
		if err := json.Unmarshal([]byte(body), &n); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNotNotification, err)
		}
		switch {
		case n.Type == "Notification" && n.Message != "":
			body = n.Message
		case n.Event == "s3:TestEvent":
			return nil, nil
		case n.S3Bucket != "" && n.S3ObjectKey != nil:
			return logFiles(n.S3Bucket, n.S3ObjectKey...), nil
		case n.Source == "aws.s3" && n.DetailType != "":
			if n.DetailType != "Object Created" {
				return nil, nil
			}
			return sized(logFiles(n.Detail.Bucket.Name, n.Detail.Object.Key), n.Detail.Object.Size), nil
		case len(n.Records) > 0:
			return n.files()
		default:
			return nil, ErrNotNotification
		}
	}
	return nil, fmt.Errorf("%w: wrapped more than %d times", ErrNotNotification, maxWrappers)
}

// maxWrappers is how many wrappers may lie around a notification.
const maxWrappers = 4

// A notification has the members of all shapes.
type notification struct {
	Type, Message string // SNS

	Event   string // S3's test
	Records []struct {
		EventSource, EventName string
		S3                     struct {
			Bucket struct{ Name string }
			Object object
		}
	}

	Source     string // EventBridge
	DetailType string `json:"detail-type"`
	Detail     struct {
		Bucket struct{ Name string }
		Object object
	}

	S3Bucket    string // CloudTrail
	S3ObjectKey []string
}

type object struct {
	Key  string
	Size int64
}

// files returns what the records of an S3 event notification announce. In
// these, unlike in all others, keys are encoded as in a URL's query.
func (n *notification) files() ([]File, error) {
	var files []File
	for i, r := range n.Records {
		if r.EventSource != "aws:s3" || r.S3.Bucket.Name == "" {
			return nil, fmt.Errorf("%w: record %d is not of S3", ErrNotNotification, i)
		}
		if !strings.HasPrefix(r.EventName, "ObjectCreated:") {
			continue
		}
		key, err := url.QueryUnescape(r.S3.Object.Key)
		if err != nil {
			return nil, fmt.Errorf("%w: record %d: %w", ErrNotNotification, i, err)
		}
		files = append(files, sized(logFiles(r.S3.Bucket.Name, key), r.S3.Object.Size)...)
	}
	return files, nil
}

func logFiles(bucket string, keys ...string) []File {
	var files []File
	for _, key := range keys {
		if f, ok := ParseKey(bucket, key); ok {
			files = append(files, f)
		}
	}
	return files
}

func sized(files []File, size int64) []File {
	for i := range files {
		files[i].Size = size
	}
	return files
}
