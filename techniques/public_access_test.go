package techniques

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/cloudtell/cloudtell/event"
)

func TestPublicStatement(t *testing.T) {
	const conditioned = `{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*","Condition":%s}]}`
	for _, tt := range []struct {
		name, policy string
		public       bool
	}{
		{"everyone", `{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject"}]}`, true},
		{"everyone, as AWS", `{"Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"s3:GetObject"}]}`, true},
		{"everyone, in a list", `{"Statement":{"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::111122223333:root","*"]},"Action":"s3:*"}}`, true},
		{"everyone but one", `{"Statement":{"Effect":"Allow","NotPrincipal":{"AWS":"111122223333"},"Action":"s3:*"}}`, true},
		{"the second statement", `{"Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:*"},{"Effect":"Allow","Principal":"*","Action":"s3:*"}]}`, true},
		{"a document in a string", `"{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":\"*\"}}"`, true},

		{"empty", `{}`, false},
		{"absent", ``, false},
		{"not JSON in a string", `"policy"`, false},
		{"denied", `{"Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:*"}]}`, false},
		{"another account", `{"Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::444455556666:root"},"Action":"s3:*"}]}`, false},
		{"a service", `{"Statement":[{"Effect":"Allow","Principal":{"Service":"cloudfront.amazonaws.com"},"Action":"s3:GetObject"}]}`, false},

		{"a VPC endpoint", fmt.Sprintf(conditioned, `{"StringEquals":{"aws:SourceVpce":"vpce-1"}}`), false},
		{"a VPC endpoint of some", fmt.Sprintf(conditioned, `{"StringEquals":{"aws:sourceVpce":["vpce-1","vpce-2"]}}`), false},
		{"the organisation", fmt.Sprintf(conditioned, `{"StringEquals":{"aws:PrincipalOrgID":"o-abc"}}`), false},
		{"the organisation's paths", fmt.Sprintf(conditioned, `{"ForAnyValue:StringLike":{"aws:PrincipalOrgPaths":"o-abc/*"}}`), false},
		{"a network", fmt.Sprintf(conditioned, `{"IpAddress":{"aws:SourceIp":"198.51.100.0/24"}}`), false},
		{"an address", fmt.Sprintf(conditioned, `{"IpAddress":{"aws:SourceIp":"198.51.100.7"}}`), false},
		{"a role's sessions", fmt.Sprintf(conditioned, `{"StringLike":{"aws:userId":"AROAEXAMPLE:*"}}`), false},
		{"a role", fmt.Sprintf(conditioned, `{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::111122223333:role/*"}}`), false},
		{"a bucket's notifications", fmt.Sprintf(conditioned, `{"ArnLike":{"aws:SourceArn":"arn:aws:s3:*:*:acme-data"}}`), false},
		{"a large network", fmt.Sprintf(conditioned, `{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`), false},
		{"a large network of IPv6", fmt.Sprintf(conditioned, `{"IpAddress":{"aws:SourceIp":"2001:db8::/32"}}`), false},
		{"an address of IPv6", fmt.Sprintf(conditioned, `{"IpAddress":{"aws:SourceIp":"2001:db8::1"}}`), false},
		{"a role, exactly", fmt.Sprintf(conditioned, `{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::111122223333:role/app"}}`), false},
		{"an account, in any case", fmt.Sprintf(conditioned, `{"StringEqualsIgnoreCase":{"aws:PrincipalAccount":"111122223333"}}`), false},
		{"the bucket's own organisation", fmt.Sprintf(conditioned, `{"StringEquals":{"aws:PrincipalOrgID":"${aws:ResourceOrgID}"}}`), false},
		{"one of two that restricts", fmt.Sprintf(conditioned, `{"StringLike":{"aws:Referer":"*"},"StringEquals":{"aws:SourceAccount":"111122223333"}}`), false},

		{"no condition in it", fmt.Sprintf(conditioned, `{}`), true},
		{"a referer, which the caller says", fmt.Sprintf(conditioned, `{"StringLike":{"aws:Referer":"https://www.example.com/*"}}`), true},
		{"encryption in transit", fmt.Sprintf(conditioned, `{"Bool":{"aws:SecureTransport":"true"}}`), true},
		{"any network", fmt.Sprintf(conditioned, `{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}`), true},
		{"half of all networks", fmt.Sprintf(conditioned, `{"IpAddress":{"aws:SourceIp":["198.51.100.0/24","128.0.0.0/1"]}}`), true},
		{"any network of IPv6", fmt.Sprintf(conditioned, `{"IpAddress":{"aws:SourceIp":"2000::/3"}}`), true},
		{"not from a network", fmt.Sprintf(conditioned, `{"NotIpAddress":{"aws:SourceIp":"198.51.100.0/24"}}`), true},
		{"all but an endpoint", fmt.Sprintf(conditioned, `{"StringNotEquals":{"aws:SourceVpce":"vpce-1"}}`), true},
		{"if there is one", fmt.Sprintf(conditioned, `{"StringEqualsIfExists":{"aws:PrincipalOrgID":"o-abc"}}`), true},
		{"all of none", fmt.Sprintf(conditioned, `{"ForAllValues:StringEquals":{"aws:PrincipalOrgPaths":"o-abc/"}}`), true},
		{"anyone's roles", fmt.Sprintf(conditioned, `{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:*"}}`), true},
		{"anything", fmt.Sprintf(conditioned, `{"StringLike":{"aws:userId":"*"}}`), true},
		{"any role's sessions", fmt.Sprintf(conditioned, `{"StringLike":{"aws:userId":"AROA*"}}`), true},
		{"any VPC endpoint", fmt.Sprintf(conditioned, `{"StringLike":{"aws:SourceVpce":"vpce-*"}}`), true},
		{"any organisation", fmt.Sprintf(conditioned, `{"StringLike":{"aws:PrincipalOrgID":"o-??????????"}}`), true},
		{"any organisation's root", fmt.Sprintf(conditioned, `{"ForAnyValue:StringLike":{"aws:PrincipalOrgPaths":"/*"}}`), true},
		{"the caller's own organisation", fmt.Sprintf(conditioned, `{"StringEquals":{"aws:PrincipalOrgID":"${aws:PrincipalOrgID}"}}`), true},
		{"anyone's ARN", fmt.Sprintf(conditioned, `{"StringLike":{"aws:PrincipalArn":"arn:aws:iam::*"}}`), true},
		{"anyone's roles with a path", fmt.Sprintf(conditioned, `{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/*"}}`), true},
		{"anyone's role of a name", fmt.Sprintf(conditioned, `{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/admin"}}`), true},
		{"any bucket", fmt.Sprintf(conditioned, `{"ArnLike":{"aws:SourceArn":"arn:aws:s3:::*"}}`), true},
		{"an IPv6 network too large", fmt.Sprintf(conditioned, `{"IpAddress":{"aws:SourceIp":"2001::/16"}}`), true},
		{"an empty value", fmt.Sprintf(conditioned, `{"StringEquals":{"aws:SourceVpce":""}}`), true},
		{"no value", fmt.Sprintf(conditioned, `{"StringEquals":{"aws:SourceVpce":[]}}`), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, public := publicStatement(event.Raw(tt.policy))
			assert.Equal(t, tt.public, public)
		})
	}
}

func TestForeignReader(t *testing.T) {
	const conditioned = `{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Condition":%s}}`
	for _, tt := range []struct{ name, policy, want string }{
		{"a root", `{"Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::444455556666:root"},"Action":"s3:GetObject"}}`, "444455556666"},
		{"a number", `{"Statement":{"Effect":"Allow","Principal":{"AWS":"444455556666"},"Action":"*"}}`, "444455556666"},
		{"the second of two", `{"Statement":{"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::111122223333:root","arn:aws-cn:iam::444455556666:user/bob"]},"Action":"S3:*"}}`, "444455556666"},
		{"the second statement", `{"Statement":[{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"*"},{"Effect":"Allow","Principal":{"AWS":"444455556666"},"Action":["s3:ListBucket","s3:GetObjectVersion"]}]}`, "444455556666"},
		{"all but some actions", `{"Statement":{"Effect":"Allow","Principal":{"AWS":"444455556666"},"NotAction":"s3:PutObject"}}`, "444455556666"},
		{"everyone of an account", fmt.Sprintf(conditioned, `{"StringEquals":{"aws:principalaccount":["111122223333","444455556666"]}}`), "444455556666"},
		{"a role, by condition", fmt.Sprintf(conditioned, `{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::444455556666:role/*"}}`), "444455556666"},

		{"a role, by the second of two conditions", fmt.Sprintf(conditioned, `{"ArnLike":{"aws:PrincipalArn":["arn:aws:iam::*:role/app","arn:aws:iam::444455556666:role/app"]}}`), "444455556666"},
		{"a deleted user's id", `{"Statement":{"Effect":"Allow","Principal":{"AWS":"AIDAEXAMPLE1"},"Action":"*"}}`, ""},
		{"the own account", `{"Statement":{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"*"}}`, ""},
		{"denied", `{"Statement":{"Effect":"Deny","Principal":{"AWS":"444455556666"},"Action":"*"}}`, ""},
		{"writing", `{"Statement":{"Effect":"Allow","Principal":{"AWS":"444455556666"},"Action":["s3:Put*","s3:GetBucketAcl"]}}`, ""},
		{"CloudFront", `{"Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity E1"},"Action":"s3:GetObject"}}`, ""},
		{"no ARN", `{"Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws"},"Action":"s3:GetObject"}}`, ""},
		{"all but an account", fmt.Sprintf(conditioned, `{"StringNotEquals":{"aws:PrincipalAccount":"444455556666"}}`), ""},
		{"what an account's bucket notifies", fmt.Sprintf(conditioned, `{"StringEquals":{"aws:SourceAccount":"444455556666"}}`), ""},
		{"empty", ``, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want, foreignReader(event.Raw(tt.policy), func(account string) bool { return account == "111122223333" }))
		})
	}
}

func TestPublicGrant(t *testing.T) {
	for _, tt := range []struct{ name, request, want string }{
		{"canned", `{"x-amz-acl":"public-read"}`, "public-read"},
		{"canned, as a list", `{"x-amz-acl":["authenticated-read"]}`, "authenticated-read"},
		{"a header", `{"x-amz-grant-read":"id=\"79a5\", uri=\"http://acs.amazonaws.com/groups/global/AllUsers\""}`, "AllUsers"},
		{"the second of two headers", `{"x-amz-grant-read":"id=\"79a5\"","x-amz-grant-write":["id=\"79a5\"","uri=\"http://acs.amazonaws.com/groups/global/AllUsers\""]}`, "AllUsers"},
		{"one grant", `{"AccessControlPolicy":{"AccessControlList":{"Grant":{"Grantee":{"URI":"http://acs.amazonaws.com/groups/global/AllUsers"},"Permission":"READ"}}}}`, "AllUsers"},
		{"the second grant", `{"AccessControlPolicy":{"AccessControlList":{"Grant":[{"Grantee":{"ID":"79a5"},"Permission":"FULL_CONTROL"},
			{"Grantee":{"URI":"http://acs.amazonaws.com/groups/global/AuthenticatedUsers"},"Permission":"READ"}]}}}`, "AuthenticatedUsers"},
		{"private", `{"x-amz-acl":"private"}`, ""},
		{"the log delivery group", `{"AccessControlPolicy":{"AccessControlList":{"Grant":{"Grantee":{"URI":"http://acs.amazonaws.com/groups/s3/LogDelivery"}}}}}`, ""},
		{"nothing", ``, ""},
	} {
		t.Run(tt.name, func(t *testing.T) { assert.Equal(t, tt.want, publicGrant(event.Raw(tt.request))) })
	}
}
