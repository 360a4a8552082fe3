package techniques

import (
	"fmt"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// storeSweepThreshold is our own: a program reads its secrets from one kind of
// store, or from the same ones every time.
const storeSweepThreshold = 2

// A secretStore is a kind of place where secrets are kept.
type secretStore struct {
	name    string
	service string
	// asked collects what a principal read there within an hour, or was denied.
	asked *baseline.Of[baseline.Window]
	// reads are its habits of reading there, by each way to do so.
	reads []*baseline.Of[baseline.Novelty]
	// own is what it made or changed there itself.
	own []ownership
}

var (
	inSecretsManager = secretStore{
		name: "secrets of Secrets Manager", service: "secretsmanager",
		asked: baseline.DistinctEach("secret within an hour", func(list []string, e *event.Event) []string {
			if !direct(e) || !attempted(e) {
				return list
			}
			return secrets(list, e)
		}, 12, time.Hour).On(secretReadCalls...),
		reads: []*baseline.Of[baseline.Novelty]{secretsRead},
		own:   []ownership{ownSecrets},
	}
	inParameterStore = secretStore{
		name: "secret parameters", service: "ssm",
		asked: baseline.DistinctEach("secret parameter within an hour", func(list []string, e *event.Event) []string {
			if !direct(e) || !attempted(e) {
				return list
			}
			return secretParameters(list, e)
		}, 12, time.Hour).On(parameterReads...),
		reads: []*baseline.Of[baseline.Novelty]{parametersRead},
		own:   []ownership{ownParameters},
	}
	inUserData = secretStore{
		name: "user data of instances", service: "ec2",
		asked: baseline.Distinct("userdata within an hour", func(e *event.Event) string {
			if !direct(e) || !attempted(e) {
				return ""
			}
			return userdataSource(e)
		}, 8, time.Hour).On("ec2:DescribeInstanceAttribute", "ec2:GetLaunchTemplateData"),
		reads: []*baseline.Of[baseline.Novelty]{userdataReads, templateReads},
		own:   []ownership{ownInstances},
	}
	inFunctions = secretStore{
		name: "environment variables of functions", service: "lambda",
		asked: baseline.Distinct("lambda function within an hour", func(e *event.Event) string {
			if !direct(e) || !attempted(e) {
				return ""
			}
			return functionRead(e)
		}, 8, time.Hour).On(functionsRead.Events()...),
		reads: []*baseline.Of[baseline.Novelty]{functionReads},
		own:   []ownership{ownFunctions},
	}
	inObjects = secretStore{
		name: "credential files in S3", service: "s3",
		asked: baseline.Distinct("credential object within an hour", func(e *event.Event) string {
			if !direct(e) || !attempted(e) {
				return ""
			}
			return credentialFileRead(e)
		}, 8, time.Hour).On("s3:GetObject"),
		reads: []*baseline.Of[baseline.Novelty]{credentialFileReads},
	}
	secretStores = [...]*secretStore{&inSecretsManager, &inParameterStore, &inUserData, &inFunctions, &inObjects}
)

// credentialFileReads remembers the credential files in S3 that a principal
// got.
var credentialFileReads = baseline.FirstSeen("credential file read", func(e *event.Event) string {
	if !direct(e) || !e.Succeeded() {
		return ""
	}
	return credentialFileRead(e)
}, &baseline.FirstSeenOptions{Cap: 16}).On("s3:GetObject")

// secretParameters appends the parameters of an event that are to be decrypted,
// or whose names tell of a secret.
func secretParameters(list []string, e *event.Event) []string {
	before := len(list)
	list = parameters(list, e)
	if decrypted(e) {
		return list
	}
	some, builtIn := list[:before], new(Config)
	for _, name := range list[before:] {
		if builtIn.sensitiveName(name) != "" {
			some = append(some, name)
		}
	}
	return some
}

// userdataSource returns the instance whose user data an event reads.
func userdataSource(e *event.Event) string {
	if e.Operation == "GetLaunchTemplateData" {
		return templateRead(e)
	}
	return userdataInstance(e)
}

// credentialFileRead returns the object that an event reads if it is a file of
// credentials.
func credentialFileRead(e *event.Event) string {
	if !credentialObject(e) {
		return ""
	}
	return e.Bucket() + "/" + e.ObjectKey()
}

// opensStore reports whether an event reads what secretStores are about. Most
// calls that read objects or attributes do not.
func opensStore(e *event.Event) bool {
	switch e.Service() {
	case "s3":
		return credentialObject(e)
	case "ec2":
		return userdataSource(e) != ""
	}
	return true
}

// credentialObject reports whether the key of an event's object is that of a
// file that gives access.
func credentialObject(e *event.Event) bool {
	switch fileKind(fileOf.Of(e)) {
	case credentialFile, privateKeyFile, environment, terraformState:
		return true
	}
	return false
}

// features returns what a rule about the store uses.
func (s *secretStore) features() []baseline.Feature {
	list := []baseline.Feature{s.asked}
	for _, r := range s.reads {
		list = append(list, r)
	}
	for _, o := range s.own {
		list = append(list, o.earlier, o.today)
	}
	return list
}

// unusual returns what a principal asked the store for that it neither made on an
// earlier day nor reads regularly. Of one that reads new things there every day, or more than are remembered,
// that cannot be told.
func (s *secretStore) unusual(p *detect.Pass) baseline.Window {
	w := s.asked.In(p)
	for _, o := range s.own {
		w = w.Except(o.earlier.In(p))
	}
	for _, r := range s.reads {
		reads := r.In(p)
		if reads.Unseen >= 0.5 || reads.Known >= habitual {
			return baseline.Window{}
		}
		w = w.Except(reads)
	}
	return w
}

// old returns the things of a window that were not made within the last 24
// hours.
func (s *secretStore) old(p *detect.Pass, w baseline.Window) baseline.Window {
	for _, o := range s.own {
		w = w.Except(o.today.In(p))
	}
	return w
}

func multiStoreSecretSweep(c *Config) detect.Detector {
	var events []string
	uses := []baseline.Feature{networks}
	for _, s := range secretStores {
		events = append(events, s.asked.Events()...)
		uses = append(uses, s.features()...)
	}
	return detect.New(detect.Info{
		Name: "multi-store-secret-sweep",
		Doc: "A principal reads secrets from two or more kinds of stores within an hour, in each of them what it neither made nor reads regularly: " +
			"Secrets Manager, secret parameters, user data, environment variables of Lambda functions, credential files in S3. " +
			"Who has a task reads one secret, or the same ones every time; who collects looks into every store. " +
			"Three kinds weigh more, and so does a network that is new to the principal, too. Denied calls count too.",
		Technique: "T1552",
		Tactic:    detect.CredentialAccess,
		Severity:  detect.Medium,
		Events:    events,
		Uses:      uses,
		Needs:     detect.ManagementReads | detect.S3DataEvents,
		Threshold: c.threshold("multi-store-secret-sweep", detect.Threshold{
			Of: "kinds of stores with something unusual read within an hour", Value: storeSweepThreshold, Min: 2, Max: len(secretStores),
		}),
		Learn: learn,
		Cold:  detect.Low,
		Quiet: 24 * time.Hour,
		Benign: []string{
			"A pipeline takes over an application whose settings are in several stores.",
			"A developer looks into another team's application for the cause of a failure.",
		},
		Respond: []string{
			"Revoke the principal's sessions and keys unless its owner can explain the calls at once.",
			"Rotate every secret that the things listed hold, and look for their use from elsewhere.",
			"Find out what else the principal did in those hours.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		if !p.Require("something that holds secrets was read or denied", attempted(e) && opensStore(e)) {
			return
		}
		visited := 0
		for _, s := range secretStores {
			if s.asked.In(p).Count > 0 {
				visited++
			}
		}
		if !p.AtLeast("kinds of stores read within an hour", visited, p.Threshold()) {
			return
		}
		var unusual [len(secretStores)]baseline.Window
		stores, old, here := 0, 0, false
		for i, s := range secretStores {
			unusual[i] = s.unusual(p)
			if unusual[i].Count == 0 {
				continue
			}
			stores++
			here = here || s.service == e.Service()
			if s.old(p, unusual[i]).Count > 0 {
				old++
			}
		}
		if !p.Reaches(stores) || !p.Require("something unusual was read in the store of this call", here) {
			return
		}
		severity := detect.Medium
		if stores > p.Threshold() {
			severity = detect.High
		}
		severity = person(e, severity)
		switch {
		case old < p.Threshold(): // the rest was made today
			severity = detect.Informational
		case newNetwork(c, p):
			severity = raised(severity, 1)
		}
		p.ReportWith(severity, "", func() (string, []detect.Evidence) {
			var names []string
			var evidence []detect.Evidence
			for i, s := range secretStores {
				w := &unusual[i]
				if w.Count == 0 {
					continue
				}
				names = append(names, s.name)
				evidence = append(evidence, detect.Evidence{
					Name:     s.name + " requested within an hour, without a habit of it",
					Observed: fmt.Sprintf("%d: %s", w.Count, strings.Join(w.Values(), ", ")),
					Expected: fmt.Sprintf("fewer than %d kinds of stores", p.Threshold()),
					EventIDs: w.EventIDs(),
				})
			}
			return strings.Join(names, ", ") + " requested within an hour", placed(c, p, evidence...)
		})
	})
}
