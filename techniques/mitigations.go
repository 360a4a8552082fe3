package techniques

import "github.com/cloudtell/cloudtell/detect"

// mitigations lists what prevents each technique.
var mitigations = map[detect.Technique][]string{
	"T1078": {
		"Rotate access keys within 90 days and delete unused ones; the AWS Config rule access-keys-rotated checks it.",
		"Give people and workloads roles with temporary credentials instead of long-term keys.",
		"Keep the credentials that must exist in Secrets Manager, and require MFA of people.",
	},
	"T1530": {
		"Turn on S3 Block Public Access for the account.",
		"Bind bucket policies to the organisation and its networks with aws:PrincipalOrgID and aws:sourceVpce.",
		"Log S3 data events for buckets that matter.",
	},
	"T1552": {
		"Keep secrets in Secrets Manager or SecureString parameters, not in String parameters, environment variables or user data.",
		"Deny ssm:PutParameter of sensitive names without a KMS key.",
		"Audit the user data of instances and launch templates for secrets, and require IMDSv2.",
	},
	"T1580": {
		"Grant least privilege: few principals need to list every service.",
		"Find unused and external access with IAM Access Analyzer; record configurations with AWS Config.",
	},
	"T1619": {
		"Turn on S3 Block Public Access, and restrict listing with VPC endpoint policies.",
		"Move archives to S3 Glacier, where listing does not open them.",
	},
}
