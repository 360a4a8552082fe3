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
