package techniques

import (
	"fmt"
	"slices"

	"github.com/cloudtell/cloudtell/detect"
)

// rules lists every rule, by technique. A new rule is one more line here.
var rules = []func(*Config) detect.Detector{
	awsQuarantinedKey,
	cognitoUnauthCreds,
	consoleLoginManyCountries,
	consoleLoginNewCountry,
	consoleLoginNoMFA,
	deniedBurst,
	deniedThenAllowed,
	dormantKeyAwakens,
	firstSeenSourceIP,
	getCallerIdentityFirstSeen,
	getSigninTokenUnusualClient,
	hackingToolUserAgent,
	instanceCredsOffInstance,
	lambdaCredsOffLambda,
	loginSpray,
	oldKeyInUse,
	oneKeyManyNetworks,
	outsideKnownNetworks,
	passwordRecovery,
	rareNetworkShare,
	roleAssumeFirstSeen,
	rootUse,
	unusedRegion,
	userAgentMismatch,
	vpceDenied,
	vpceExternalPrincipal,
	workloadIdentityOffPlatform,
	anonymousRead,
	bucketOpened,
	bytesOutVolume,
	crossAccountRead,
	distinctKeysBurst,
	firstSeenBucketReader,
	getObjectOutsideNetworks,
	getObjectRateOverBaseline,
	listThenGet,
	presignedBurst,
	sensitiveKeyRead,
	uncommonS3Client,
	getPasswordData,
	imdsv1Allowed,
	lambdaConfigRead,
	lambdaEnvSweep,
	launchTemplateUserdata,
	multiStoreSecretSweep,
	othersSecretsWriter,
	plaintextSecretWritten,
	secretsElsewhere,
	secretsmanagerBulk,
	secretsmanagerFirstSeen,
	ssmBulk,
	ssmPathDump,
	ssmSecureDecryptFirstSeen,
	ssmSensitiveName,
	userdataBulk,
	userdataRead,
	canonicalReconSet,
	deniedReconBurst,
	distinctAPIs,
	errorSpike,
	iamFullDump,
	instanceRoleRecon,
	maliciousIP,
	multiRegionSweep,
	newServicesBurst,
	orgAccountDiscovery,
	principalBrute,
	publicSnapshotSearch,
	rareCall,
	reconFromHosting,
	reconThenAct,
	serviceAbuseRecon,
	anonymousListing,
	bucketNameBruteforce,
	bucketSweep,
	headObjectBurst,
	listBucketsFirstSeen,
	listObjectsUnexpected,
	postureSweep,
	prefixWalk,
	sensitivePrefixListing,
	versionsListing,
}

// All returns all detectors. A nil config means that nothing is known about
// the organisation. To use some of them only, select by their Info. The config
// must not be modified afterwards. The error names what in it cannot be: a
// scanner, network or public bucket that would be any, a threshold of no rule or
// out of its range.
func All(c *Config) ([]detect.Detector, error) {
	if c == nil {
		c = &Config{}
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	own := *c
	own.places = newPlaces(&own)
	detectors := make([]detect.Detector, len(rules))
	thresholds := make(map[string]detect.Threshold)
	for i, rule := range rules {
		detectors[i] = complete(&own, rule(&own))
		info := detectors[i].Info()
		thresholds[info.Name] = info.Threshold
	}
	for rule, value := range c.Thresholds {
		switch t := thresholds[rule]; {
		case t.Max == 0:
			return nil, fmt.Errorf("techniques: threshold of %q: no rule of that name has one", rule)
		case value < t.Min || value > t.Max:
			return nil, fmt.Errorf("techniques: threshold of %q is %d; from %d to %d is possible", rule, value, t.Min, t.Max)
		}
	}
	return detectors, nil
}

// complete adds what rules have in common: the mitigations of their technique
// and, for rules about principals, silence about calls that are AWS's own work
// or a declared scanner's. Only fields that AWS sets excuse a call.
func complete(c *Config, d detect.Detector) detect.Detector {
	info := d.Info()
	if c.provides(info.Hook) {
		info.Hook = ""
	}
	info.Mitigations = append(info.Mitigations, mitigations[info.Technique.Parent()]...)
	if info.Scope == nil || info.Scope == detect.ByPrincipal {
		info.Conditions = slices.Concat([]*detect.Condition{viaService, serviceLinked, c.scannerCondition()}, info.Conditions)
	}
	return detect.New(info, d.Detect)
}
