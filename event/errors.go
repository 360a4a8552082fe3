package event

import (
	"errors"
	"fmt"
	"io"

	"github.com/cloudtell/cloudtell/event/internal/jsonscan"
)

// The reasons why a text is not an event. Test for them with [errors.Is].
var (
	// ErrSyntax: the text is not JSON, or not an access log line, or it ends early.
	ErrSyntax = errors.New("malformed text")
	// ErrTooLarge: a record, or an input, is larger than [ReadOptions] allow.
	ErrTooLarge = errors.New("larger than the limit")
	// ErrTooDeep: values, or wrappers around records, nest deeper than allowed.
	ErrTooDeep = errors.New("nested deeper than the limit")
	// ErrTime: the record's time is unreadable, or implausible.
	ErrTime = errors.New("no plausible event time")
	// ErrNotRecord: the text is well-formed but no log record of one call. The
	// next three are cases of it.
	ErrNotRecord = errors.New("not a log record")
	// ErrNotification: the text announces a log file and does not hold it, as
	// S3 event notifications and CloudTrail's own SNS messages do.
	ErrNotification = fmt.Errorf("%w: a notification about log files", ErrNotRecord)
	// ErrAggregated: CloudTrail summarised many calls into this record.
	ErrAggregated = fmt.Errorf("%w: an aggregated event", ErrNotRecord)
	// ErrGuardDuty: the text is a finding of GuardDuty. [DecodeError].Text holds
	// it, for package guardduty.
	ErrGuardDuty = fmt.Errorf("%w: a finding of GuardDuty", ErrNotRecord)
)

// A DecodeError is one record that could not be read. The records around it
// are not affected.
type DecodeError struct {
	// Record is the record's number in its input, from 0. Records that could
	// not be read count.
	Record int
	// Offset is where in the input the record starts, in bytes after
	// decompression; for [ErrSyntax] and [ErrTooDeep], where the fault inside
	// it is. Inside a wrapper (a queue message, a base64 payload), it is where
	// the wrapper starts.
	Offset int64
	// Err is the reason. It wraps one of the Err values of this package.
	Err error
	// Text is the JSON of what is no event but of use all the same: for
	// [ErrGuardDuty], the finding without its wrappers. It is "" otherwise.
	Text string
}

func (e *DecodeError) Error() string {
	return fmt.Sprintf("event: record %d at offset %d: %v", e.Record, e.Offset, e.Err)
}

func (e *DecodeError) Unwrap() error { return e.Err }

// fromScan translates an error of the scanner.
func fromScan(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jsonscan.ErrDepth):
		return fmt.Errorf("%w: values", ErrTooDeep)
	case errors.Is(err, jsonscan.ErrTruncated):
		return errCutShort
	}
	return errNotJSON
}

var (
	errNotJSON  = fmt.Errorf("%w: invalid JSON", ErrSyntax)
	errNoShape  = fmt.Errorf("%w: it lacks eventTime, eventSource or eventName", ErrNotRecord)
	errCutShort = fmt.Errorf("%w: invalid JSON: %w", ErrSyntax, io.ErrUnexpectedEOF)
)
