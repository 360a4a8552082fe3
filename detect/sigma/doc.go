// Package sigma makes detectors of Sigma rules for AWS CloudTrail, so that rules
// of others run beside those of package techniques, in one set.
//
// [Load] reads a folder of rules and correlations (Sigma specification 2.1). Each
// becomes a [detect.Detector], compiled once. What cannot be kept to is refused
// by name and position, never passed over: see [Error]. The README lists what
// is supported.
//
// # Fields
//
// A field is named as in CloudTrail's record, with dots for what lies deeper:
// userIdentity.arn, requestParameters.bucketName. A path that meets an array goes
// on in each element, and a field with several values matches if one of them
// does. A field that is an object matches by its JSON text, as logged or with
// the escapes in it undone. Names are case-sensitive, values are not. The user
// agent is without the brackets that S3 puts around it, unless the rule has a
// bracket itself. In lines of S3 server access logs, the fields are those of the
// data event that CloudTrail would have written.
//
// # What an event costs
//
// Rules are indexed by the eventName and eventSource that they ask for. What no
// rule can match costs two lookups and no allocation, and leaves no trace in the
// store: only events that may concern a rule have a key in the scope of the
// rules. Rules that ask for neither are tried on every event.
package sigma
