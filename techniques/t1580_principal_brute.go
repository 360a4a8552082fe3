package techniques

import (
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

const (
	// guessesThreshold is ours. Elastic counts 25 failures and Splunk two,
	// whatever they are about; a typo that is retried is one name here, and a list
	// of names to try has hundreds.
	guessesThreshold = 10
	// manyGuesses is Elastic's number.
	manyGuesses = 25
)

// guessEvents are the calls whose policies AWS refuses if they name a principal
// that does not exist, with an error that says so.
var guessEvents = []string{
	"iam:CreateRole", "iam:UpdateAssumeRolePolicy", "kms:CreateKey", "kms:PutKeyPolicy", "s3:PutBucketPolicy", "secretsmanager:PutResourcePolicy",
}

// guesses counts the principals of other accounts that were named in vain.
var guesses = baseline.Distinct("principal guessed", guessedPrincipal, 32, time.Hour).On(guessEvents...)

// guessedPrincipal returns the principal of another account that a policy was
// refused for, or "". IAM's message names it; others only say that there is one,
// and then it is taken for the first that the policy names.
func guessedPrincipal(e *event.Event) string {
	if !direct(e) || !strings.Contains(e.ErrorMessage, "nvalid principal") {
		return ""
	}
	if _, named, ok := strings.Cut(e.ErrorMessage, `principal in policy: "`); ok {
		name, ok := strings.CutPrefix(named, `AWS":"`)
		if !ok {
			return "" // a service or an identity provider
		}
		name, _, _ = strings.Cut(name, `"`)
		return foreign(name, e.AccountID)
	}
	for statement := range each(policyOf(e).At("Statement")) {
		for principal := range each(statement.At("Principal", "AWS")) {
			if name := foreign(principal.Text(), e.AccountID); name != "" {
				return name
			}
		}
	}
	return ""
}

// foreign returns a principal's name unless it is of the account itself, whose
// new roles take some seconds until policies may name them, or everyone.
func foreign(principal, account string) string {
	if principal == "*" || principal == account || strings.Contains(principal, "::"+account+":") {
		return ""
	}
	return principal
}

// policyOf returns the policy that a call wanted to set. S3 logs it as an
// object, others as the text of one.
func policyOf(e *event.Event) event.Raw {
	for _, name := range [...]string{"bucketPolicy", "policyDocument", "assumeRolePolicyDocument", "policy", "resourcePolicy"} {
		r := e.Request.At(name)
		if text := r.Text(); text != "" {
			return event.Raw(text)
		}
		if r.Exists() {
			return r
		}
	}
	return ""
}

// each yields the elements of an array, or the value itself if it is none:
// policies may leave the brackets out around a single element.
func each(r event.Raw) iter.Seq[event.Raw] {
	if strings.HasPrefix(string(r), "[") {
		return r.Items()
	}
	return func(yield func(event.Raw) bool) { yield(r) }
}

func principalBrute(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "principal-brute",
		Doc: "Within an hour a principal tries to name ten or more different principals of other accounts in policies, and AWS refuses each because it does not exist. " +
			"A policy is accepted only if the principals that it names exist, so whoever tries names learns which users and roles another account has. " +
			"A mistake that is repeated is one name; wrong names of services and of the account's own new roles do not count.",
		Technique: "T1580",
		Tactic:    detect.Discovery,
		Severity:  detect.Medium,
		Events:    guessEvents,
		Uses:      []baseline.Feature{guesses},
		Needs:     detect.ManagementWrites,
		Threshold: c.threshold("principal-brute", detect.Threshold{
			Of: "principals of other accounts named in vain within an hour", Value: guessesThreshold, Min: 2, Max: 32,
		}),
		Quiet: day,
		Benign: []string{
			"An infrastructure tool applies policies that name many roles of other accounts before those exist, or after they are gone.",
			"A penetration test.",
		},
		Respond: []string{
			"Ask the principal's owner; if unexplained, revoke its sessions and keys.",
			"See which of the names were accepted in between: those principals exist, and their account should be warned.",
			"Restore the policy that was used for trying, which now trusts a stranger.",
		},
	}, func(p *detect.Pass) {
		if !p.Require("a policy was refused for a principal of another account", guessedPrincipal(p.Event) != "") {
			return
		}
		w := guesses.In(p)
		if !p.Reaches(w.Count) {
			return
		}
		severity := detect.Medium
		if w.Count >= manyGuesses {
			severity = detect.High
		}
		p.ReportWith(severity, "", func() (string, []detect.Evidence) {
			const shown = 12
			names := w.Values()
			return fmt.Sprintf("names %d principals of other accounts that do not exist within an hour", w.Count), []detect.Evidence{{
				Name:     "principals of other accounts named in vain within an hour",
				Observed: fmt.Sprintf("%d, among them %s", w.Count, strings.Join(names[:min(shown, len(names))], ", ")),
				Expected: fmt.Sprintf("fewer than %d", p.Threshold()),
				EventIDs: w.EventIDs(),
			}}
		})
	})
}
