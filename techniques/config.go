package techniques

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// Config is what only the organisation knows about its accounts. Everything is
// optional: rules work without it, and better with it. It may be read from
// JSON. Where a list takes patterns, a final "*" stands for any rest.
type Config struct {
	// Networks lists the address ranges that the organisation's people and
	// workloads call from: offices, VPN, NAT gateways. Private ranges have no
	// effect here, see VPCEndpoints. Another that is larger than a /8 of IPv4 or a
	// /16 of IPv6, which nobody owns, is an error. Empty: unknown, and learnt per
	// principal only.
	Networks []netip.Prefix `json:"networks,omitempty"`
	// VPCEndpoints lists the ids of the organisation's own VPC endpoints. A
	// private source address proves nothing, since an attacker's endpoint shows
	// one too; a known endpoint does.
	VPCEndpoints []string `json:"vpc_endpoints,omitempty"`
	// Accounts lists the ids of the organisation's AWS accounts. Empty:
	// unknown.
	Accounts []string `json:"accounts,omitempty"`
	// SensitiveBuckets lists patterns of buckets whose contents matter most.
	SensitiveBuckets []string `json:"sensitive_buckets,omitempty"`
	// PublicBuckets lists patterns of buckets that are meant to be read by
	// anyone. At least the first three characters have to be given, the length
	// of the shortest name that S3 allows.
	PublicBuckets []string `json:"public_buckets,omitempty"`
	// SensitivePrefixes adds object key prefixes to the built-in ones
	// (backups/, exports/, …).
	SensitivePrefixes []string `json:"sensitive_prefixes,omitempty"`
	// SensitiveNames adds words to the built-in ones (password, token, …) that
	// make the name of a parameter sensitive. They match whole words of a name,
	// parted by separators or capitals.
	SensitiveNames []string `json:"sensitive_names,omitempty"`
	// Scanners lists the principals that are expected to look at everything,
	// such as posture scanners. From their expected source, they are not
	// reported.
	Scanners []Scanner `json:"scanners,omitempty"`
	// Thresholds sets what rules have to count before they speak, by rule, within
	// the bounds of the rule's [detect.Threshold]. Rules that are not named keep
	// their own.
	Thresholds map[string]int `json:"thresholds,omitempty"`
	// Reputation says why an address has a bad reputation, or "" if it has
	// none. It is called from many goroutines for every call of a principal,
	// must be fast, and must give the same answer for the same address as long
	// as a baseline lives. Nil: unknown.
	Reputation func(netip.Addr) string `json:"-"`
	// Locate says where an address is and whose. It is called like Reputation,
	// and must be as fast and as constant. Nil: unknown, and rules about
	// countries and providers are silent.
	Locate func(netip.Addr) Location `json:"-"`

	places  *places           // what is remembered about locations
	scanner *detect.Condition // that excuses declared scanners
}

// A Location is where an address is, as a GeoIP database says. What is not
// known is zero.
type Location struct {
	ASN     string `json:"asn"`     // the autonomous system, "AS16509": who runs the network
	Country string `json:"country"` // ISO 3166-1 alpha-2, "DE"
	City    string `json:"city"`
	// Hosting reports that the network belongs to a hosting provider, VPN or
	// anonymiser rather than to people's access networks.
	Hosting bool `json:"hosting"`
}

// A Scanner is a principal declared to be a scanner.
type Scanner struct {
	// Principal is the key of a principal, as in [event.Principal], or a pattern
	// of keys. A pattern has to name the account and the beginning of a user or
	// role, or one foreign account, whose callers show only their unique ids:
	//
	//	arn:aws:iam::111122223333:role/audit*
	//	arn:aws:iam::111122223333:role/AWSReservedSSO_Audit_*
	//	aws-account:444455556666/*
	//
	// The keys of those whom AWS does not name ("anonymous",
	// "unknown:111122223333") are errors.
	Principal string `json:"principal"`
	// Networks lists where the scanner calls from. Empty: anywhere, which
	// leaves its credentials unwatched.
	Networks []netip.Prefix `json:"networks,omitempty"`
}

// validate refuses what would silence rules for more than somebody can have
// meant.
func (c *Config) validate() error {
	for _, s := range c.Scanners {
		if err := s.validate(); err != nil {
			return err
		}
	}
	for _, n := range c.Networks {
		private := n.Addr().Is6() && n.Addr().IsPrivate() && n.Bits() >= 7 // all of fc00::/7 is
		if !private && (n.Bits() < 8 || n.Addr().Is6() && n.Bits() < 16) {
			return fmt.Errorf("techniques: network %v is no range that one organisation calls from; the largest is a /8 of IPv4 or a /16 of IPv6", n)
		}
	}
	for _, b := range c.PublicBuckets {
		if len(strings.TrimRight(b, "*")) < 3 {
			return fmt.Errorf("techniques: public bucket %q would declare buckets public that it does not name; give their first three characters or more", b)
		}
	}
	for _, id := range slices.Concat(c.Accounts, c.VPCEndpoints) {
		if id == "" || strings.Contains(id, "*") {
			return fmt.Errorf("techniques: %q is no id of an account or a VPC endpoint; these lists take no patterns", id)
		}
	}
	return nil
}

func (s *Scanner) validate() error {
	named, pattern := strings.CutSuffix(s.Principal, "*")
	switch {
	case strings.Contains(named, "*") && strings.Trim(named, "*") != "":
		return fmt.Errorf("techniques: scanner %q: only a final * stands for any rest", s.Principal)
	case named == "" || pattern && !namesSomebody(named):
		return fmt.Errorf("techniques: scanner %q would declare everyone a scanner whose key begins so; "+
			"name the account and the user or role, as in arn:aws:iam::111122223333:role/audit*", s.Principal)
	case named == "anonymous", strings.HasPrefix(named, "unknown:") && !strings.Contains(named, "/"):
		return fmt.Errorf("techniques: scanner %q would declare everyone a scanner whom AWS does not name", s.Principal)
	}
	return nil
}

// namesSomebody reports whether keys that begin so are those of users or roles
// of one account that have something of their name in common, or those of one
// foreign account.
func namesSomebody(beginning string) bool {
	if account, ok := strings.CutPrefix(beginning, "aws-account:"); ok {
		account, _, ok = strings.Cut(account, "/")
		return ok && isAccountID(account)
	}
	f := strings.SplitN(beginning, ":", 6) // arn, partition, service, region, account, kind/name
	if len(f) < 6 || f[0] != "arn" || !isAccountID(f[4]) {
		return false
	}
	kind, name, _ := strings.Cut(f[5], "/")
	everyPerson := strings.HasPrefix("AWSReservedSSO_", name) // everybody's role in IAM Identity Center begins so
	return kind == "user" && name != "" || kind == "role" && !everyPerson || kind == "federated-user" && name != ""
}

func isAccountID(s string) bool {
	return len(s) == 12 && strings.Trim(s, "0123456789") == ""
}

// provides reports whether the config has what a rule's hook asks for.
func (c *Config) provides(hook string) bool {
	switch hook {
	case "Config.Locate":
		return c.Locate != nil
	case "Config.Reputation":
		return c.Reputation != nil
	case "Config.Networks":
		return len(c.Networks)+len(c.VPCEndpoints) > 0
	case "Config.SensitiveBuckets":
		return len(c.SensitiveBuckets) > 0
	case "Config.Accounts":
		return len(c.Accounts) > 0
	}
	return hook == ""
}

// threshold returns a rule's threshold: its own, or what the organisation set.
func (c *Config) threshold(rule string, t detect.Threshold) detect.Threshold {
	if v, ok := c.Thresholds[rule]; ok {
		t.Value = v
	}
	return t
}

// locate returns where an event comes from; the zero Location if that is not
// known.
func (c *Config) locate(e *event.Event) Location {
	if c.Locate == nil || !e.IP.IsValid() {
		return Location{}
	}
	return c.Locate(e.IP)
}

// knownSource reports whether an event comes from the organisation's networks
// or through one of its VPC endpoints.
func (c *Config) knownSource(e *event.Event) bool {
	return e.VPCEndpointID != "" && slices.Contains(c.VPCEndpoints, e.VPCEndpointID) ||
		!e.IP.IsPrivate() && contains(c.Networks, e.IP)
}

// declaredScanner reports whether an event is a declared scanner's, from its
// expected source.
func (c *Config) declaredScanner(e *event.Event) bool {
	for i := range c.Scanners {
		s := &c.Scanners[i]
		if match(s.Principal, e.Principal.Key) && (len(s.Networks) == 0 || contains(s.Networks, e.IP)) {
			return true
		}
	}
	return false
}

// scannerCondition excuses declared scanners. It is one for all rules.
func (c *Config) scannerCondition() *detect.Condition {
	if c.scanner == nil {
		c.scanner = &detect.Condition{Text: "the principal is a declared scanner at its place", Guard: true, Is: c.declaredScanner}
	}
	return c.scanner
}

// ownAccount reports whether an account is one of the organisation's.
func (c *Config) ownAccount(account string) bool { return slices.Contains(c.Accounts, account) }

func (c *Config) sensitiveBucket(bucket string) bool { return matchAny(c.SensitiveBuckets, bucket) }
func (c *Config) publicBucket(bucket string) bool    { return matchAny(c.PublicBuckets, bucket) }

func contains(networks []netip.Prefix, ip netip.Addr) bool {
	for _, n := range networks {
		if n.Contains(ip) {
			return true
		}
	}
	return false
}

func matchAny(patterns []string, s string) bool {
	for _, p := range patterns {
		if match(p, s) {
			return true
		}
	}
	return false
}

func match(pattern, s string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(s, prefix)
	}
	return pattern == s
}
