package account

import (
	"fmt"
	"net/netip"
)

// The buckets whose data events the trail logs, and the trail's own.
const (
	exports   = "examplecorp-customer-exports" // the sensitive one
	lake      = "examplecorp-data-lake"
	marts     = "examplecorp-data-marts"
	assets    = "examplecorp-app-assets"
	uploads   = "examplecorp-uploads"
	website   = "examplecorp-www"     // public on purpose
	careers   = "examplecorp-careers" // public on purpose, and new
	marketing = "examplecorp-marketing"
	artifacts = "examplecorp-artifacts"
	backups   = "examplecorp-backups"
	finance   = "examplecorp-finance"
	shared    = "examplecorp-partner-share"
	tfstate   = "examplecorp-terraform-state"
	trailLogs = "examplecorp-cloudtrail"
	otherLogs = "examplecorp-access-logs"
)

var buckets = []string{
	exports, lake, marts, assets, uploads, website, marketing, artifacts, backups, finance, shared, tfstate, trailLogs, otherLogs,
}

// Where calls come from. People's homes are 198.18.100.0/24 and up, one /24
// each, and 2001:db8:1000::/48 and up.
const (
	office     = "203.0.113."  // the office's gateway
	vpn        = "198.18.250." // the VPN's exit
	natProd    = "198.18.10."  // NAT gateways of production
	natBatch   = "198.18.11."  // and of the batch network
	natScanner = "198.18.12."
	githubNet  = "198.19." // runners of the CI provider: any of a /16
	lambdaNet  = "198.18." // functions outside a network: 198.18.64.0/22
	hotel      = "198.18.240."
	partnerNet = "198.18.230."
	vendorNet  = "198.18.220."
	mobileNet  = "100." // the public: 100.64.0.0/10
	attackerA  = "192.0.2."
	attackerB  = "198.51.100."
	badAddress = "198.51.100.66"
	s3Endpoint = "vpce-0a1b2c3d4e5f60718"
)

// Organisation returns what the account's owner knows about it.
func (a *Account) Organisation() Organisation {
	prefix := netip.MustParsePrefix
	return Organisation{
		AccountID:        accountID,
		PartnerAccountID: partnerID,
		Networks: []netip.Prefix{
			prefix(office + "0/24"), prefix(vpn + "0/24"), prefix(natProd + "0/24"), prefix(natBatch + "0/24"),
			prefix(natScanner + "0/24"), prefix("10.20.0.0/16"),
		},
		VPCEndpoints:     []string{s3Endpoint},
		PublicBuckets:    []string{website, careers},
		SensitiveBuckets: []string{exports, finance},
		Scanner:          iamARN("role/" + auditRole.name),
		ScannerNetwork:   prefix(natScanner + "0/24"),
		BadAddress:       netip.MustParseAddr(badAddress),
		Places: []Place{
			{prefix(office + "0/24"), "AS64500", "DE", "Berlin", false},
			{prefix(vpn + "0/24"), "AS64500", "DE", "Berlin", false},
			{prefix(natProd + "0/24"), "AS64501", "IE", "Dublin", true},
			{prefix(natBatch + "0/24"), "AS64501", "IE", "Dublin", true},
			{prefix(natScanner + "0/24"), "AS64501", "IE", "Dublin", true},
			{prefix(lambdaNet + "64.0/22"), "AS64501", "IE", "Dublin", true},
			{prefix(githubNet + "0.0/16"), "AS64502", "US", "Boydton", true},
			{prefix(hotel + "0/24"), "AS64503", "PT", "Lisbon", false},
			{prefix(partnerNet + "0/24"), "AS64504", "NL", "Amsterdam", true},
			{prefix(vendorNet + "0/24"), "AS64505", "US", "Ashburn", true},
			{prefix("198.18.100.0/23"), "AS64506", "DE", "Berlin", false}, // people's homes
			{prefix("198.18.102.0/23"), "AS64507", "DE", "Potsdam", false},
			{prefix("198.18.104.0/21"), "AS64506", "DE", "Berlin", false},
			{prefix("198.18.112.0/20"), "AS64506", "DE", "Berlin", false},
			{prefix("198.18.128.0/18"), "AS64507", "DE", "Potsdam", false},
			{prefix("2001:db8::/32"), "AS64506", "DE", "Berlin", false},
			{prefix(mobileNet + "64.0.0/10"), "AS64508", "DE", "Hamburg", false},
			{prefix(attackerA + "0/24"), "AS64509", "RO", "Bucharest", true},
			{prefix(attackerB + "0/24"), "AS64510", "SG", "Singapore", true},
		},
	}
}

// functions are the account's Lambda functions. Each has a role of its own.
var functions = []string{
	"orders-api", "orders-worker", "payments-api", "payments-webhook", "catalog-api", "catalog-indexer", "search-sync",
	"thumbnailer", "email-sender", "sms-sender", "invoice-renderer", "refund-worker", "auth-callback", "session-cleaner",
	"audit-shipper", "metrics-rollup", "slack-notifier", "geo-lookup", "currency-rates", "fraud-score", "returns-api",
	"shipping-quote", "stock-sync", "newsletter-export", "image-moderator", "feature-flags",
}

// tasks are the account's ECS services. Each has a role of its own.
var tasks = []string{
	"web", "checkout", "inventory", "recommendations", "reporting", "exports-service", "ledger", "notifications", "gateway", "admin",
}

// fleets are its groups of EC2 instances. Each has a role of its own.
var fleets = []string{"web-asg", "search-nodes", "build-agents", "kafka-brokers", "monitoring", "bastion"}

// instance returns the id of the n-th instance of a fleet.
func (a *Account) instance(fleet string, n int) string {
	return "i-0" + a.hex(fmt.Sprint("instance/", fleet, n), 16)
}

// instances returns n instances, from all fleets.
func (a *Account) instances(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = a.instance(fleets[i%len(fleets)], i/len(fleets))
	}
	return ids
}

// instanceRole is the role of a fleet.
func instanceRole(fleet string) role {
	return role{name: fleet + "-instance", context: fields{"ec2RoleDelivery", "2.0"}}
}

func functionRole(function string) role {
	return role{name: "lambda-" + function, path: "/service-role/"}
}

func taskRole(task string) role { return role{name: "ecs-" + task} }

// The other roles that somebody plays.
var (
	deployRole    = role{name: "ci-deploy"}
	etlRole       = role{name: "nightly-etl"}
	auditRole     = role{name: "security-audit"}
	postureRole   = role{name: "cspm-reader"}
	backupRole    = role{name: "backup", path: "/service-role/"}
	secretsRole   = role{name: "external-secrets"}
	terraformRole = role{name: "terraform"}
	supportRole   = role{name: "support-tooling"}
	helpdeskRole  = role{name: "helpdesk"}
	renderRole    = role{name: "batch-render"}
	customersRole = role{name: "customer-data-support"}
)

// parameter returns the name of a parameter that external-secrets reads.
func parameter(n int) string {
	keys := []string{"db_password", "api_key", "endpoint", "log_level", "pool_size", "oauth_token"}
	return "/app/prod/" + tasks[n/3%len(tasks)] + "/" + keys[n*5%len(keys)]
}

// secret returns the name of a secret.
func secret(n int) string {
	kinds := []string{"database", "stripe", "smtp", "webhook-signing", "partner-sftp"}
	return "prod/" + tasks[n%len(tasks)] + "/" + kinds[n/len(tasks)%len(kinds)]
}

// address returns an address of a network that is given by its first three
// numbers.
func (d *day) address(network string) string { return fmt.Sprint(network, 10+d.IntN(4)) }

// anyAddress returns an address of a network that is given by its first two
// numbers.
func (d *day) anyAddress(network string) string {
	return fmt.Sprintf("%s%d.%d", network, d.IntN(256), 1+d.IntN(254))
}

// visitor returns the address of a member of the public.
func (d *day) visitor() string {
	return fmt.Sprintf("%s%d.%d.%d", mobileNet, 64+d.IntN(64), d.IntN(256), 1+d.IntN(254))
}
