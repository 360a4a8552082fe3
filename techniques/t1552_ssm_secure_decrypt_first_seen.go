package techniques

import (
	"fmt"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// decryptsParameters remembers whether a principal is one that has parameters
// decrypted at all.
var decryptsParameters = baseline.FirstSeen("decrypts ssm parameters", func(e *event.Event) string {
	if !direct(e) || !e.Succeeded() || !decrypted(e) {
		return ""
	}
	return decrypting
}, &baseline.FirstSeenOptions{Cap: 4}).On(parameterReads...)

// decrypting is the only value of decryptsParameters.
const decrypting = "decrypts"

// parametersDecrypted collects the parameters that KMS decrypted for a
// principal. Reading a SecureString decrypted leaves such a call of Parameter
// Store's, in the reader's name; reading a String leaves none.
var parametersDecrypted = baseline.Distinct("ssm parameter decrypted by kms", func(e *event.Event) string {
	if e.Identity.InvokedBy == "" || !e.Succeeded() || !strings.Contains(string(e.Request), "PARAMETER_ARN") {
		return ""
	}
	return parameterName(e.Request.At("encryptionContext", "PARAMETER_ARN").Text())
}, 32, time.Hour).On("kms:Decrypt")

// decrypted reports whether an event asks for the decrypted values of
// parameters.
func decrypted(e *event.Event) bool { return event.Raw(withDecryption.Of(e)).IsTrue() }

var withDecryption = event.Derive(func(e *event.Event) string { return string(e.Request.At("withDecryption")) })

// kept is evidence of how a parameter, or what is below a path, is kept that was
// read with decryption. If the event of KMS arrives after that of the read, it
// can tell from the next read on.
func kept(p *detect.Pass, name string) detect.Evidence {
	ev := detect.Evidence{
		Name:     "how the parameter is kept",
		Observed: "in plain text: KMS decrypted nothing for it, unless that event is still to come, or the trail leaves those of KMS out",
		Expected: "encrypted, as a SecureString",
	}
	w := parametersDecrypted.In(p)
	switch {
	case w.Contains(name):
		ev.Observed = "encrypted: KMS decrypted this SecureString for the principal"
	case p.Event.Operation == "GetParametersByPath" && w.Count > 0:
		ev.Observed = fmt.Sprintf("encrypted in part: KMS decrypted %d SecureStrings for the principal within an hour: %s", w.Count, strings.Join(w.Values(), ", "))
	}
	return ev
}

func ssmSecureDecryptFirstSeen(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "ssm-secure-decrypt-first-seen",
		Doc: "A principal that never has parameters decrypted does so, or one that does has a parameter decrypted that it neither wrote nor reads regularly. " +
			"A finding says whether the parameter is a SecureString: then KMS decrypts it, in the reader's name. " +
			"If KMS did not, the parameter is kept in plain text, for everyone to read who may read parameters.",
		Technique: "T1552",
		Tactic:    detect.CredentialAccess,
		Severity:  detect.Low,
		Events:    parameterReads,
		Uses:      []baseline.Feature{decryptsParameters, parametersDecrypted, parametersRead, ownParameters.earlier, ownParameters.today, networks},
		Needs:     detect.ManagementReads,
		Learn:     learn,
		Cold:      detect.Informational,
		Quiet:     novelty,
		Benign: []string{
			"A new version of an application reads its settings from Parameter Store.",
			"A person looks up a parameter they are entitled to.",
		},
		Respond: []string{
			"Find out whether the principal's task needs the parameter; if unexplained, revoke the principal's sessions and keys.",
			"Rotate what the parameter holds if it is a secret.",
			"If the parameter is a secret kept in plain text, write it anew as a SecureString.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		if !p.Require("the call succeeded", e.Succeeded()) ||
			!p.Require("parameters were to be decrypted", decrypted(e)) {
			return
		}
		reads := parametersRead.In(p)
		if !p.Require("a parameter is named, other than those that AWS publishes", reads.Value != "") {
			return
		}
		name, kind := reads.Value, decryptsParameters.In(p)
		if p.Excuse("the principal has parameters decrypted, and reads this one regularly", !kind.New && !reads.New) ||
			p.Excuse("the principal wrote it on an earlier day", ownParameters.earlier.In(p).Established(name)) {
			return
		}
		// One more parameter is worth little to tell; a principal that has any
		// decrypted, for once, is.
		severity, n, subject := detect.Informational, reads, name
		if kind.New {
			severity, n, subject = detect.Low, kind, ""
		}
		severity = ownParameters.weigh(c, p, name, n, severity)
		if p.Excuse("the principal reads new ones every day", severity == detect.Silent) {
			return
		}
		age := parametersRead.Age(p)
		p.ReportWith(severity, subjectOf(age, subject), func() (string, []detect.Evidence) {
			title := "parameter " + shown(name) + " read and decrypted " + firstTime(reads)
			if kind.New {
				title = "parameters read and decrypted, " + shown(name) + " the latest, by a principal without a habit of it"
			}
			return title, placed(c, p, detect.Evidence{
				Name:     "parameter read with decryption",
				Observed: shown(name),
				Expected: usualReads(reads, age),
			}, kept(p, name))
		})
	})
}
