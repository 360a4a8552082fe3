package techniques

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// TestAnonymousInAccessLogs shows the rules about anonymous requests on S3
// server access logs, which the scenario language does not speak.
func TestAnonymousInAccessLogs(t *testing.T) {
	const role = "arn:aws:sts::111122223333:assumed-role/reports/reports-7d9c"
	for _, tt := range []struct {
		name                                    string
		requester, operation, key, uri, outcome string
		want                                    []string // severity and rule
	}{
		{"object read", "-", "REST.GET.OBJECT", "q4.xlsx", "GET /q4.xlsx HTTP/1.1", "200 -", []string{"high anonymous-read"}},
		{"object asked for", "-", "REST.HEAD.OBJECT", "q4.xlsx", "HEAD /q4.xlsx HTTP/1.1", "200 -", []string{"high anonymous-read"}},
		{"object refused", "-", "REST.GET.OBJECT", "q4.xlsx", "GET /q4.xlsx HTTP/1.1", "403 AccessDenied", nil},
		{"object read with credentials", role, "REST.GET.OBJECT", "q4.xlsx", "GET /q4.xlsx HTTP/1.1", "200 -", nil},
		{"bucket listed", "-", "REST.GET.BUCKET", "-", "GET /?list-type=2 HTTP/1.1", "200 -", []string{"high anonymous-listing"}},
		{"bucket listing refused", "-", "REST.GET.BUCKET", "-", "GET /?list-type=2 HTTP/1.1", "403 AccessDenied", []string{"info anonymous-listing"}},
		{"bucket listed with credentials", role, "REST.GET.BUCKET", "-", "GET /?list-type=2 HTTP/1.1", "200 -", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			line := fmt.Sprintf(`79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be acme-finance [05/Jan/2026:09:00:00 +0000] `+
				`203.0.113.9 %s 3E57427F3EXAMPLE %s %s "%s" %s 2662 2662 70 10 "-" "curl/8.5.0" - `+
				`s9lzHYrFp76ZVxRcpX9+5cjAnEH2ROuNkd2BHfIa6UkFVdtjf5mKR3/eTPFvsiP/XV/VLi31234= - - - acme-finance.s3.amazonaws.com TLSv1.3 - -`,
				tt.requester, tt.operation, tt.key, tt.uri, tt.outcome)
			e, err := event.ParseAccessLog(line)
			require.NoError(t, err)

			var got []string
			for _, f := range findingsOf(t, &Config{}, []func(*Config) detect.Detector{anonymousRead, anonymousListing}, e) {
				assert.Equal(t, "203.0.113.9", f.SourceAddress)
				assert.Contains(t, f.Subject, "acme-finance")
				got = append(got, f.Severity.String()+" "+f.Rule)
			}
			assert.Equal(t, tt.want, got)
		})
	}
}

// findingsOf runs rules over events.
func findingsOf(t *testing.T, c *Config, rules []func(*Config) detect.Detector, events ...*event.Event) []detect.Finding {
	t.Helper()
	var detectors []detect.Detector
	for _, rule := range rules {
		detectors = append(detectors, complete(c, rule(c)))
	}
	set, err := detect.NewSet(detectors, nil)
	require.NoError(t, err)
	engine, err := detect.NewEngine(set, nil, nil)
	require.NoError(t, err)
	findings, err := engine.Process(context.Background(), events)
	require.NoError(t, err)
	return findings
}
