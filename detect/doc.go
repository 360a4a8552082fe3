// Package detect runs detectors over events: pure rules that read one event
// and what is remembered about its key, and report findings.
//
// A [Detector] declares what it needs in its [Info] and is called with a
// [Pass]. A [Set] checks detectors and puts them together; [Set.Apply] is the
// whole of detection as one pure step, record and events in, record and
// findings out, for engines that keep state by key themselves. An [Engine]
// runs a set in the process, with a cache in front of a [baseline.Store].
//
// Rules write down the conditions they look at ([Pass.Require] and its like), so
// a [Finding] says what it rests on, and [Engine.Explain] why an event was found
// or not. [Engine.Judge] keeps what a person decided about a finding.
//
// Below this package, incident joins findings into stories, coverage tells what
// the logs let the rules see, and backtest measures rules on labelled events.
// Package detecttest runs scenario files against detectors and holds them to
// the laws that every detector must keep.
package detect
