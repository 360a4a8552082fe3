package techniques

import (
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// rules lists every rule, by technique. A new rule is one more line here.
var rules = []func(*Config) detect.Detector{
	awsQuarantinedKey,
	consoleLoginNoMFA,
	dormantKeyAwakens,
	firstSeenSourceIP,
	getCallerIdentityFirstSeen,
	hackingToolUserAgent,
	instanceCredsOffInstance,
	outsideKnownNetworks,
	userAgentMismatch,
	anonymousRead,
	getObjectOutsideNetworks,
	getObjectRateOverBaseline,
	listThenGet,
	getPasswordData,
	lambdaConfigRead,
	lambdaEnvSweep,
	plaintextSecretWritten,
	secretsmanagerBulk,
	ssmBulk,
	ssmSensitiveName,
	userdataBulk,
	userdataRead,
	canonicalReconSet,
	deniedReconBurst,
	distinctAPIs,
	maliciousIP,
	newServicesBurst,
	anonymousListing,
	bucketSweep,
	listBucketsFirstSeen,
	listObjectsUnexpected,
	sensitivePrefixListing,
}

// All returns all detectors. A nil config means that nothing is known about
// the organisation. To use some of them only, select by their Info. The config
// must not be modified afterwards.
func All(c *Config) ([]detect.Detector, error) {
	if c == nil {
		c = &Config{}
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	detectors := make([]detect.Detector, len(rules))
	for i, rule := range rules {
		detectors[i] = complete(c, rule(c))
	}
	return detectors, nil
}

// complete adds what rules have in common: the mitigations of their technique
// and, for rules about principals, silence about calls that are AWS's own work
// or a declared scanner's. Only fields that AWS sets excuse a call.
func complete(c *Config, d detect.Detector) detect.Detector {
	info := d.Info()
	info.Mitigations = append(info.Mitigations, mitigations[info.Technique.Parent()]...)
	if info.Scope != nil && info.Scope != detect.ByPrincipal {
		return detect.New(info, d.Detect)
	}
	return detect.New(info, func(p *detect.Pass) {
		if p.Event.ViaService() || p.Event.Principal.Kind == event.ServiceRole || c.declaredScanner(p.Event) {
			return
		}
		d.Detect(p)
	})
}
