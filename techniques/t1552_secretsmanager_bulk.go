package techniques

import (
	"fmt"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// secretsBulkThreshold is Elastic's and, for denied calls, Panther's.
const secretsBulkThreshold = 20

// secretReadCalls return the values of secrets.
var secretReadCalls = []string{"secretsmanager:GetSecretValue", "secretsmanager:BatchGetSecretValue"}

// secretsRead remembers the secrets that a principal got.
var secretsRead = baseline.FirstSeenEach("secret read", succeededSecrets,
	&baseline.FirstSeenOptions{Cap: habits}).On(secretReadCalls...)

// secretsGot collects the secrets that a principal got in a short time.
var secretsGot = baseline.DistinctEach("secret", succeededSecrets, 64, 10*time.Minute).On(secretReadCalls...)

// secretsDenied collects the secrets that a principal was denied. A denied
// caller tries for longer.
var secretsDenied = baseline.DistinctEach("secret denied", func(list []string, e *event.Event) []string {
	if !direct(e) || !e.Denied() {
		return list
	}
	return secrets(list, e)
}, 2*secretsBulkThreshold, day).On(secretReadCalls...)

// secretsDeniedMany remembers on which days they were many.
var secretsDeniedMany = bursts("secret denied", func(e *event.Event) string {
	if direct(e) && e.Denied() {
		for _, name := range secrets(nil, e) {
			return name
		}
	}
	return ""
}, secretsBulkThreshold/2, day).On(secretReadCalls...)

// allSecretsTaken remembers that a principal gets all secrets by a filter.
var allSecretsTaken = baseline.FirstSeen("all secrets by a filter", func(e *event.Event) string {
	if !direct(e) || !e.Succeeded() || !takesAll(e) {
		return ""
	}
	return "all"
}, &baseline.FirstSeenOptions{Cap: 4}).On("secretsmanager:BatchGetSecretValue")

// ownSecrets remembers the secrets that a principal wrote.
var ownSecrets = newOwnership("secret written", func(list []string, e *event.Event) []string {
	if e.Operation == "CreateSecret" {
		return added(list, e.Request.At("name").Text())
	}
	return secrets(list, e)
}, "secretsmanager:CreateSecret", "secretsmanager:PutSecretValue", "secretsmanager:UpdateSecret")

func succeededSecrets(list []string, e *event.Event) []string {
	if !direct(e) || !e.Succeeded() {
		return list
	}
	return secrets(list, e)
}

// secrets appends the secrets that an event names. A batch is logged
// once for each of its secrets, too.
func secrets(list []string, e *event.Event) []string {
	for r := range event.Raw(secretList.Of(e)).Items() {
		list = added(list, secretName(r.Text()))
	}
	return added(list, secretNamed.Of(e))
}

var (
	// secretList is the list of secrets that an event names, as it was logged;
	// secretNamed is the secret of an event without one.
	secretList  = event.Derive(func(e *event.Event) string { return string(e.Request.At("secretIdList")) })
	secretNamed = event.Derive(func(e *event.Event) string {
		if event.Raw(secretList.Of(e)).Exists() {
			return ""
		}
		id := e.Request.At("secretId").Text()
		if id == "" {
			id = deniedResource(e)
		}
		return secretName(id)
	})
)

// secretName returns a secret's name, without the ARN before it and the six
// random characters that end an ARN.
func secretName(id string) string {
	const marker, suffix = ":secret:", len("-AbCdEf")
	if !strings.HasPrefix(id, "arn:") {
		return id
	}
	_, name, _ := strings.Cut(id, marker)
	if i := len(name) - suffix; i > 0 && name[i] == '-' && strings.IndexByte(name[i+1:], '-') < 0 {
		name = name[:i]
	}
	return name
}

// takesAll reports whether a batch selects secrets by what they are not alone,
// such as a tag that no secret has: the way to get all of them.
func takesAll(e *event.Event) bool {
	negated := false
	for filter := range e.Request.At("filters").Items() {
		for v := range filter.At("values").Items() {
			if !strings.HasPrefix(v.Text(), "!") {
				return false
			}
			negated = true
		}
	}
	return negated
}

func secretsmanagerBulk(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "secretsmanager-bulk",
		Doc: "A principal gets 20 or more secrets within ten minutes that it neither wrote nor reads regularly; " +
			"or gets secrets in batches by a filter that matches all; or is denied 20 or more within a day, without a habit of it. " +
			"What counts is how many different secrets, not how often, and a secret is the same by name and by ARN.",
		Technique: "T1552",
		Tactic:    detect.CredentialAccess,
		Severity:  detect.High,
		Events:    secretReadCalls,
		Uses:      []baseline.Feature{secretsGot, secretsDenied, secretsDeniedMany, secretsRead, allSecretsTaken, ownSecrets.earlier, ownSecrets.today},
		Needs:     detect.ManagementReads,
		Threshold: c.threshold("secretsmanager-bulk", detect.Threshold{
			Of:    "secrets within 10 minutes, neither written by the principal nor read regularly; or denied within 24 hours",
			Value: secretsBulkThreshold, Min: 2, Max: 2 * secretsBulkThreshold,
		}),
		Learn: learn,
		Cold:  detect.Medium,
		Quiet: 24 * time.Hour,
		Benign: []string{
			"An operator that copies secrets into a cluster, such as External Secrets, was introduced or given more of them; declare it in Config.Scanners if it has hundreds.",
			"A backup or migration of secrets.",
			"Denied: an application whose permissions are missing or were taken away; after three days over a week, that is normal.",
		},
		Respond: []string{
			"Ask the principal's owner; if unexplained, revoke the principal's sessions and keys.",
			"Rotate the secrets listed, those that open the most first, and look for their use from elsewhere.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		if !p.Require("secrets were read or denied", attempted(e)) {
			return
		}
		switch {
		case e.Denied():
			secretsRefused(p)
		case takesAll(e):
			secretsTaken(p)
		default:
			secretsCollected(p)
		}
	})
}

func secretsCollected(p *detect.Pass) {
	reads := secretsRead.In(p)
	names := ownSecrets.unusual(p, secretsGot.In(p), reads)
	if !p.AtLeast("secrets within 10 minutes, neither written by the principal nor read regularly", names.Count, p.Threshold()) {
		return
	}
	severity := ownSecrets.weighBurst(p, names, reads, detect.High)
	p.ReportWith(severity, "", func() (string, []detect.Evidence) {
		return fmt.Sprintf("%d secrets read within 10 minutes", names.Count), []detect.Evidence{{
			Name:     "secrets read within 10 minutes, without a habit of it",
			Observed: fmt.Sprintf("%d: %s", names.Count, strings.Join(names.Values(), ", ")),
			Expected: fmt.Sprintf("fewer than %d; %s", p.Threshold(), usualReads(reads, secretsRead.Age(p))),
			EventIDs: names.EventIDs(),
		}}
	})
}

func secretsTaken(p *detect.Pass) {
	if !p.Require("the filter matches every secret", true) || p.Excuse("the principal gets all secrets so habitually", !allSecretsTaken.In(p).New) {
		return
	}
	p.ReportWith(person(p.Event, detect.High), "filter", func() (string, []detect.Evidence) {
		return "secrets read in a batch by a filter that matches all", []detect.Evidence{{
			Name:     "filter of a batch of secrets",
			Observed: shown(string(p.Event.Request.At("filters"))),
			Expected: "secrets named, or a filter that selects some",
		}}
	})
}

func secretsRefused(p *detect.Pass) {
	w := secretsDenied.In(p)
	if !p.AtLeast("secrets denied within 24 hours", w.Count, p.Threshold()) ||
		p.Excuse("half as many denials within a day are a habit", secretsDeniedMany.In(p).Normal) {
		return
	}
	p.ReportWith(detect.Medium, "denied", func() (string, []detect.Evidence) {
		return fmt.Sprintf("%d secrets asked for within 24 hours, and denied", w.Count), []detect.Evidence{{
			Name:     "secrets whose reading was denied within 24 hours",
			Observed: fmt.Sprintf("%d: %s", w.Count, strings.Join(w.Values(), ", ")),
			Expected: fmt.Sprintf("fewer than %d", p.Threshold()),
			EventIDs: w.EventIDs(),
		}}
	})
}
