package techniques

import (
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
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
	// keys ties access keys to the providers they are used through, or to
	// knownNetworks, and shows the city.
	keys *baseline.Of[recentTies]
	// services counts the services that a principal calls from known places.
	services *baseline.Of[baseline.Window]
	// sensitive ties sensitive actions to the providers they are done through.
	sensitive *baseline.Of[recentTies]
	// signIns ties the countries of console sign-ins to who signs in. Several
	// people may sign in with one role, each with a session name.
	signIns *baseline.Of[recentTies]
}

// knownNetworks stands for the provider of what comes from the organisation's
// own networks.
const knownNetworks = "known networks"

// The windows of what is remembered about places.
const (
	keyWindow       = 30 * time.Minute
	sensitiveWindow = day
	signInWindow    = 65 * time.Minute
)

func newPlaces(c *Config) *places {
	// Without Locate nothing is remembered, which is seen first.
	made := func(e *event.Event) bool { return c.Locate != nil && direct(e) && attempted(e) && !byStranger(e) }
	used := func(e *event.Event) bool { return made(e) && e.Succeeded() }
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
		keys: ties("access key by provider", func(e *event.Event) tie {
			if !made(e) {
				return tie{}
			}
			at := c.locate(e)
			if at.City == "" {
				return tie{}
			}
			// The value is only compared, so it may be the event's memory.
			t := tie{group: at.ASN, value: e.Identity.AccessKeyID, label: at.City}
			if c.knownSource(e) {
				t.group = knownNetworks
			}
			return t
		}, 8, 3, keyWindow),
		services: baseline.Distinct("located service", func(e *event.Event) string {
			if !made(e) || c.locate(e).ASN == "" {
				return ""
			}
			return service(e)
		}, 4, keyWindow),
		sensitive: ties("sensitive action by provider", func(e *event.Event) tie {
			if !used(e) {
				return tie{}
			}
			action := api(e)
			return tie{group: c.locate(e).ASN, value: action, label: action}
		}, 4, 6, sensitiveWindow).On(sensitiveActions...),
		signIns: ties("sign-in country", func(e *event.Event) tie {
			if !used(e) {
				return tie{}
			}
			country := c.locate(e).Country
			return tie{group: "session " + e.Principal.Session, value: country, label: country}
		}, 8, 4, signInWindow).On("signin:ConsoleLogin"),
	}
}

// newProvider reports whether an event's provider is surprising: new to a
// principal whose providers are known and steady, and not the organisation's
// own network. It is like [newNetwork], for principals whose networks change
// within their providers and rules that wait until those are learnt.
func newProvider(c *Config, p *detect.Pass) bool {
	asn, n := c.locate(p.Event).ASN, c.places.providers.In(p)
	return asn != "" && !byStranger(p.Event) && n.Known > 0 && !n.Established(asn) && steady(n) && !c.knownSource(p.Event)
}

// providerEvidence shows an event's provider against the principal's providers.
func providerEvidence(c *Config, p *detect.Pass) detect.Evidence {
	return detect.Evidence{
		Name:     "source provider",
		Observed: p.Event.SourceAddress + " (" + c.locate(p.Event).String() + ")",
		Expected: habit(c.places.providers.In(p)),
	}
}

// String describes a location: "AS64500, Bucharest, RO, hosting".
func (l Location) String() string {
	var parts []string
	for _, s := range [...]string{l.ASN, l.City, l.Country} {
		if s != "" {
			parts = append(parts, clip(s))
		}
	}
	if l.Hosting {
		parts = append(parts, "hosting")
	}
	if parts == nil {
		return "unknown"
	}
	return strings.Join(parts, ", ")
}
