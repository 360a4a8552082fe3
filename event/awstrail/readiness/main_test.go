package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRun(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("X-Amz-Target") {
		case "CloudTrail_20131101.DescribeTrails":
			fmt.Fprint(w, `{"trailList":[{"Name":"main","TrailARN":"arn:aws:cloudtrail:eu-west-1:111122223333:trail/main","HomeRegion":"eu-west-1","IsMultiRegionTrail":true}]}`)
		case "CloudTrail_20131101.GetTrailStatus":
			fmt.Fprint(w, `{"IsLogging":true}`)
		case "CloudTrail_20131101.GetEventSelectors":
			fmt.Fprint(w, `{"EventSelectors":[{"ReadWriteType":"All","IncludeManagementEvents":true}]}`)
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": server.URL, "AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret",
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
		"AWS_PROFILE": "", "AWS_SESSION_TOKEN": "", "AWS_MAX_ATTEMPTS": "10",
	} {
		t.Setenv(name, value)
	}
	var out bytes.Buffer
	require.NoError(t, run(context.Background(), []string{"-regions", "eu-west-1"}, &out))
	assert.Regexp(t, `(?m)^trail main: logs management events, all regions, without digests, nothing delivered yet$`, out.String())
	assert.Regexp(t, `(?m)^T1530 +distinct-keys-burst +blind +S3 data events`, out.String())

	server.Close()
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	assert.ErrorContains(t, run(context.Background(), nil, &out), "connection refused")
	assert.Error(t, run(context.Background(), []string{"-nonsense"}, &out))
}
