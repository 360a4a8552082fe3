package techniques

import (
	"fmt"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// Panther reports every refusal; the numbers are our own. A policy that refuses
// something refuses it to every retry, so kinds of calls weigh more than calls.
const (
	endpointRefusalsThreshold = 10
	endpointRefusedKinds      = 3
)

var (
	// endpointRefusals counts the calls that the policy of a VPC endpoint refused.
	endpointRefusals = baseline.Distinct("call refused at endpoint", endpointRefusal, 2*endpointRefusalsThreshold, 10*time.Minute)
	// endpointRefusedCalls tells which.
	endpointRefusedCalls = baseline.Distinct("kind of call refused at endpoint", func(e *event.Event) string {
		if endpointRefusal(e) == "" {
			return ""
		}
		return api(e)
	}, 12, 10*time.Minute)
	// endpointRefusalBursts remembers on which days it refused many.
	endpointRefusalBursts = bursts("call refused at endpoint", endpointRefusal, endpointRefusalsThreshold/2, 10*time.Minute)
)

func endpointRefusal(e *event.Event) string {
	if e.ErrorCode != "VpceAccessDenied" || e.ViaService() {
		return ""
	}
	return e.ID
}

func vpceDenied(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "vpce-denied",
		Doc: "The policy of a VPC endpoint refuses ten calls within ten minutes, and does not do so on other days. " +
			"The policy is the fence around the network's data; somebody runs along it. " +
			"Low, since a new policy has the same effect on honest jobs; medium for three or more different calls, or for a caller of another account.",
		Technique: "T1078.004",
		Tactic:    detect.InitialAccess,
		Severity:  detect.Low,
		Uses:      []baseline.Feature{endpointRefusals, endpointRefusedCalls, endpointRefusalBursts},
		Scope:     byVPCEndpoint,
		Needs:     detect.NetworkEvents,
		Threshold: c.threshold("vpce-denied", detect.Threshold{
			Of: "calls refused by the policy of the VPC endpoint within 10 minutes", Value: endpointRefusalsThreshold, Min: 2, Max: 2 * endpointRefusalsThreshold,
		}),
		Quiet: day,
		Benign: []string{
			"The endpoint's policy was narrowed, and a job needs what it refuses.",
			"An agent tries a bucket of its vendor's in a loop; it becomes habit after three days.",
		},
		Respond: []string{
			"See whose bucket, key or account the calls were for: one of strangers is an attempt to carry data out.",
			"Find the machine with the source address, and what runs there.",
			"If the calls are honest, allow exactly them in the endpoint's policy.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		if !p.Require("the policy of the VPC endpoint refused a call that no service made", endpointRefusal(e) != "") {
			return
		}
		w := endpointRefusals.In(p)
		if !p.Reaches(w.Count) || p.Excuse("the endpoint refuses many calls on many days", endpointRefusalBursts.In(p).Normal) {
			return
		}
		kinds := endpointRefusedCalls.In(p)
		severity := detect.Low
		if kinds.Count >= endpointRefusedKinds || c.foreignAt(e) != "" {
			severity = detect.Medium
		}
		p.ReportWith(severity, "", func() (string, []detect.Evidence) {
			return fmt.Sprintf("%d calls refused within 10 minutes by the policy of %s", w.Count, e.VPCEndpointID), []detect.Evidence{{
				Name:     "calls refused by the policy of the VPC endpoint within 10 minutes",
				Observed: fmt.Sprintf("%d: %s, the last by %s from %s", w.Count, strings.Join(kinds.Values(), ", "), e.Principal.Key, e.SourceAddress),
				Expected: fmt.Sprintf("fewer than %d", p.Threshold()),
				EventIDs: w.EventIDs(),
			}}
		})
	})
}
