package awstrail_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/coverage"
	"github.com/cloudtell/cloudtell/event/awstrail"
	"github.com/cloudtell/cloudtell/techniques"
)

const arn = "arn:aws:cloudtrail:eu-west-1:111122223333:trail/main"

// addTrail gives the account a trail that logs all regions. Its selectors are
// the JSON of GetEventSelectors; more are settings and states that differ.
func (s *server) addTrail(region, arn, selectors string, more map[string]any) {
	trail := map[string]any{
		"Name": arn[strings.LastIndexByte(arn, '/')+1:], "TrailARN": arn, "HomeRegion": region, "S3BucketName": "trail", "S3KeyPrefix": "logs",
		"IsMultiRegionTrail": true, "IncludeGlobalServiceEvents": true, "LogFileValidationEnabled": true,
	}
	status := map[string]any{"IsLogging": true, "LatestDeliveryTime": float64(start.Unix())}
	for name, value := range more {
		if name == "IsLogging" || name == "LatestDeliveryError" {
			status[name] = value
		} else {
			trail[name] = value
		}
	}
	if s.trails == nil {
		s.trails, s.status, s.selectors = map[string][]map[string]any{}, map[string]any{}, map[string]any{}
	}
	s.trails[region] = append(s.trails[region], trail)
	s.status[arn] = status
	s.selectors[arn] = json.RawMessage(selectors)
}

const (
	managementOnly = `{"EventSelectors":[{"ReadWriteType":"All","IncludeManagementEvents":true,"DataResources":[],"ExcludeManagementEventSources":[]}]}`

	// fields of advanced selectors
	management = `{"Field":"eventCategory","Equals":["Management"]}`
	data       = `{"Field":"eventCategory","Equals":["Data"]}`
	network    = `{"Field":"eventCategory","Equals":["NetworkActivity"]}`
	objects    = `{"Field":"resources.type","Equals":["AWS::S3::Object"]}`
	reads      = `{"Field":"readOnly","Equals":["true"]}`
	writes     = `{"Field":"readOnly","Equals":["false"]}`
)

// advanced is an answer of GetEventSelectors: each argument is the fields of one
// selector.
func advanced(selectors ...string) string {
	var list []string
	for _, fields := range selectors {
		list = append(list, `{"FieldSelectors":[`+fields+`]}`)
	}
	return `{"AdvancedEventSelectors":[` + strings.Join(list, ",") + `]}`
}

// infos are rules of each kind.
var infos = []detect.Info{
	{Name: "any", Technique: "T1078.004", Needs: detect.ManagementEvents},
	{Name: "country", Technique: "T1078.004", Needs: detect.ManagementWrites, Events: []string{"signin:ConsoleLogin"}, Hook: "Config.Locate"},
	{Name: "endpoint", Technique: "T1078.004", Needs: detect.NetworkEvents},
	{Name: "pool", Technique: "T1078.004", Needs: detect.OtherDataEvents, Events: []string{"cognito-identity:GetId"}},
	{Name: "get", Technique: "T1530", Needs: detect.S3DataEvents, Events: []string{"s3:GetObject"}},
	{Name: "objects", Technique: "T1530", Needs: detect.S3DataEvents, Events: []string{"s3:*"}},
	{Name: "mixed", Technique: "T1552", Needs: detect.ManagementReads | detect.S3DataEvents, Events: []string{"kms:Decrypt", "s3:GetObject"}},
	{Name: "keys", Technique: "T1580", Needs: detect.ManagementReads, Events: []string{"kms:ListKeys"}},
}

func TestInspect(t *testing.T) {
	const (
		S3 = "S3 data events or server access logs"
	)
	tests := []struct {
		name      string
		selectors string
		more      map[string]any
		want      map[string]string // what is missing to rules that are not ready
		logs      detect.Telemetry
		buckets   []string
	}{
		{"management only", managementOnly, nil, map[string]string{
			"endpoint": "network activity events", "pool": "data events of other services", "get": S3, "objects": S3, "mixed": S3,
		}, detect.ManagementEvents, nil},
		{"the defaults of a selector", `{"EventSelectors":[{}]}`, nil, map[string]string{
			"endpoint": "network activity events", "pool": "data events of other services", "get": S3, "objects": S3, "mixed": S3,
		}, detect.ManagementEvents, nil},
		{"writes only", `{"EventSelectors":[{"ReadWriteType":"WriteOnly","IncludeManagementEvents":true,"DataResources":[{"Type":"AWS::S3::Object","Values":["arn:aws:s3"]}]}]}`, nil, map[string]string{
			"any": "read-only management events", "endpoint": "network activity events", "pool": "data events of other services", "keys": "read-only management events",
			"get": S3, "objects": S3 + " (no calls that read)", "mixed": "read-only management events and " + S3,
		}, detect.ManagementWrites | detect.S3DataEvents, []string{"*"}},
		{"a bucket, without KMS", `{"EventSelectors":[{"ReadWriteType":"All","IncludeManagementEvents":true,"ExcludeManagementEventSources":["kms.amazonaws.com"],
			"DataResources":[{"Type":"AWS::S3::Object","Values":["arn:aws:s3:::customers/","arn:aws:s3:::backups/db"]},{"Type":"AWS::Lambda::Function","Values":["arn:aws:lambda"]}]}]}`, nil, map[string]string{
			"any": "read-only management events (only where eventSource is not kms.amazonaws.com) and management events that write (only where eventSource is not kms.amazonaws.com)",
			"get": S3 + " (only where resources.ARN starts with arn:aws:s3:::customers/, arn:aws:s3:::backups/db)", "endpoint": "network activity events",
			"objects": S3 + " (only where resources.ARN starts with arn:aws:s3:::customers/, arn:aws:s3:::backups/db)",
			"mixed":   "read-only management events (no kms:Decrypt) and " + S3 + " (only where resources.ARN starts with arn:aws:s3:::customers/, arn:aws:s3:::backups/db)",
			"keys":    "read-only management events", "pool": "data events of other services",
		}, detect.ManagementEvents | detect.S3DataEvents | detect.OtherDataEvents, []string{"backups/db", "customers"}},
		{"everything", advanced(management, data+","+objects, data+`,{"Field":"resources.type","Equals":["AWS::Cognito::IdentityPool"]}`, network), nil,
			map[string]string{}, detect.ManagementEvents | detect.S3DataEvents | detect.OtherDataEvents | detect.NetworkEvents, []string{"*"}},
		{"by call", advanced(data+","+objects+`,{"Field":"eventName","Equals":["GetObject"]}`, management+","+reads+`,{"Field":"eventSource","NotEquals":["kms.amazonaws.com"]}`), nil, map[string]string{
			"any": "read-only management events (only where eventSource is not kms.amazonaws.com) and management events that write", "country": "management events that write",
			"endpoint": "network activity events", "pool": "data events of other services", "keys": "read-only management events",
			"objects": S3 + " (only where eventName is GetObject)", "mixed": "read-only management events (no kms:Decrypt)",
		}, detect.ManagementReads | detect.S3DataEvents, []string{"*"}},
		{"reads and writes apart", advanced(data+","+objects+","+reads+`,{"Field":"resources.ARN","StartsWith":["arn:aws:s3:::"]}`, data+","+objects+","+writes+`,{"Field":"resources.ARN","NotStartsWith":["arn:aws:s3:::trail/"]}`), nil, map[string]string{
			"any": "read-only management events and management events that write", "country": "management events that write",
			"endpoint": "network activity events", "pool": "data events of other services", "keys": "read-only management events",
			"objects": S3 + " (only where resources.ARN does not start with arn:aws:s3:::trail/)", "mixed": "read-only management events",
		}, detect.S3DataEvents, []string{"*"}},
		{"network events of one service", advanced(network + `,{"Field":"eventSource","Equals":["s3.amazonaws.com"]}`), nil, map[string]string{
			"any": "read-only management events and management events that write", "country": "management events that write",
			"endpoint": "network activity events (only where eventSource is s3.amazonaws.com)", "pool": "data events of other services", "keys": "read-only management events",
			"get": S3, "objects": S3, "mixed": "read-only management events and " + S3,
		}, detect.NetworkEvents, nil},
		{"one region", managementOnly, map[string]any{"IsMultiRegionTrail": false}, map[string]string{
			"any":      "read-only management events (only where awsRegion is eu-west-1) and management events that write (only where awsRegion is eu-west-1)",
			"endpoint": "network activity events", "pool": "data events of other services", "get": S3, "objects": S3,
			"mixed": "read-only management events (only where awsRegion is eu-west-1) and " + S3, "keys": "read-only management events (only where awsRegion is eu-west-1)",
		}, detect.ManagementEvents, nil},
		{"stopped", managementOnly, map[string]any{"IsLogging": false}, map[string]string{
			"any": "read-only management events and management events that write", "country": "management events that write",
			"endpoint": "network activity events", "pool": "data events of other services", "keys": "read-only management events",
			"get": S3, "objects": S3, "mixed": "read-only management events and " + S3,
		}, 0, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t)
			s.addTrail("eu-west-1", arn, tt.selectors, tt.more)
			r, err := awstrail.Inspect(context.Background(), s.cloudtrail(), nil, infos)
			require.NoError(t, err)
			got := make(map[string]string)
			for _, rule := range r.Rules {
				if rule.Name == "country" && rule.State == coverage.Unconfigured {
					require.Equal(t, "Config.Locate", rule.Missing)
					continue
				}
				if rule.State != coverage.Ready {
					got[rule.Name] = rule.Missing
				}
				require.Equal(t, rule.State == coverage.Ready, rule.Missing == "")
				// A rule that misses whole kinds, all that it needs, is blind.
				require.Equal(t, rule.State == coverage.Blind, rule.Missing != "" && seesNothing(rule), rule.Missing)
			}
			assert.Empty(t, cmp.Diff(tt.want, got))
			assert.Equal(t, tt.logs, r.Logged)
			require.Len(t, r.Trails, 1)
			want := awstrail.Trail{
				Name: "main", ARN: arn, HomeRegion: "eu-west-1", Bucket: "trail", Prefix: "logs", Logging: tt.logs != 0,
				MultiRegion: tt.more["IsMultiRegionTrail"] == nil, Validated: true, LastDelivery: start, Logs: tt.logs, Buckets: tt.buckets,
			}
			assert.Empty(t, cmp.Diff(want, r.Trails[0], cmpopts.IgnoreUnexported(awstrail.Trail{})))
		})
	}
}

// seesNothing tells whether a rule's missing text names all that it needs.
func seesNothing(rule coverage.Rule) bool {
	for _, info := range infos {
		if info.Name == rule.Name {
			var kinds []string
			for _, kind := range info.Needs.Kinds() {
				kinds = append(kinds, kind.String())
			}
			return rule.Missing == strings.Join(kinds, " and ")
		}
	}
	return false
}

// What two trails log counts together; a trail is asked once, at home.
func TestInspectTrails(t *testing.T) {
	const other = "arn:aws:cloudtrail:us-east-1:111122223333:trail/data"
	s := newServer(t)
	s.addTrail("eu-west-1", arn, managementOnly, map[string]any{"LatestDeliveryError": "AccessDenied", "IsOrganizationTrail": true})
	s.addTrail("us-east-1", other, advanced(data+","+objects), map[string]any{"LogFileValidationEnabled": false})
	s.trails["us-east-1"] = append(s.trails["us-east-1"], s.trails["eu-west-1"]...) // its shadow
	home := make(map[string]int)
	s.fault = func(call, region string, _ int, _ http.ResponseWriter, _ *http.Request) bool {
		if call == "GetTrailStatus" || call == "GetEventSelectors" {
			home[call+" "+region]++
		}
		return false
	}
	r, err := awstrail.Inspect(context.Background(), s.cloudtrail(), []string{"eu-west-1", "us-east-1"}, infos)
	require.NoError(t, err)
	require.Len(t, r.Trails, 2)
	assert.True(t, r.Trails[0].Organization)
	assert.Equal(t, detect.ManagementEvents|detect.S3DataEvents, r.Logged)
	assert.Equal(t, map[string]int{
		"GetTrailStatus eu-west-1": 1, "GetEventSelectors eu-west-1": 1, "GetTrailStatus us-east-1": 1, "GetEventSelectors us-east-1": 1,
	}, home)
	assert.Equal(t, []string{
		"No trail logs data events of other services. Rules that wait for that: 1.",
		"No trail logs network activity events. Rules that wait for that: 1.",
		"Trail main cannot deliver to trail: AccessDenied.",
		"Trail data writes no digests: nobody would notice files that were changed or deleted.",
	}, r.Advice)
}

func TestInspectFaults(t *testing.T) {
	s := newServer(t)
	s.addTrail("eu-west-1", arn, managementOnly, nil)
	s.addTrail("eu-west-1", arn+"2", managementOnly, nil)
	delete(s.selectors, arn+"2")
	r, err := awstrail.Inspect(context.Background(), s.cloudtrail(), nil, infos)
	require.ErrorContains(t, err, "awstrail: trail "+arn+"2: ")
	require.ErrorContains(t, err, "TrailNotFoundException")
	require.Len(t, r.Trails, 2)
	assert.Equal(t, detect.ManagementEvents, r.Logged)

	s.fault = func(call, region string, n int, w http.ResponseWriter, _ *http.Request) bool {
		if region == "us-east-1" {
			fail(w, http.StatusBadRequest, "ExpiredTokenException", "The security token included in the request is expired")
			return true
		}
		if n%2 == 0 {
			fail(w, http.StatusBadRequest, "ThrottlingException", "Rate exceeded")
			return true
		}
		if n%4 == 1 {
			cutOff(w, nil, []byte(`{"trailList":[],"more":"abcdefghijklmnopqrstuvwxyz"}`))
		}
		return false
	}
	s.selectors[arn+"2"] = s.selectors[arn]
	r, err = awstrail.Inspect(context.Background(), s.cloudtrail(), []string{"eu-west-1", "us-east-1"}, infos)
	require.ErrorContains(t, err, "awstrail: trails of us-east-1: ")
	require.ErrorContains(t, err, "ExpiredTokenException")
	require.Len(t, r.Trails, 2, "throttled and cut off calls are tried again")

	r, err = awstrail.Inspect(context.Background(), s.cloudtrail(), []string{"us-east-1"}, infos)
	require.ErrorContains(t, err, "ExpiredTokenException")
	assert.Nil(t, r)
}

// On a trail of management events alone, every rule about S3 objects is blind,
// and no other rule of the catalogue but those of other data and network events.
func TestManagementOnlyCatalogue(t *testing.T) {
	detectors, err := techniques.All(nil)
	require.NoError(t, err)
	set, err := detect.NewSet(detectors, nil)
	require.NoError(t, err)
	s := newServer(t)
	s.addTrail("eu-west-1", arn, managementOnly, nil)
	r, err := awstrail.Inspect(context.Background(), s.cloudtrail(), nil, set.Infos())
	require.NoError(t, err)
	states := make(map[string]coverage.State)
	for _, rule := range r.Rules {
		states[rule.Name] = rule.State
	}
	count := 0
	for _, info := range set.Infos() {
		switch {
		case info.Needs&detect.ManagementEvents == 0:
			assert.Equal(t, coverage.Blind, states[info.Name], info.Name)
			count++
		case info.Hook != "":
			assert.Equal(t, coverage.Unconfigured, states[info.Name], info.Name)
		case info.Needs&^detect.ManagementEvents == 0:
			assert.Equal(t, coverage.Ready, states[info.Name], info.Name)
		default:
			assert.Equal(t, coverage.Partly, states[info.Name], info.Name)
		}
	}
	require.Greater(t, count, 15)
	table := r.String()
	assert.Regexp(t, `T1530 +getobject-rate-over-baseline +blind +S3 data events or server access logs\n`, table)
	assert.Regexp(t, `T1580 +canonical-recon-set +ready\n`, table)
}

func TestInspectNothing(t *testing.T) {
	s := newServer(t)
	r, err := awstrail.Inspect(context.Background(), s.cloudtrail(), nil, infos[:1])
	require.NoError(t, err)
	assert.Equal(t, "no trail\n\nTECHNIQUE  RULE  STATE  MISSING\nT1078.004  any   blind  read-only management events and management events that write\n"+
		"\n- No trail logs read-only management events. Rules that wait for that: 1.\n- No trail logs management events that write. Rules that wait for that: 1.\n", r.String())
}
