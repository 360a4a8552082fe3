package awstrail

import (
	"errors"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// retryCutOff returns a retryer that also tries again after an answer that
// ended early. The SDK takes that for a fault in the answer. It is only right
// for calls that change nothing.
func retryCutOff(r aws.Retryer) aws.Retryer {
	if v2, ok := r.(aws.RetryerV2); ok {
		return cutOffRetryer{v2}
	}
	return r // of the SDK's older kind: as it was
}

type cutOffRetryer struct{ aws.RetryerV2 }

func (r cutOffRetryer) IsErrorRetryable(err error) bool {
	return r.RetryerV2.IsErrorRetryable(err) || errors.Is(err, io.ErrUnexpectedEOF)
}
