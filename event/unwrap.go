package event

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/cloudtell/cloudtell/event/internal/jsonscan"
)

// unwrap decodes what an object holds that is no record itself: an envelope,
// or a message that carries one.
func (s *stream) unwrap(text string, offset int64, fixed bool, level int) {
	if level > maxWrappers {
		s.fail(offset, fmt.Errorf("%w: wrappers", ErrTooDeep))
		return
	}
	var detailType, message, payload string
	var detail Raw
	c := jsonscan.Open(text, s.options.MaxDepth)
	for c.Next() {
		v := Raw(c.Value)
		if isContainer(c.Key) && v[0] == '[' {
			s.envelope(textWindow(text, offset, fixed), level)
			return
		}
		switch c.Key {
		case "s3", "s3Bucket", "s3ObjectKey":
			s.fail(offset, ErrNotification)
			return
		case "Event":
			if v.Text() == "s3:TestEvent" {
				s.fail(offset, ErrNotification)
				return
			}
		case "service", "Service":
			if v.At("serviceName").Text() == "guardduty" || v.At("ServiceName").Text() == "guardduty" {
				s.finding(text, offset)
				return
			}
		case "detail-type": // EventBridge
			detailType = v.Text()
		case "detail":
			detail = v
		case "CloudTrailEvent", // LookupEvents
			"body", "Body", // SQS, as Lambda gets it and as ReceiveMessage answers
			"Message", // SNS
			"message": // CloudWatch Logs
			message = v.Text()
		case "Sns":
			message = v.At("Message").Text()
		case "kinesis", "awslogs":
			payload = v.At("data").Text()
		case "data", "Data": // Firehose, and Kinesis GetRecords
			payload = v.Text()
		}
	}
	switch {
	case strings.HasSuffix(detailType, "via CloudTrail") && detail != "":
		s.bridged = true
		s.values(textWindow(string(detail), offset, true), level)
		s.bridged = false
	case detailType == "GuardDuty Finding" && detail != "":
		s.finding(string(detail), offset)
	case strings.HasPrefix(detailType, "Object "): // an S3 event by way of EventBridge
		s.fail(offset, ErrNotification)
	case payload != "":
		s.payload(payload, offset, level)
	case message != "":
		s.inner(message, offset, level)
	default:
		s.fail(offset, errNoShape)
		w := textWindow(text, offset, fixed)
		w.pos++
		s.inside(w, level) // it may lack its closing brackets, or be a wrapper not known here
	}
}

// finding yields a finding of GuardDuty: no event, but not to be lost.
func (s *stream) finding(text string, offset int64) {
	if !s.done {
		s.report(&DecodeError{Record: s.records, Offset: offset, Err: ErrGuardDuty, Text: strings.Clone(text)})
	}
}

// inner decodes text that was a string in a wrapper.
func (s *stream) inner(text string, offset int64, level int) {
	switch {
	case level > maxWrappers:
		s.fail(offset, fmt.Errorf("%w: wrappers", ErrTooDeep))
	case strings.HasPrefix(text, "CWL CONTROL MESSAGE"): // CloudWatch Logs tests a subscription
	case strings.HasPrefix(text, "CloudTrail validation message"):
		s.fail(offset, ErrNotification)
	case strings.TrimSpace(text) == "":
		s.fail(offset, errNoShape)
	default:
		s.values(textWindow(text, offset, true), level)
	}
}

// payload decodes the base64 form of an input, which may be compressed.
func (s *stream) payload(text string, offset int64, level int) {
	data, err := base64.StdEncoding.DecodeString(text)
	switch {
	case err != nil:
		s.fail(offset, fmt.Errorf("%w: invalid base64", ErrSyntax))
	case bytes.HasPrefix(data, gzipMagic):
		s.read(bytes.NewReader(data), offset, true, level)
	default:
		s.inner(string(data), offset, level)
	}
}
