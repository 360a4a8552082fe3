// Package incident joins findings into incidents: what one intruder did, told
// as one story. Weak signals that are silent alone count here, together.
//
// A [Joiner] takes findings from [detect.Engine.Process], with later revisions
// too ([detect.EngineOptions].Updates), or else it does not see that a finding
// goes on; and the events themselves, to learn whose session obtained which
// access key:
//
//	for _, e := range events {
//		joiner.Observe(e)
//	}
//	for _, f := range findings {
//		joiner.Add(f)
//	}
//	for _, in := range joiner.Incidents() {
//		…
//	}
//
// # What belongs together
//
// Two findings are joined if their spans of time lie within [Options.Gap] of
// each other and they share one of these:
//
//   - the principal, unless it is anonymous, unknown or an AWS service
//   - the access key
//   - the principal or access key whose session obtained the access key of one
//     or both (AssumeRole and its like, CreateAccessKey), over several steps if need be; where a
//     log has no access keys, the role and session name stand for the key
//   - the source address, if one of the findings is about that address
//     ([detect.Info.AboutSource]), or if both are of anonymous requests: behind
//     one address there may be a whole company, but not behind one that is
//     unusual for whoever came from it
//
// An incident is a connected set of findings, so it lasts as long as it goes
// on, whatever the gap.
//
// # Order, time and memory
//
// Incidents are a function of the set of findings and links between keys that
// are remembered, and of nothing else: not of the order they came in, how often
// they came, or any clock. What is remembered is bounded. What makes way first
// is a function of that set as well, as long as later revisions of a finding
// are not older or less severe than earlier ones, as an engine's never are.
//
// Nothing ends but by making way. Whoever wants only the incidents of the last
// week compares [Incident.Last].
package incident
