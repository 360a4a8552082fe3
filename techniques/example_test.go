package techniques_test

import (
	"fmt"
	"net/netip"

	"github.com/cloudtell/cloudtell/techniques"
)

// What only the organisation knows makes rules quieter, and wakes those that
// cannot speak without it.
func ExampleAll() {
	detectors, err := techniques.All(&techniques.Config{
		Networks:         []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")},
		SensitiveBuckets: []string{"customer-*"},
		Scanners:         []techniques.Scanner{{Principal: "arn:aws:iam::111122223333:role/posture", Networks: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/28")}}},
		Thresholds:       map[string]int{"userdata-bulk": 20},
	})
	if err != nil {
		panic(err)
	}
	for _, d := range detectors {
		if i := d.Info(); i.Name == "userdata-bulk" {
			fmt.Println(i.Technique, i.Severity, i.Threshold.Value, i.Threshold.Of)
		}
	}

	_, err = techniques.All(&techniques.Config{Thresholds: map[string]int{"userdata-bulk": 0}})
	fmt.Println(err)
	// Output:
	// T1552.005 high 20 instances within 24 hours, neither launched by the principal nor read regularly
	// techniques: threshold of "userdata-bulk" is 0; from 2 to 64 is possible
}
