package techniques

import (
	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
)

// manySecrets is the number of secrets read regularly from which a role is one
// of a cluster or a platform, that reads whatever is deployed to it. The number
// is our own.
const manySecrets = 16

func secretsmanagerFirstSeen(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "secretsmanager-first-seen",
		Doc: "A principal gets a secret of Secrets Manager that it neither wrote nor reads regularly. " +
			"What is new is judged by role and secret, not by session, and a secret is the same by name and by ARN. " +
			"Weighs more from a network that is new to the principal, too, and little for a role that reads many secrets. Denied calls count too.",
		Technique: "T1552",
		Tactic:    detect.CredentialAccess,
		Severity:  detect.Low,
		Events:    secretReadCalls,
		Uses:      []baseline.Feature{secretsRead, ownSecrets.earlier, ownSecrets.today, networks},
		Needs:     detect.ManagementReads,
		Learn:     learn,
		Cold:      detect.Informational,
		Quiet:     novelty,
		Benign: []string{
			"A new version of an application reads a secret that was added for it.",
			"A person looks up a secret they are entitled to.",
		},
		Respond: []string{
			"Find out whether the principal's task needs the secret; if unexplained, revoke the principal's sessions and keys.",
			"Rotate the secret, and look for its use from elsewhere.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		if !p.Require("a secret was read or denied", attempted(e)) {
			return
		}
		known := secretsRead.In(p)
		var secret string
		var room [8]string
		for _, name := range secrets(room[:0], e) {
			if secret = name; !known.Established(name) {
				break // one finding for all secrets of a call
			}
		}
		if !p.Require("the call names a secret", secret != "") {
			return
		}
		reads := noveltyOf(known, secret)
		if p.Excuse("the principal reads it regularly", !reads.New) ||
			p.Excuse("the principal wrote it on an earlier day", ownSecrets.earlier.In(p).Established(secret)) {
			return
		}
		severity := detect.Low
		if reads.Known >= manySecrets && !e.Principal.Person() {
			severity = detect.Informational
		}
		severity = ownSecrets.weigh(c, p, secret, reads, severity)
		if p.Excuse("the principal reads new ones every day", severity == detect.Silent) {
			return
		}
		age := secretsRead.Age(p)
		p.ReportWith(severity, subjectOf(age, secret), func() (string, []detect.Evidence) {
			return "secret " + shown(secret) + firstRead(e, reads), placed(c, p, detect.Evidence{
				Name:     "secret requested",
				Observed: shown(secret),
				Expected: usualReads(reads, age),
			})
		})
	})
}
