package techniques

import (
	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/event"
)

// places are the features that ask Config.Locate. Where it is not set they
// remember nothing.
type places struct {
	// providers remembers whose networks a principal's successful calls come
	// from, by autonomous system.
	providers *baseline.Of[baseline.Novelty]
	// countries remembers which countries they come from.
	countries *baseline.Of[baseline.Novelty]
}

func newPlaces(c *Config) *places {
	used := func(e *event.Event) bool { return c.Locate != nil && direct(e) && e.Succeeded() }
	return &places{
		providers: baseline.FirstSeen("provider", func(e *event.Event) string {
			if !used(e) {
				return ""
			}
			return c.locate(e).ASN
		}, &baseline.FirstSeenOptions{Cap: 24}),
		countries: baseline.FirstSeen("country", func(e *event.Event) string {
			if !used(e) {
				return ""
			}
			return c.locate(e).Country
		}, &baseline.FirstSeenOptions{Cap: 16}),
	}
}
