// Package awstrail gets CloudTrail records out of AWS, and tells what a
// trail's settings let the rules see. It is a module of its own, because it
// needs the AWS SDK.
//
//   - [History] reads CloudTrail's event history (LookupEvents): management
//     events of up to 90 days, without any trail.
//   - [List] finds the log files in a trail's bucket and [Read] reads one.
//   - [Receive] takes notifications about new log files from an SQS queue.
//   - [Inspect] asks the trails of an account what they log, and answers
//     which rules can fire on that.
//
// All use the SDK's clients as the caller made them: credentials,
// endpoints, time limits and retries are theirs. The functions may be called
// from any number of goroutines; each iteration belongs to one.
package awstrail
