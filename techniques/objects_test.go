package techniques

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// A logged request is one line of an S3 server access log, of a successful read
// unless it says otherwise.
type logged struct {
	bucket, key, requester, ip, agent, auth string
	bytes                                   int
}

func (l logged) at(t *testing.T, when time.Time) *event.Event {
	t.Helper()
	with := func(s *string, otherwise string) {
		if *s == "" {
			*s = otherwise
		}
	}
	with(&l.bucket, "acme-reports")
	with(&l.requester, "arn:aws:sts::111122223333:assumed-role/reports/reports-7d9c")
	with(&l.ip, "198.51.100.7")
	with(&l.agent, "aws-sdk-go-v2/1.30.3 os/linux")
	with(&l.auth, "AuthHeader")
	e, err := event.ParseAccessLog(fmt.Sprintf(`79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be %s [%s] `+
		`%s %s 3E57427F3EXAMPLE REST.GET.OBJECT %s "GET /%[5]s HTTP/1.1" 200 - %d %[6]d 70 10 "-" "%s" - `+
		`s9lzHYrFp76ZVxRcpX9+5cjAnEH2ROuNkd2BHfIa6UkFVdtjf5mKR3/eTPFvsiP/XV/VLi31234= SigV4 TLS_AES_128_GCM_SHA256 %s %[1]s.s3.amazonaws.com TLSv1.3 - -`,
		l.bucket, when.Format("02/Jan/2006:15:04:05 -0700"), l.ip, l.requester, l.key, l.bytes, l.agent, l.auth))
	require.NoError(t, err)
	return e
}

// TestReadsInAccessLogs shows the rules about reading objects on S3 server
// access logs, which the scenario language does not speak: after 20 days of
// reading one object an hour, with 1 kB, comes what the test says.
func TestReadsInAccessLogs(t *testing.T) {
	rules := []func(*Config) detect.Detector{
		bytesOutVolume, crossAccountRead, distinctKeysBurst, firstSeenBucketReader, getObjectOutsideNetworks,
		getObjectRateOverBaseline, presignedBurst, sensitiveKeyRead, uncommonS3Client,
	}
	for _, tt := range []struct {
		name   string
		config *Config
		times  int // a second apart
		read   logged
		want   []string // severity and rule
	}{
		{"the usual", &Config{}, 1, logged{}, nil},
		{"a large object", &Config{}, 1, logged{bytes: 90_000_000}, []string{"medium bytes-out-volume"}},
		{"many objects", &Config{}, 540, logged{}, []string{"high getobject-rate-over-baseline", "medium distinct-keys-burst"}},
		{"another bucket", &Config{}, 1, logged{bucket: "acme-finance"}, []string{"info first-seen-bucket-reader"}},
		{"a private key", &Config{}, 1, logged{key: "id_rsa"}, []string{"medium sensitive-key-read"}},
		{"a transfer client", &Config{}, 1, logged{agent: "rclone/v1.66.0"}, []string{"medium uncommon-s3-client"}},
		{"another network", &Config{}, 1, logged{ip: "203.0.113.9"}, []string{"medium getobject-outside-networks"}},
		{"presigned URLs", &Config{}, 49 + 11, logged{auth: "QueryString"}, []string{"high getobject-rate-over-baseline", "medium presigned-burst"}},
		{"another account", &Config{}, 1, logged{requester: "arn:aws:sts::444455556666:assumed-role/app/s"}, []string{"low cross-account-read"}},
		{"another account, the own being known", &Config{Accounts: []string{"111122223333"}}, 1,
			logged{requester: "arn:aws:iam::444455556666:user/eve"}, []string{"medium cross-account-read"}},
		{"another canonical user", &Config{Accounts: []string{"111122223333"}}, 1,
			logged{requester: "3272ee65a908a7677109fedda345db8d9554ba26398b2ca10581de88777e2b61"}, []string{"medium cross-account-read"}},
		{"CloudFront for itself", &Config{Accounts: []string{"111122223333"}}, 1, logged{requester: "svc:cloudfront.amazonaws.com"}, nil},
		{"nobody", &Config{Accounts: []string{"111122223333"}}, 1, logged{requester: "-"}, nil},
		{"the bucket's owner", &Config{Accounts: []string{"111122223333"}}, 1,
			logged{requester: "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var events []*event.Event
			for hour := range 20 * 24 {
				l := logged{key: fmt.Sprintf("%d.csv", hour), bytes: 1000}
				events = append(events, l.at(t, dayOne.Add(time.Duration(hour)*time.Hour)))
			}
			for i := range tt.times {
				l := tt.read
				if l.key == "" {
					l.key = fmt.Sprintf("all/%d.csv", i)
				}
				events = append(events, l.at(t, dayOne.AddDate(0, 0, 21).Add(10*time.Hour+time.Duration(i)*time.Second)))
			}
			var got []string
			for _, f := range findingsOf(t, tt.config, rules, events...) {
				if f.Revision == 0 && f.Time.After(dayOne.AddDate(0, 0, 20)) {
					got = append(got, f.Severity.String()+" "+f.Rule)
				}
			}
			assert.ElementsMatch(t, tt.want, got)
		})
	}
}
