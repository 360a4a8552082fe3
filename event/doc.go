// Package event decodes AWS activity logs into typed, read-only values.
//
// An [Event] is one CloudTrail record or one line of an S3 server access log.
// It knows who the principal is ([Principal]), which tool family made the
// call ([Tool]), and where from. [Read] takes a stream in any of the shapes in
// which these logs travel and finds out which it is, and [ReadBatches] does the
// same some events at a time; [Parse] takes one record, [ParseAccessLog] one line.
package event
