package techniques

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// from makes an event with a source address and, or "", a VPC endpoint.
func from(source, endpoint string) *event.Event {
	ip, _ := netip.ParseAddr(source)
	return &event.Event{SourceAddress: source, IP: ip.Unmap(), VPCEndpointID: endpoint}
}

func TestNetwork(t *testing.T) {
	tests := []struct{ name, source, endpoint, want string }{
		{"IPv4, its /24", "198.51.100.10", "", "198.51.100"},
		{"IPv4 in IPv6's clothes", "::ffff:198.51.100.10", "", "198.51.100"},
		{"IPv6, its /64", "2001:db8:1:2:aaaa:bbbb:cccc:dddd", "", "2001:db8:1:2::/64"},
		{"private, by endpoint", "10.0.0.5", "vpce-1", "vpce-1"},
		{"private, endpoint not logged", "10.0.0.5", "", "10.0.0"},
		{"public, whatever the endpoint", "198.51.100.10", "vpce-1", "198.51.100"},
		{"AWS itself", "AWS Internal", "", ""},
		{"a host name", "ec2.amazonaws.com", "", ""},
		{"nothing", "", "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { assert.Equal(t, test.want, network(from(test.source, test.endpoint))) })
	}
}

func TestKnownSource(t *testing.T) {
	c := &Config{
		Networks:     []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("10.0.0.0/8")},
		VPCEndpoints: []string{"vpce-1"},
	}
	tests := []struct {
		name, source, endpoint string
		want                   bool
	}{
		{"a network", "198.51.100.10", "", true},
		{"another", "203.0.113.1", "", false},
		{"an endpoint", "10.0.0.5", "vpce-1", true},
		{"another endpoint, private address", "10.0.0.5", "vpce-2", false},
		{"another endpoint, a network", "198.51.100.10", "vpce-2", true},
		{"a private address alone", "10.0.0.5", "", false},
		{"no address", "ec2.amazonaws.com", "", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := from(test.source, test.endpoint)
			assert.Equal(t, test.want, c.knownSource(e))
			assert.Equal(t, !test.want, c.unknownSource(e))
			assert.False(t, (&Config{}).knownSource(e), "nothing is configured")
			assert.False(t, (&Config{}).unknownSource(e), "nothing is configured")
		})
	}
}

func TestScannersAreNamed(t *testing.T) {
	for _, pattern := range []string{"", "*", "**"} {
		_, err := All(&Config{Scanners: []Scanner{{Principal: pattern}}})
		assert.Error(t, err, "%q", pattern)
	}
	_, err := All(&Config{Scanners: []Scanner{{Principal: "arn:aws:iam::111122223333:role/audit*"}}})
	require.NoError(t, err)
}

func TestSeverityOfNovelty(t *testing.T) {
	assert.Equal(t, detect.High, surprise(baseline.Novelty{Unseen: 0.19}, detect.High))
	assert.Equal(t, detect.Medium, surprise(baseline.Novelty{Unseen: 0.2}, detect.High))
	assert.Equal(t, detect.Silent, surprise(baseline.Novelty{Unseen: 0.5}, detect.High))

	assert.Equal(t, detect.Medium, raised(detect.Low, 1))
	assert.Equal(t, detect.High, raised(detect.Low, 3), "only one event proves critical")
	assert.Equal(t, detect.Critical, raised(detect.Critical, 1))
	assert.Equal(t, detect.Silent, raised(detect.Silent, 1))

	console := &event.Event{Console: true}
	assert.Equal(t, detect.Medium, person(console, detect.High))
	assert.Equal(t, detect.Informational, person(console, detect.Informational), "never silenced")
	assert.Equal(t, detect.High, person(&event.Event{UserAgent: "S3Console/0.4"}, detect.High), "a user agent excuses nothing")
}

func TestMature(t *testing.T) {
	age := func(since, at string, days int) baseline.Age {
		from, err := time.Parse(time.DateTime, since)
		require.NoError(t, err)
		to, err := time.Parse(time.DateTime, at)
		require.NoError(t, err)
		return baseline.Age{Since: from, For: to.Sub(from), Days: days}
	}
	assert.True(t, mature(age("2026-01-05 09:00:00", "2026-01-19 08:00:00", 3)), "on the fifteenth day, as soon as it begins")
	assert.False(t, mature(age("2026-01-05 09:00:00", "2026-01-18 23:59:59", 3)), "on the fourteenth")
	assert.False(t, mature(age("2026-01-05 09:00:00", "2026-01-19 08:00:00", 2)), "with two days of activity")
}

func TestClip(t *testing.T) {
	assert.Equal(t, "short", clip("short"))
	long := clip(string(make([]byte, 119)) + "éé")
	assert.Equal(t, string(make([]byte, 119))+"…", long, "no half characters")
}
