package incident

import "github.com/cloudtell/cloudtell/detect"

// The numbers here are our own. Their proportions say: three findings of one
// severity weigh about as much as one of the next, if they are of different
// rules.

// weights is what a rule's finding about a principal adds to the score.
var weights = [...]int{
	detect.Informational: 1,
	detect.Low:           3,
	detect.Medium:        10,
	detect.High:          30,
	detect.Critical:      60,
}

const (
	// stageWeight is what each stage after the first adds. Going on from one
	// stage to the next is what sets an intruder apart from a person who does
	// something unusual, so it counts as much as a finding of low severity.
	stageWeight = 3
	// techniqueWeight is what each technique after the first adds:
	// sub-techniques count as their own.
	techniqueWeight = 1
)

// raises says what an incident of at least two rules needs for a severity that
// none of its findings has: the score of one finding of that severity, and so
// many stages. One rule alone, however often it speaks, raises nothing.
var raises = [...]struct {
	severity      detect.Severity
	score, stages int
}{
	{detect.Critical, weights[detect.Critical], 3},
	{detect.High, weights[detect.High], 3},
	{detect.Medium, weights[detect.Medium], 2},
	{detect.Low, weights[detect.Low], 1},
}

// grade returns an incident's score and severity.
//
// Each rule counts once for each principal, with its worst finding's weight.
// Its further findings, about other subjects or later, add 1 each, and together
// no more than that weight again. Stages and techniques after the first add
// what the constants say.
func grade(in *Incident) (score int, severity detect.Severity) {
	type voice struct{ rule, principal string }
	type said struct {
		worst detect.Severity
		times int
	}
	voices := make(map[voice]said)
	var rules set[string]
	for i := range in.Timeline {
		s := &in.Timeline[i]
		v := voices[voice{s.Rule, s.Principal}]
		v.worst, v.times = max(v.worst, s.Severity), v.times+1
		voices[voice{s.Rule, s.Principal}] = v
		severity = max(severity, s.Severity)
		rules.add(s.Rule)
	}
	for _, v := range voices {
		score += weights[v.worst] + min(v.times-1, weights[v.worst])
	}
	score += stageWeight*max(0, len(in.Stages)-1) + techniqueWeight*max(0, len(in.Techniques)-1)
	for _, r := range raises {
		if r.severity > severity && len(rules) >= 2 && score >= r.score && len(in.Stages) >= r.stages {
			return score, r.severity
		}
	}
	return score, severity
}
