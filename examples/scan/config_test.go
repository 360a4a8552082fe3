package main

import (
	"bytes"
	"flag"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/techniques"
)

// file writes a file for a test and returns its name.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestOptions(t *testing.T) {
	config := file(t, "config.json", `{"networks":["203.0.113.0/24"],"accounts":["111122223333"],
		"scanners":[{"principal":"arn:aws:iam::111122223333:role/one"}]}`)
	o, err := parseOptions([]string{
		"-config", config, "-networks", "198.51.100.7, 2001:db8::/32", "-networks=192.0.2.9/24",
		"-accounts", "444455556666", "-vpc-endpoints", "vpce-1,vpce-2", "-sensitive-buckets", "customer-*",
		"-public-buckets", "www", "-sensitive-prefixes", "a b/", "-sensitive-names", "pin",
		"-scanners", "arn:aws:iam::111122223333:role/a,b=c@d 198.51.100.0/24 192.0.2.1", "-scanners", "x",
		"-rules", "userdata-bulk", "-warm", "h1", "-warm", "h2", "-baseline", "b", "-format", "json",
		"-min-severity", "medium", "-fail-on", "high", "-shards", "3", "-memory", "2", "-quiet", "p1", "-",
	}, nil)
	require.NoError(t, err)
	prefixes := func(list ...string) (all []netip.Prefix) {
		for _, s := range list {
			all = append(all, netip.MustParsePrefix(s))
		}
		return all
	}
	assert.Equal(t, techniques.Config{
		Networks:          prefixes("203.0.113.0/24", "198.51.100.7/32", "2001:db8::/32", "192.0.2.0/24"),
		VPCEndpoints:      []string{"vpce-1", "vpce-2"},
		Accounts:          []string{"111122223333", "444455556666"},
		SensitiveBuckets:  []string{"customer-*"},
		PublicBuckets:     []string{"www"},
		SensitivePrefixes: []string{"a b/"},
		SensitiveNames:    []string{"pin"},
		Scanners: []techniques.Scanner{
			{Principal: "arn:aws:iam::111122223333:role/one"},
			{Principal: "arn:aws:iam::111122223333:role/a,b=c@d", Networks: prefixes("198.51.100.0/24", "192.0.2.1/32")},
			{Principal: "x"},
		},
	}, o.config)
	o.config = techniques.Config{}
	assert.Equal(t, &options{
		paths: []string{"p1", "-"}, warm: []string{"h1", "h2"}, rules: []string{"userdata-bulk"}, baseline: "b", format: "json",
		minSeverity: detect.Medium, failOn: detect.High, shards: 3, memory: 2 << 20, lag: 15 * time.Minute, quiet: true,
	}, o)

	o, err = parseOptions([]string{"p"}, nil)
	require.NoError(t, err)
	assert.Equal(t, &options{paths: []string{"p"}, format: "text", minSeverity: detect.Informational, memory: 256 << 20, lag: 15 * time.Minute}, o)
}

func TestOptionsRefused(t *testing.T) {
	tests := []struct {
		name, message string
		args          []string
	}{
		{"no path", "nothing to scan", nil},
		{"empty path", "a path is empty", []string{""}},
		{"unknown flag", "-frobnicate", []string{"-frobnicate", "p"}},
		{"flag after a path", "flags come before paths", []string{"p", "-quiet"}},
		{"standard input twice", "only once", []string{"-warm", "-", "-"}},
		{"format", "-format xml", []string{"-format", "xml", "p"}},
		{"severity", "urgent", []string{"-fail-on", "urgent", "p"}},
		{"silent", "silent", []string{"-min-severity", "silent", "p"}},
		{"no memory", "-memory 0", []string{"-memory", "0", "p"}},
		{"too much memory", "-memory 9223372036854775807", []string{"-memory", "9223372036854775807", "p"}},
		{"shards", "-shards", []string{"-shards", "-1", "p"}},
		{"lag", "-lag", []string{"-lag", "-1m", "p"}},
		{"network", "203.0.113.0/33", []string{"-networks", "203.0.113.0/33", "p"}},
		{"network with a zone", "fe80::1%eth0", []string{"-networks", "fe80::1%eth0", "p"}},
		{"mapped network", "::ffff:192.0.2.0/120", []string{"-networks", "::ffff:192.0.2.0/120", "p"}},
		{"scanner", "no principal", []string{"-scanners", " ", "p"}},
		{"scanner network", "nowhere", []string{"-scanners", "role nowhere", "p"}},
		{"config absent", "absent.json", []string{"-config", "absent.json", "p"}},
		{"config misspelt", "netwroks", []string{"-config", file(t, "c", `{"netwroks":[]}`), "p"}},
		{"config and more", "text follows", []string{"-config", file(t, "c", `{} {}`), "p"}},
		{"suppressions misspelt", "until", []string{"-suppressions", file(t, "s", `[{"until":"2027-01-01T00:00:00Z"}]`), "p"}},
		{"address", "bad:2: \"nowhere\"", []string{"-bad-addresses", file(t, "bad", "192.0.2.1 tor\nnowhere tor"), "p"}},
		{"address without reason", "bad:1: no reason", []string{"-bad-addresses", file(t, "bad", "192.0.2.1"), "p"}},
		{"addresses absent", "absent.txt", []string{"-bad-addresses", "absent.txt", "p"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := parseOptions(test.args, nil)
			require.Error(t, err)
			assert.Contains(t, err.Error(), test.message)
		})
	}
}

func TestHelp(t *testing.T) {
	var out bytes.Buffer
	_, err := parseOptions([]string{"-h"}, &out)
	require.ErrorIs(t, err, flag.ErrHelp)
	assert.Contains(t, out.String(), "Usage: scan")
	assert.Contains(t, out.String(), "-fail-on severity")
}

// TestConfigIsComplete pins that every field of a config has a flag, and that
// the file's value of every field reaches the rules. A new field of
// [techniques.Config] makes it fail until it is in both places.
func TestConfigIsComplete(t *testing.T) {
	var help bytes.Buffer
	_, err := parseOptions([]string{"-h"}, &help)
	require.ErrorIs(t, err, flag.ErrHelp)
	fields := reflect.TypeFor[techniques.Config]()
	for i := range fields.NumField() {
		field := fields.Field(i)
		if !field.IsExported() {
			continue
		}
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "-" {
			continue // no JSON can hold it
		}
		assert.Contains(t, help.String(), "  -"+strings.ReplaceAll(name, "_", "-")+" ", "no flag for %s", field.Name)

		value := `["192.0.2.0/24"]`
		switch kind := field.Type.Kind(); {
		case kind == reflect.Map:
			value = `{"userdata-bulk":12}`
		case kind != reflect.Slice:
			t.Fatalf("the test knows lists and maps only, and %s is neither", field.Name)
		case field.Type.Elem().Kind() == reflect.Struct && field.Type.Elem() != reflect.TypeFor[netip.Prefix]():
			value = `[{}]`
		}
		var c techniques.Config
		require.NoError(t, readConfig(file(t, "config.json", `{"`+name+`":`+value+`}`), &c))
		assert.Equal(t, 1, reflect.ValueOf(c).Field(i).Len(), "the file's %s is lost", field.Name)
	}
}

func TestReputation(t *testing.T) {
	reputation, err := readReputation(file(t, "bad.txt", strings.Join([]string{
		"# a comment", "", "198.51.100.66 seen in an intrusion", "198.51.100.0/24\ttor exit",
		"  2001:db8:bad::/48   botnet ", "0.0.0.0/1 low half",
	}, "\n")))
	require.NoError(t, err)
	tests := []struct{ address, reason string }{
		{"198.51.100.66", "seen in an intrusion"},
		{"::ffff:198.51.100.66", "seen in an intrusion"},
		{"198.51.100.67", "tor exit"},
		{"2001:db8:bad:1::1", "botnet"},
		{"2001:db8:bae::1", ""},
		{"203.0.113.1", ""},
		{"10.0.0.1", "low half"},
		{"::1", ""}, // 0.0.0.0/1 is about IPv4
	}
	for _, test := range tests {
		assert.Equal(t, test.reason, reputation(netip.MustParseAddr(test.address)), test.address)
	}
	assert.Empty(t, reputation(netip.Addr{}))
}

func TestLocations(t *testing.T) {
	locate, err := readLocations(file(t, "geo.csv", strings.Join([]string{
		"# range,asn,country,city,hosting", "203.0.113.0/24, AS64500, RO, Bucharest, hosting", "203.0.113.128/25,AS64501,DE", "2001:db8::/32,AS64502",
	}, "\n")))
	require.NoError(t, err)
	for address, want := range map[string]techniques.Location{
		"203.0.113.9":   {ASN: "AS64500", Country: "RO", City: "Bucharest", Hosting: true},
		"203.0.113.200": {ASN: "AS64501", Country: "DE"},
		"2001:db8::1":   {ASN: "AS64502"},
		"198.51.100.1":  {},
	} {
		assert.Equal(t, want, locate(netip.MustParseAddr(address)), address)
	}
	for _, line := range []string{"203.0.113.0/24,AS1,RO,Bucharest,datacenter", "somewhere,AS1", "1.2.3.4,a,b,c,,d"} {
		_, err := readLocations(file(t, "geo.csv", "# \n"+line))
		assert.ErrorContains(t, err, "geo.csv:2: ", line)
	}
}

func TestThresholds(t *testing.T) {
	name := file(t, "config.json", `{"thresholds":{"userdata-bulk":12,"ssm-bulk":30}}`)
	o, err := parseOptions([]string{"-config", name, "-thresholds", "userdata-bulk=20", "logs"}, io.Discard)
	require.NoError(t, err)
	assert.Equal(t, map[string]int{"userdata-bulk": 20, "ssm-bulk": 30}, o.config.Thresholds, "flags override the file")
	for _, bad := range []string{"userdata-bulk", "userdata-bulk=many", "=3"} {
		_, err := parseOptions([]string{"-thresholds", bad, "logs"}, io.Discard)
		assert.ErrorContains(t, err, "rule=number", bad)
	}
	for thresholds, want := range map[string]string{
		"userdata-bulk=1": "from 2 to 64", "userdata-bluk=3": "no rule", "aws-quarantined-key=3": "no rule",
	} {
		o, err := parseOptions([]string{"-thresholds", thresholds, "logs"}, io.Discard)
		require.NoError(t, err)
		_, err = o.newSet()
		assert.ErrorContains(t, err, want)
	}
}

func TestRules(t *testing.T) {
	all, err := techniques.All(nil)
	require.NoError(t, err)
	chosen, err := choose(all, []string{"userdata-bulk"})
	require.NoError(t, err)
	require.Len(t, chosen, len(all), "rules not chosen go on learning")
	for i := range all {
		assert.Equal(t, all[i].Info().Name, chosen[i].Info().Name)
	}
	_, err = choose(all, []string{"userdata-bluk"})
	assert.ErrorContains(t, err, `no rule "userdata-bluk"`)
}

func TestSuppressionsChecked(t *testing.T) {
	tests := []struct{ rule, message string }{
		{"userdata-bulk", ""}, {"userdata-*", ""}, {"", ""}, {"userdata-bluk", `no rule "userdata-bluk"`}, {"nothing-*", "no rule"},
	}
	for _, test := range tests {
		o := &options{suppressions: []detect.Suppression{{Rule: test.rule, Reason: "known", Expires: noon}}}
		_, err := o.newSet()
		if test.message == "" {
			assert.NoError(t, err, test.rule)
		} else {
			assert.ErrorContains(t, err, test.message, test.rule)
		}
	}
	_, err := (&options{suppressions: []detect.Suppression{{Rule: "userdata-bulk"}}}).newSet()
	assert.Error(t, err, "without reason and end")
}
