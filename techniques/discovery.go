package techniques

import (
	"maps"
	"strings"
	"sync/atomic"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/event"
)

// What the T1580 rules count as looking around.

// discovery reports whether a principal asks what there is: a read-only
// management call of its own that lists or describes. Calls that fetch what a
// program needs to run, such as a secret or a session, are no discovery.
func discovery(e *event.Event) bool { return discoveries.Of(e) != "" }

var discoveries = event.Derive(func(e *event.Event) string {
	if !looksAround(e) {
		return ""
	}
	return "discovery"
})

func looksAround(e *event.Event) bool {
	if !direct(e) || !e.ReadOnly || e.Category != event.Management || !asks(e.Operation) {
		return false
	}
	switch e.Operation {
	case "GetSecretValue", "BatchGetSecretValue",
		"GetParameter", "GetParameters", "GetParametersByPath",
		"GetSessionToken", "GetFederationToken", "GetRoleCredentials",
		"GetAuthorizationToken", "GetDownloadUrlForLayer", "BatchGetImage",
		"GetPublicKey", "GetSigninToken":
		return false
	}
	return true
}

// asks reports whether an operation's verb is that of a question.
func asks(operation string) bool {
	for _, verb := range [...]string{"List", "Describe", "Get", "BatchGet", "Search", "Lookup", "Simulate"} {
		if strings.HasPrefix(operation, verb) {
			return true
		}
	}
	return false
}

// reconCalls are what intruders ask to find out where they are and what is
// there: the canonical ones, and what enumeration tools add to them.
var reconCalls = append([]string{
	"cloudtrail:DescribeTrails",
	"guardduty:ListDetectors",
	"iam:GetAccountAuthorizationDetails",
	"iam:GetAccountSummary",
	"iam:ListAccountAliases",
	"iam:ListGroups",
	"organizations:DescribeOrganization",
	"ssm:DescribeParameters",
}, canonicalCalls...)

// reconUsual remembers which of them are a principal's habit.
var reconUsual = baseline.FirstSeen("recon call", directAPI, &baseline.FirstSeenOptions{Cap: 24}).On(reconCalls...)

// directAPI names the call that a principal made itself.
func directAPI(e *event.Event) string {
	if !direct(e) {
		return ""
	}
	return api(e)
}

// service returns the name of an event's service, its last 32 bytes if it is
// longer: as much as a feature's answer can show.
func service(e *event.Event) string {
	s := e.Service()
	return s[max(0, len(s)-32):]
}

// api returns "service:Operation", interned, so that counting calls does not
// allocate. Beyond maxAPIs different ones it does.
func api(e *event.Event) string { return apiOf.Of(e) }

var apiOf = event.Derive(func(e *event.Event) string {
	k := apiKey{e.Service(), e.Operation}
	var known map[apiKey]string
	old := apis.Load()
	if old != nil {
		known = *old
	}
	if name, ok := known[k]; ok {
		return name
	}
	name := k.service + ":" + k.operation
	if len(known) < maxAPIs {
		more := make(map[apiKey]string, len(known)+1)
		maps.Copy(more, known)
		more[apiKey{name[:len(k.service)], name[len(k.service)+1:]}] = name
		apis.CompareAndSwap(old, &more) // a race lost is a name added next time
	}
	return name
})

// maxAPIs is above what one organisation calls: a real trail of an account
// with several administrators has some 300.
const maxAPIs = 1024

type apiKey struct{ service, operation string }

// apis only ever grows and says nothing about any event.
var apis atomic.Pointer[map[apiKey]string]
