package techniques

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// The features that several rules share. What AWS does on a principal's behalf
// is no part of the principal's habits, so every value starts with [direct].

const (
	day = baseline.Day
	// learn is how long novelty rules learn before they speak in full: long
	// enough to have seen each weekday twice.
	learn = 14 * day
	// novelty is how long a finding about a new value stands.
	novelty = 7 * day
)

// networks remembers where a principal's successful calls come from. A build
// service may bring twenty new ones a day, and some days of them must be kept to
// see that.
var networks = baseline.FirstSeen("network", func(e *event.Event) string {
	if !direct(e) || !e.Succeeded() || byStranger(e) {
		return ""
	}
	return network(e)
}, &baseline.FirstSeenOptions{Cap: 128})

// urlNetworks remembers where the URLs that a principal signs are used from:
// by others, everywhere, while the principal itself calls from where it always
// does.
var urlNetworks = baseline.FirstSeen("network of presigned requests", func(e *event.Event) string {
	if !direct(e) || !e.Succeeded() || !presigned(e) {
		return ""
	}
	return network(e)
}, &baseline.FirstSeenOptions{Cap: 32}).On("s3:*")

// origins says how new an event's network is to its principal: for a presigned
// request, to the URLs that the principal signs. Whoever has credentials can
// sign URLs, so for a principal that never does, that excuses nothing. Rules
// that ask it use networks and urlNetworks.
func origins(p *detect.Pass) baseline.Novelty {
	n := networks.In(p)
	if !presigned(p.Event) {
		return n
	}
	u := urlNetworks.In(p)
	u.New = u.New && !n.Established(u.Value)
	return u
}

// origin is the subject of a finding about an event's network: the network, but
// for presigned requests all of them, since the users of a principal's URLs are
// one matter.
func origin(e *event.Event) string {
	if presigned(e) {
		return "presigned URLs"
	}
	return network(e)
}

// usualURL reports whether an event is the use of a URL by a principal that is
// known to sign some.
func usualURL(p *detect.Pass) bool {
	if !presigned(p.Event) {
		return false
	}
	u := urlNetworks.In(p)
	return u.Known > 0 || !steady(u)
}

// presigned reports whether a request was authorised by its URL: whoever has
// that may be someone else than the principal.
func presigned(e *event.Event) bool { return authentication.Of(e) == queryString }

// authentication is queryString for an S3 request that was authorised by its
// URL, and "" for all others.
var authentication = event.Derive(func(e *event.Event) string {
	if e.Is("s3") && strings.Contains(string(e.Additional), queryString) && e.Additional.At("AuthenticationMethod").Text() == queryString {
		return queryString
	}
	return ""
})

const queryString = "QueryString" // as records name it

// tools remembers the families of software a principal uses.
var tools = baseline.FirstSeen("tool", func(e *event.Event) string {
	if !direct(e) || byStranger(e) {
		return ""
	}
	return string(e.Tool)
}, &baseline.FirstSeenOptions{Cap: 24})

// toolName names the software that a caller claims to use, even if it claims
// none.
func toolName(e *event.Event) string { return cmp.Or(string(e.Tool), "nameless software") }

// direct reports whether a principal made a call itself, rather than an AWS
// service on its behalf.
func direct(e *event.Event) bool { return !e.ViaService() }

// byStranger reports whether an event may be a stranger's doing although it is
// logged in the principal's name, so that its place and tool tell nothing of the
// principal: the use of a URL that it signed, a step of signing in that anyone
// can make, or what nameless callers do.
func byStranger(e *event.Event) bool { return presigned(e) || unproven(e) || nameless(e) }

// nameless reports whether a call was made without credentials, and AWS does not
// say by whom, as with the guests of a Cognito pool. All such callers of an
// account share one key. So do users of IAM Identity Center in older records, which
// call their type unknown and tell of them nothing but the name: those had proved
// who they are.
func nameless(e *event.Event) bool {
	return e.Principal.Kind == event.Unknown && e.Identity.AccessKeyID == "" && e.Identity.UserName == "" &&
		!strings.Contains(e.Principal.Key, "/")
}

// unproven reports whether an event is a step of signing in that proves no
// credentials: a sign-in that failed or is not done, or the recovery of a
// password. It is logged under the name of who was to be signed in, though any
// stranger can make it who knows that name.
func unproven(e *event.Event) bool {
	if !e.Is("signin") {
		return false
	}
	switch e.Operation {
	case "ConsoleLogin":
		return !e.Succeeded()
	case "CheckMfa", "CredentialChallenge", "CredentialVerification", "PasswordRecoveryCompleted", "PasswordRecoveryRequested":
		return true
	}
	return false
}

// network returns the network that an event comes from, or "" if its source is
// no address: the first three numbers of an IPv4 address, since addresses
// within a /24 change for nothing, and the /64 prefix of an IPv6 address.
//
// A private address is a place in some VPC, and an attacker's VPC may use the
// same ones: what tells them apart is the VPC endpoint.
func network(e *event.Event) string { return networkOf.Of(e) }

var networkOf = event.Derive(func(e *event.Event) string {
	if e.VPCEndpointID != "" && e.IP.IsPrivate() {
		return e.VPCEndpointID
	}
	switch {
	case !e.IP.IsValid():
		return ""
	case e.IP.Is4():
		address := e.SourceAddress
		if strings.Contains(address, ":") { // an IPv4 address in IPv6's clothes
			address = e.IP.String()
		}
		return address[:strings.LastIndexByte(address, '.')]
	}
	return netip.PrefixFrom(e.IP, 64).Masked().String()
})

// surprise lowers the severity of a new value for a key that shows new values
// often: one more proves little. From an even chance on, it proves nothing.
func surprise(n baseline.Novelty, s detect.Severity) detect.Severity {
	switch {
	case n.Unseen >= 0.5:
		return detect.Silent
	case !steady(n):
		return s.Lowered(1)
	}
	return s
}

// steady reports whether a key shows new values seldom enough for one to be
// worth a word.
func steady(n baseline.Novelty) bool { return n.Unseen < 0.2 }

// raised returns a severity n steps higher, at most High: critical is only what
// a single event proves.
func raised(s detect.Severity, n int) detect.Severity {
	if s == detect.Silent {
		return s
	}
	return max(s, min(s+detect.Severity(n), detect.High))
}

// person lowers the severity of what someone does in the console, whose pages
// make many calls on their own. It never silences.
func person(e *event.Event, s detect.Severity) detect.Severity {
	if e.Console {
		return s.Lowered(1)
	}
	return s
}

// mature reports whether a feature has learnt enough to tell what is new, for
// rules that only weigh novelty and need no learning otherwise. It counts by
// days, as [baseline.FirstSeen] does.
func mature(a baseline.Age) bool {
	return dayOf(a.Since.Add(a.For))-dayOf(a.Since) >= int32(learn/day) && a.Days >= 3
}

// newNetwork reports whether an event's network is surprising: new to a
// principal whose networks are learnt and steady, and not the organisation's.
// Refused calls may come from a new network too, although they teach nothing: of
// a principal all of whose calls are refused no network is known, nor new.
// Where a presigned request comes from is not where the principal is.
func newNetwork(c *Config, p *detect.Pass) bool {
	v, n := network(p.Event), networks.In(p)
	return v != "" && !presigned(p.Event) && n.Known > 0 && !n.Established(v) && steady(n) && !c.knownSource(p.Event) && mature(networks.Age(p))
}

// newTool reports whether an event's tool family is surprising.
func newTool(p *detect.Pass) bool {
	n := tools.In(p)
	return n.New && steady(n) && mature(tools.Age(p))
}

// circumstances are what about a call, besides what it does, is new to its
// principal.
type circumstances struct{ network, tool bool }

// raise returns a severity one step higher for each of them.
func (c circumstances) raise(s detect.Severity) detect.Severity {
	if c.network {
		s = raised(s, 1)
	}
	if c.tool {
		s = raised(s, 1)
	}
	return s
}

// evidence returns a rule's own evidence, and behind it what is new.
func (c circumstances) evidence(p *detect.Pass, own ...detect.Evidence) []detect.Evidence {
	if c.network {
		own = append(own, networkEvidence(p))
	}
	if c.tool {
		own = append(own, toolEvidence(p))
	}
	return own
}

// placed returns a rule's own evidence, and behind it the network if that is new,
// which is why the finding weighs more then.
func placed(c *Config, p *detect.Pass, own ...detect.Evidence) []detect.Evidence {
	return circumstances{network: newNetwork(c, p)}.evidence(p, own...)
}

// unfamiliar returns how much something weighs that a principal does: more from
// a network or with a tool that is new to it, which belong in the evidence then,
// and less for people in the console. Rules that ask it use networks and tools.
func unfamiliar(c *Config, p *detect.Pass, s detect.Severity) (detect.Severity, circumstances) {
	around := circumstances{network: newNetwork(c, p), tool: newTool(p)}
	return person(p.Event, around.raise(s)), around
}

// firstTime ends a title about what is no habit of a key: only what was not seen
// on an earlier day is said to be the first of its kind.
func firstTime(n baseline.Novelty) string {
	if n.Days > 0 {
		return "again, without a habit of it"
	}
	return "for the first time"
}

// habit describes what is normal for a key, for a finding to show.
func habit(n baseline.Novelty) string {
	const most = 5
	if n.Known == 0 {
		return "none established"
	}
	s := strings.Join(n.Examples(most), ", ")
	if n.Known > most {
		s += fmt.Sprintf(" and %d more", n.Known-most)
	}
	return s
}
