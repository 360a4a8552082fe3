package techniques

import (
	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// byIdentityPool is the Cognito identity pool that gives credentials to
// someone, or the account if the record does not name the pool.
var byIdentityPool = &detect.Scope{Name: "identity-pool", Key: func(e *event.Event) string {
	if !e.Is("cognito-identity", "GetCredentialsForIdentity", "GetOpenIdToken") {
		return ""
	}
	for r := range e.Resources() {
		if r.Type == "AWS::Cognito::IdentityPool" {
			return r.ARN
		}
	}
	return e.AccountID
}}

// guestTools remembers the software that fetches credentials for guests of a
// pool: an app's own, if the pool is meant to have any.
var guestTools = baseline.FirstSeen("guest's tool", func(e *event.Event) string {
	if !fetchesGuest(e) {
		return ""
	}
	return toolName(e)
}, &baseline.FirstSeenOptions{Cap: 24}).On("cognito-identity:GetCredentialsForIdentity", "cognito-identity:GetOpenIdToken")

// fetchesGuest reports whether someone who proved nothing got credentials: a
// request for a known identity carries the tokens of its logins. An empty list
// of them proves nothing.
func fetchesGuest(e *event.Event) bool {
	for range e.Request.At("logins").Members() {
		return false
	}
	return e.Succeeded() && direct(e)
}

func cognitoUnauthCreds(*Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "cognito-unauth-creds",
		Doc: "A Cognito identity pool gives AWS credentials to a guest, who has proven nothing, through software that its guests do not use. " +
			"The pool's id is in every app that uses it, so anyone can fetch them; what they may do is all that protects the account. " +
			"Informational until two weeks of the pool are known, low then: a guest with a command line is no user of the app.",
		Technique: "T1078.004",
		Tactic:    detect.InitialAccess,
		Severity:  detect.Low,
		Events:    []string{"cognito-identity:GetCredentialsForIdentity", "cognito-identity:GetOpenIdToken"},
		Uses:      []baseline.Feature{guestTools},
		Scope:     byIdentityPool,
		Needs:     detect.OtherDataEvents | detect.ManagementEvents,
		Learn:     learn,
		Cold:      detect.Informational,
		Quiet:     novelty,
		Benign: []string{
			"The app has guests on purpose, and a new version of it uses another library.",
			"A developer tries the pool by hand.",
		},
		Respond: []string{
			"See what the pool's role for guests may do: that is what the whole world may do.",
			"Look for calls of that role from the address, above all for lists and reads of other things than the app's.",
			"If the app has no guests, turn them off in the pool; otherwise allow only the enhanced flow and the least rights.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		if !p.Require("credentials were given to a guest, by no service on its behalf", fetchesGuest(e)) {
			return
		}
		n := guestTools.In(p)
		if p.Excuse("guests of the pool use such software", !n.New) {
			return
		}
		p.ReportWith(surprise(n, detect.Low), subjectOf(guestTools.Age(p), n.Value), func() (string, []detect.Evidence) {
			return "AWS credentials given to a guest with " + n.Value + " from " + e.SourceAddress, []detect.Evidence{{
				Name:     "software that fetches credentials for guests of the identity pool",
				Observed: n.Value + " (" + clip(e.UserAgent) + ") for " + clip(e.Request.At("identityId").Text()),
				Expected: habit(n),
			}}
		})
	})
}
