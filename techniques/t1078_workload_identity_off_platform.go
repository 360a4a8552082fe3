package techniques

import (
	"strings"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// workloadIssuers are the issuers of OpenID Connect tokens that machines get and
// people do not, as their own documents name them. Those of Kubernetes clusters
// elsewhere are known by the subject of their tokens.
var workloadIssuers = []string{
	"oidc.eks.",                 // Amazon EKS
	"container.googleapis.com/", // Google Kubernetes Engine
	"token.actions.githubusercontent.com",
	"gitlab.com",
	"api.bitbucket.org/",
	"oidc.circleci.com/",
	"agent.buildkite.com",
	"app.terraform.io",
	"vstoken.dev.azure.com/",
}

// workload reports whether a call exchanges a workload's token for a role, or is
// made with a role that was got so, and whether the workload is one of
// Kubernetes.
func workload(e *event.Event) (is, kubernetes bool) {
	var issuer string
	if e.Principal.Kind == event.WebIdentity {
		issuer, kubernetes = e.Identity.IdentityProvider, strings.HasPrefix(e.Identity.UserName, "system:serviceaccount:")
	} else {
		issuer = e.Identity.FederatedProvider
	}
	if issuer == "" { // the usual case
		return kubernetes, kubernetes
	}
	if _, host, ok := strings.Cut(issuer, "oidc-provider/"); ok {
		issuer = host
	}
	kubernetes = kubernetes || strings.HasPrefix(issuer, "oidc.eks.") || strings.HasPrefix(issuer, "container.googleapis.com/")
	for _, i := range workloadIssuers {
		if strings.HasPrefix(issuer, i) {
			return true, kubernetes
		}
	}
	return kubernetes, kubernetes
}

func workloadIdentityOffPlatform(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "workload-identity-off-platform",
		Doc: "The token of a workload, such as a GitHub job or a Kubernetes pod, is exchanged for a role, or the role is used, from a network that belongs to no hosting provider and that the workload does not call from. " +
			"Such tokens live where the workload runs; from someone's home, somebody took one out. " +
			"High for Kubernetes, whose nodes do not move; info until it is known where the workload runs. " +
			"The first use of a URL that a workload signed is one level lower; once it signs some habitually, their users may be anywhere.",
		Technique:   "T1078.004",
		Tactic:      detect.InitialAccess,
		Severity:    detect.Medium,
		Conditions:  []*detect.Condition{{Text: "a workload's identity made the call", Is: func(e *event.Event) bool { is, _ := workload(e); return is }}},
		Uses:        []baseline.Feature{c.places.providers, urlNetworks},
		Needs:       detect.ManagementEvents,
		AboutSource: true,
		Hook:        "Config.Locate",
		Quiet:       novelty,
		Benign: []string{
			"Jobs or pods that also run on premises: self-hosted runners, hybrid nodes; list their addresses in Config.Networks.",
			"An engineer copied a token to debug something.",
			"The location data does not know that the network belongs to a hosting provider.",
		},
		Respond: []string{
			"Ask the workload's owners whether it runs there.",
			"If not: revoke the role's sessions, and find how the token left: a log, a dependency of the build, a shell in the pod.",
			"Narrow the role's trust policy to the subjects that need it, and its permissions to what they do.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		_, kubernetes := workload(e)
		at := c.locate(e)
		if !p.Require("the source's provider is known", at.ASN != "") ||
			!p.Require("the call succeeded or was denied", attempted(e)) ||
			p.Excuse("the request is by presigned URL, and the workload signs some habitually", usualURL(p)) ||
			p.Excuse("the source belongs to a hosting provider", at.Hosting) ||
			p.Excuse("the source is a known network", c.knownSource(e)) {
			return
		}
		n, age := c.places.providers.In(p), c.places.providers.Age(p)
		if p.Excuse("the provider is a habit of the workload", n.Established(at.ASN)) {
			return
		}
		severity, subject, used := detect.Medium, at.ASN, "identity"
		if kubernetes {
			severity = detect.High
		}
		if presigned(e) {
			severity, subject, used = severity.Lowered(1), origin(e), "presigned URL"
		}
		if mature(age) && n.Known > 0 {
			severity = surprise(n, severity)
		} else { // where a new one runs is not known
			severity, subject = detect.Informational, ""
		}
		p.ReportWith(severity, subject, func() (string, []detect.Evidence) {
			return "a workload's " + used + " used from " + e.SourceAddress + ", which belongs to no hosting provider", []detect.Evidence{providerEvidence(c, p)}
		})
	})
}
