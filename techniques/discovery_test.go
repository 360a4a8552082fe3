package techniques

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/cloudtell/cloudtell/event"
)

func call(service, operation string) *event.Event {
	return &event.Event{Source: service + ".amazonaws.com", Operation: operation, ReadOnly: true, Category: event.Management}
}

func TestDiscovery(t *testing.T) {
	invoked := call("ec2", "DescribeInstances")
	invoked.Identity.InvokedBy = "config.amazonaws.com"
	data := call("s3", "ListObjects")
	data.Category = event.Data
	writing := call("iam", "GetRole")
	writing.ReadOnly = false
	tests := []struct {
		name string
		e    *event.Event
		want bool
	}{
		{"list", call("iam", "ListUsers"), true},
		{"describe", call("ec2", "DescribeInstances"), true},
		{"get", call("iam", "GetAccountAuthorizationDetails"), true},
		{"who am I", call("sts", "GetCallerIdentity"), true},
		{"batch", call("codebuild", "BatchGetProjects"), true},
		{"a secret is fetched", call("secretsmanager", "GetSecretValue"), false},
		{"a session is begun", call("sts", "AssumeRole"), false},
		{"a key is used", call("kms", "Decrypt"), false},
		{"an image is pulled", call("ecr", "GetAuthorizationToken"), false},
		{"by AWS", invoked, false},
		{"of data", data, false},
		{"not read-only", writing, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { assert.Equal(t, test.want, discovery(test.e)) })
	}
}

// Verbs that are questions, and questions that fetch what a program needs.
func TestDiscoveryByName(t *testing.T) {
	for _, operation := range []string{
		"ListUsers", "DescribeInstances", "GetBucketAcl", "BatchGetProjects", "SearchResources", "LookupEvents", "SimulatePrincipalPolicy",
	} {
		assert.True(t, discovery(call("x", operation)), operation)
	}
	for _, operation := range []string{
		"GetSecretValue", "BatchGetSecretValue", "GetParameter", "GetParameters", "GetParametersByPath", "GetSessionToken", "GetFederationToken",
		"GetRoleCredentials", "GetAuthorizationToken", "GetDownloadUrlForLayer", "BatchGetImage", "GetPublicKey", "GetSigninToken",
		"AssumeRole", "Decrypt", "Query",
	} {
		assert.False(t, discovery(call("x", operation)), operation)
	}
}

// What fails for the caller's sake, by error codes of real records.
func TestMistaken(t *testing.T) {
	for code, want := range map[string]bool{
		"AccessDenied": true, "Client.UnauthorizedOperation": true, "ValidationException": true, "MalformedPolicyDocumentException": true,
		"Client.InvalidParameterValue": true, "UnrecognizedClientException": true,
		"": false, "ThrottlingException": false, "Client.RequestLimitExceeded": false, "TooManyRequestsException": false, "SlowDown": false,
		"RateExceededException": false, "ProvisionedThroughputExceededException": false, "InternalFailure": false, "ServiceUnavailable": false,
		"RequestTimeout": false, "ExpiredToken": false, "ResourceNotFoundException": false, "NoSuchBucketPolicy": false,
		"RepositoryDoesNotExistException": false, "EntityAlreadyExists": false, "BucketAlreadyOwnedByYou": false,
		"ConditionalCheckFailedException": false, "NotModified": false,
	} {
		e := call("x", "DescribeThings")
		e.ErrorCode = code
		assert.Equal(t, want, mistaken(e), code)
	}
}

func TestAPI(t *testing.T) {
	assert.Equal(t, "ec2:DescribeInstances", api(call("ec2", "DescribeInstances")))
	assert.Equal(t, "a:bc", api(call("a", "bc")))
	assert.Equal(t, "ab:c", api(call("ab", "c")))

	t.Run("a known name does not allocate", func(t *testing.T) {
		e := call("ec2", "DescribeInstances")
		assert.Zero(t, testing.AllocsPerRun(100, func() { api(e) }))
	})
	t.Run("the table holds no event and is bounded, from many goroutines", func(t *testing.T) {
		before := apis.Load()
		defer apis.Store(before)
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for i := range maxAPIs {
					operation := fmt.Sprintf("DescribeThing%d-%d", g%2, i)
					assert.Equal(t, "hostile:"+operation, api(call("hostile", operation)))
				}
			})
		}
		wg.Wait()
		assert.LessOrEqual(t, len(*apis.Load()), maxAPIs)
	})
}

func TestServiceIsShort(t *testing.T) {
	assert.Equal(t, "ec2", service(call("ec2", "DescribeInstances")))
	assert.Equal(t, "-manager-user-subscriptions-long", service(call("license-manager-user-subscriptions-long", "ListUsers")))
	assert.Len(t, service(call(strings.Repeat("x", 100), "ListUsers")), 32)
}
