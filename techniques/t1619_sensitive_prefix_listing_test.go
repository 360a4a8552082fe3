package techniques

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSensitivePrefix(t *testing.T) {
	c := &Config{SensitivePrefixes: []string{"zeus/", "", "Plans/2027"}}
	for _, tt := range []struct{ prefix, want string }{
		{"", ""},
		{"/", ""},
		{"backups/", "backups"},
		{"backup", "backup"},
		{"Backups/2026/", "backups"},
		{"prod/db/2026/", "db"},
		{"prod/mysql-dumps_2026.tar", "dumps"},
		{"year=2026/finance", "finance"},
		{"backup2026/", "backup"},
		{"a/very/deep/path/under/which/secrets/lie", "secrets"},
		{"catalog/", ""},    // log
		{"monkeys/", ""},    // key
		{"blogs/", ""},      // logs
		{"chrome/hrk/", ""}, // hr
		{"exporter/", ""},
		{"s/", ""},
		{"zeus/a", "zeus/"},
		{"eu/zeus/a", "zeus/"},
		{"dezeus/a", ""},
		{"zeus", ""},
		{"Plans/2027-q1", "Plans/2027"},
		{"plans/2027", ""}, // keys have a case
		{"büro/hr/", "hr"},
		{"\xff\xfe/reports/", "reports"},
		{strings.Repeat("x/", 511) + "hr", "hr"},
		{strings.Repeat("x/", 600) + "hr", ""}, // no key is that long
	} {
		assert.Equal(t, tt.want, c.sensitivePrefix(tt.prefix), "prefix %q", tt.prefix)
	}
}
