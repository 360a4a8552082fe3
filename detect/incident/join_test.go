package incident_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/incident"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/event/eventtest"
)

const day = 24 * time.Hour

// The cases of what two findings must share to be joined, each with what must
// not join them. All findings are "a", "b" and so on, at the hour given.
func TestJoins(t *testing.T) {
	const nat, odd = "203.0.113.1", "203.0.113.99"
	one := func(id, principal string, hours float64, change ...func(*detect.Finding)) detect.Finding {
		f := found(id, "T1580", detect.Low, principal, at(hours))
		for _, c := range change {
			c(&f)
		}
		return f
	}
	key := func(k string) func(*detect.Finding) { return func(f *detect.Finding) { f.AccessKeyID = k } }
	from := func(a string) func(*detect.Finding) { return func(f *detect.Finding) { f.SourceAddress = a } }
	aboutSource := func(f *detect.Finding) { f.AboutSource = true }
	lasting := func(hours float64) func(*detect.Finding) {
		return func(f *detect.Finding) { f.Last = f.First.Add(time.Duration(hours * float64(time.Hour))) }
	}
	alice, bob, carol := user("alice"), user("bob"), user("carol")
	const A, B = "AKIAEXAMPLEA", "AKIAEXAMPLEB"

	tests := []struct {
		name string
		fs   []detect.Finding
		want string
	}{
		{"one principal", []detect.Finding{one("a", alice, 0), one("b", alice, 1)}, "a b"},
		{"nothing shared", []detect.Finding{one("a", alice, 0), one("b", bob, 1)}, "b, a"},
		{"one principal, the gap apart", []detect.Finding{one("a", alice, 0), one("b", alice, 24)}, "a b"},
		{"one principal, more than the gap apart", []detect.Finding{one("a", alice, 0), one("b", alice, 24.001)}, "b, a"},
		{"a finding in between bridges the gap", []detect.Finding{one("a", alice, 0), one("b", alice, 20), one("c", alice, 40)}, "a b c"},
		{"a long finding bridges the gap", []detect.Finding{one("a", alice, 0, lasting(40)), one("b", alice, 1), one("c", alice, 60)}, "a b c"},
		{"an access key, under two principals", []detect.Finding{one("a", alice, 0, key(A)), one("b", "unknown:111122223333", 1, key(A))}, "a b"},
		{"two access keys", []detect.Finding{one("a", alice, 0, key(A)), one("b", bob, 1, key(B))}, "b, a"},
		{"a hidden access key", []detect.Finding{one("a", alice, 0, key("HIDDEN_DUE_TO_SECURITY_REASONS")), one("b", bob, 1, key("HIDDEN_DUE_TO_SECURITY_REASONS"))}, "b, a"},
		{"the unknown principal", []detect.Finding{one("a", "unknown:111122223333", 0), one("b", "unknown:111122223333", 1)}, "b, a"},
		{"an AWS service", []detect.Finding{one("a", "service:ec2.amazonaws.com", 0), one("b", "service:ec2.amazonaws.com", 1)}, "b, a"},
		{"no principal", []detect.Finding{one("a", "", 0), one("b", "", 1)}, "b, a"},

		{"the address of a NAT gateway", []detect.Finding{one("a", alice, 0, from(nat)), one("b", bob, 1, from(nat))}, "b, a"},
		{"an address that the later finding is about", []detect.Finding{one("a", alice, 0, from(odd)), one("b", bob, 1, from(odd), aboutSource)}, "a b"},
		{"an address that the earlier finding is about", []detect.Finding{one("a", alice, 0, from(odd), aboutSource), one("b", bob, 1, from(odd))}, "a b"},
		{"an address that a finding is about, and another", []detect.Finding{one("a", alice, 0, from(odd), aboutSource), one("b", bob, 1, from(nat))}, "b, a"},
		{"an address that a finding is about, more than the gap before", []detect.Finding{one("a", alice, 0, from(odd), aboutSource), one("b", bob, 25, from(odd))}, "b, a"},
		{"an address that a finding is about joins what came from there", []detect.Finding{
			one("a", alice, 0, from(odd)), one("b", bob, 20, from(odd), aboutSource), one("c", carol, 40, from(odd))}, "a b c"},
		{"findings not about the address do not bridge the gap to one that is", []detect.Finding{
			one("a", alice, 0, from(odd), aboutSource), one("b", bob, 20, from(odd)), one("c", carol, 40, from(odd))}, "a b, c"},
		{"a long finding is joined to a later one about its address", []detect.Finding{
			one("a", alice, 0, from(odd), lasting(60)), one("b", bob, 1, from(odd), aboutSource), one("c", carol, 70, from(odd), aboutSource)}, "a b c"},
		{"of several that are joined to one about their address, the longest reaches furthest", []detect.Finding{
			one("a", alice, 0, from(odd)), one("b", bob, 0.5, from(odd), lasting(60)), one("c", carol, 1, from(odd), aboutSource), one("d", user("dave"), 70, from(odd), aboutSource)}, "a b c d"},
		{"a private address that a finding is about", []detect.Finding{one("a", alice, 0, from("10.0.0.1"), aboutSource), one("b", bob, 1, from("10.0.0.1"))}, "b, a"},
		{"a service as the source", []detect.Finding{one("a", alice, 0, from("AWS Internal"), aboutSource), one("b", bob, 1, from("AWS Internal"))}, "b, a"},
		{"an address written in two ways", []detect.Finding{one("a", alice, 0, from("2001:db8::1"), aboutSource), one("b", bob, 1, from("2001:0db8:0::1"))}, "a b"},

		{"anonymous requests from one address", []detect.Finding{one("a", "anonymous", 0, from(nat)), one("b", "anonymous", 1, from(nat))}, "a b"},
		{"anonymous requests from two addresses", []detect.Finding{one("a", "anonymous", 0, from(nat)), one("b", "anonymous", 1, from(odd))}, "b, a"},
		{"anonymous requests from one address, more than the gap apart", []detect.Finding{one("a", "anonymous", 0, from(nat)), one("b", "anonymous", 25, from(nat))}, "b, a"},
		{"an anonymous request and another call from one address", []detect.Finding{one("a", "anonymous", 0, from(nat)), one("b", alice, 1, from(nat))}, "b, a"},
		{"an anonymous request from an address that a finding is about", []detect.Finding{one("a", "anonymous", 0, from(odd)), one("b", alice, 1, from(odd), aboutSource)}, "a b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want, groups(joined(t, tt.fs...)))
		})
	}
}

func TestSharedNetworks(t *testing.T) {
	fs := []detect.Finding{
		with(found("a", "T1580", detect.Low, user("alice"), at(0)), func(f *detect.Finding) { f.SourceAddress, f.AboutSource = "203.0.113.99", true }),
		with(found("b", "T1580", detect.Low, user("bob"), at(1)), func(f *detect.Finding) { f.SourceAddress = "203.0.113.99" }),
	}
	for _, tt := range []struct {
		name, network, want string
	}{
		{"a shared network", "203.0.113.0/24", "b, a"},
		{"one beside it", "203.0.112.0/24", "a b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j := joiner(t, &incident.Options{SharedNetworks: []netip.Prefix{netip.MustParsePrefix(tt.network)}})
			for _, f := range fs {
				j.Add(f)
			}
			assert.Equal(t, tt.want, groups(j.Incidents()))
		})
	}
}

// What is found about a session is joined to what is found about those who
// obtained its credentials.
func TestRoleChains(t *testing.T) {
	const key2, key3 = "ASIAEXAMPLESECOND", "ASIAEXAMPLETHIRD"
	alice := eventtest.User(account, "alice")
	aliceKey := alice["accessKeyId"].(string)
	session := eventtest.Role(account, "hop", "s").With("accessKeyId", key2)
	by := func(id, principal, key string, hours float64) detect.Finding {
		return with(found(id, "T1580", detect.Low, principal, at(hours)), func(f *detect.Finding) { f.AccessKeyID = key })
	}
	noKey := func(id, session string, hours float64) detect.Finding {
		return with(found(id, "T1530", detect.Low, role("deploy"), at(hours)), func(f *detect.Finding) { f.Session = session })
	}
	service := eventtest.Identity{"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}

	tests := []struct {
		name   string
		events []*event.Event
		fs     []detect.Finding
		want   string
	}{
		{"the principal and its session",
			[]*event.Event{assume(t, alice, at(1), "deploy", "s", key2)},
			[]detect.Finding{by("a", user("alice"), "", 0), by("b", role("deploy"), key2, 2)}, "a b"},
		{"the key and its session, under an unknown principal",
			[]*event.Event{assume(t, alice, at(1), "deploy", "s", key2)},
			[]detect.Finding{by("a", "unknown:1", aliceKey, 0), by("b", role("deploy"), key2, 2)}, "a b"},
		{"two sessions that one principal obtained",
			[]*event.Event{assume(t, alice, at(1), "deploy", "s", key2), assume(t, alice, at(1), "audit", "s", key3)},
			[]detect.Finding{by("a", role("audit"), key3, 2), by("b", role("deploy"), key2, 2)}, "a b"},
		{"nothing known of the chain", nil,
			[]detect.Finding{by("a", user("alice"), aliceKey, 0), by("b", role("deploy"), key2, 2)}, "b, a"},
		{"another session of the role",
			[]*event.Event{assume(t, alice, at(1), "deploy", "s", key2)},
			[]detect.Finding{by("a", user("alice"), "", 0), by("b", role("deploy"), key3, 2)}, "b, a"},
		{"the key was obtained the gap before",
			[]*event.Event{assume(t, alice, at(1), "deploy", "s", key2)},
			[]detect.Finding{by("a", user("alice"), "", 2), by("b", role("deploy"), key2, 25)}, "a b"},
		{"the key was obtained more than the gap before",
			[]*event.Event{assume(t, alice, at(1), "deploy", "s", key2)},
			[]detect.Finding{by("a", user("alice"), "", 2), by("b", role("deploy"), key2, 25.001)}, "b, a"},
		{"the key was obtained more than the gap after",
			[]*event.Event{assume(t, alice, at(25), "deploy", "s", key2)},
			[]detect.Finding{by("a", user("alice"), "", 2), by("b", role("deploy"), key2, 0)}, "a, b"},
		{"the findings are more than the gap apart",
			[]*event.Event{assume(t, alice, at(20), "deploy", "s", key2)},
			[]detect.Finding{by("a", user("alice"), "", 0), by("b", role("deploy"), key2, 25)}, "b, a"},
		{"a chain of two",
			[]*event.Event{assume(t, alice, at(1), "hop", "s", key2), assume(t, session, at(2), "deploy", "s", key3)},
			[]detect.Finding{by("a", user("alice"), "", 0), by("b", role("deploy"), key3, 3)}, "a b"},
		{"a chain that lasted longer than the gap",
			[]*event.Event{assume(t, alice, at(1), "hop", "s", key2), assume(t, session, at(26), "deploy", "s", key3)},
			[]detect.Finding{by("a", user("alice"), "", 4), by("b", role("deploy"), key3, 27)}, "b, a"},
		{"a chain whose beginning is more than the gap before the finding, but not before its next link",
			[]*event.Event{assume(t, alice, at(-10), "hop", "s", key2), assume(t, session, at(2), "deploy", "s", key3)},
			[]detect.Finding{by("a", user("alice"), "", 10), by("b", role("deploy"), key3, 20)}, "a b"},
		{"a chain that bites its tail",
			[]*event.Event{assume(t, session, at(1), "hop", "s", key2), assume(t, alice, at(1), "hop", "s", key2)},
			[]detect.Finding{by("a", user("alice"), "", 0), by("b", role("deploy"), key2, 2)}, "a b"},

		{"an access log, which has no keys: the session's name",
			[]*event.Event{assume(t, alice, at(1), "deploy", "s", key2)},
			[]detect.Finding{by("a", user("alice"), "", 0), noKey("b", "s", 2)}, "a b"},
		{"an access log: another session's name",
			[]*event.Event{assume(t, alice, at(1), "deploy", "s", key2)},
			[]detect.Finding{by("a", user("alice"), "", 0), noKey("b", "t", 2)}, "b, a"},

		{"a call that was refused",
			[]*event.Event{eventtest.Record{Call: "sts:AssumeRole", By: alice, At: at(1), Error: "AccessDenied", Response: assumed("deploy", "s", key2)}.Event(t)},
			[]detect.Finding{by("a", user("alice"), "", 0), by("b", role("deploy"), key2, 2)}, "b, a"},
		{"AWS obtained the key on behalf of the principal",
			[]*event.Event{assume(t, alice.With("invokedBy", "cloudformation.amazonaws.com"), at(1), "deploy", "s", key2)},
			[]detect.Finding{by("a", user("alice"), "", 0), by("b", role("deploy"), key2, 2)}, "b, a"},
		{"an AWS service obtained both keys",
			[]*event.Event{assume(t, service, at(1), "deploy", "s", key2), assume(t, service, at(1), "audit", "s", key3)},
			[]detect.Finding{by("a", role("audit"), key3, 2), by("b", role("deploy"), key2, 2)}, "b, a"},
		{"another service's call that looks like it",
			[]*event.Event{eventtest.Record{Call: "ec2:AssumeRole", By: alice, At: at(1), Response: assumed("deploy", "s", key2)}.Event(t)},
			[]detect.Finding{by("a", user("alice"), "", 0), by("b", role("deploy"), key2, 2)}, "b, a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			j := joiner(t, nil)
			for _, e := range tt.events {
				j.Observe(e)
			}
			for _, f := range tt.fs {
				j.Add(f)
			}
			assert.Equal(t, tt.want, groups(j.Incidents()))
		})
	}
}

func TestCallsThatObtainKeys(t *testing.T) {
	alice := eventtest.User(account, "alice")
	for _, call := range []string{"AssumeRole", "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity", "AssumeRoot", "GetSessionToken", "GetFederationToken"} {
		j := joiner(t, nil)
		j.Observe(eventtest.Record{Call: "sts:" + call, By: alice, At: at(0), Response: assumed("deploy", "s", "ASIAEXAMPLE")}.Event(t))
		j.Add(with(found("a", "T1580", detect.Low, "unknown:1", at(1)), func(f *detect.Finding) { f.AccessKeyID = "ASIAEXAMPLE" }))
		in := j.Incidents()
		require.Len(t, in, 1, call)
		assert.Equal(t, []string{user("alice")}, in[0].Timeline[0].Chain, call)
		assert.Equal(t, []string{user("alice")}, in[0].Issuers, call)
	}
}

// Who makes an access key for another user goes on as that user.
func TestKeysMadeForOthers(t *testing.T) {
	made := map[string]any{"accessKey": map[string]any{"accessKeyId": "AKIAEXAMPLEBOB", "userName": "bob", "status": "Active"}}
	create := eventtest.Record{Call: "iam:CreateAccessKey", By: eventtest.User(account, "alice"), At: at(0), Request: map[string]any{"userName": "bob"}, Response: made}
	denied := create
	denied.Error, denied.Response = "AccessDenied", nil
	for _, tt := range []struct {
		call eventtest.Record
		want string
	}{{create, "a b"}, {denied, "b, a"}} {
		j := joiner(t, nil)
		j.Observe(tt.call.Event(t))
		j.Add(found("a", "T1078", detect.Low, user("alice"), at(0)))
		j.Add(with(found("b", "T1580", detect.Low, user("bob"), at(1)), func(f *detect.Finding) { f.AccessKeyID = "AKIAEXAMPLEBOB" }))
		assert.Equal(t, tt.want, groups(j.Incidents()))
	}
}

// Events that obtain no key cost nothing.
func TestObserveIsFree(t *testing.T) {
	j := joiner(t, nil)
	get := eventtest.Record{Call: "s3:GetObject", Request: map[string]any{"bucketName": "b", "key": "k"}}.Event(t)
	who := eventtest.Record{Call: "sts:GetCallerIdentity"}.Event(t)
	assert.Zero(t, testing.AllocsPerRun(100, func() { j.Observe(get); j.Observe(who) }))
}

func TestRevisions(t *testing.T) {
	first := found("a", "T1580", detect.Low, user("alice"), at(0))
	second := with(first, func(f *detect.Finding) { f.Revision, f.Severity, f.Raised, f.Last = 1, detect.Medium, true, at(2) })
	third := with(first, func(f *detect.Finding) { f.Revision, f.Severity, f.Last = 7, detect.Medium, at(3) })
	want := joined(t, third)
	for _, fs := range [][]detect.Finding{
		{first, second, third}, {third, second, first}, {second, third, second}, {third, third},
	} {
		assert.Equal(t, want, joined(t, fs...))
	}
	assert.Equal(t, 7, want[0].Timeline[0].Revision)
	shorter := with(third, func(f *detect.Finding) { f.Revision, f.Last = 8, at(1) })
	assert.Equal(t, joined(t, shorter), joined(t, third, shorter), "the number says what is later")
	assert.Equal(t, joined(t, shorter), joined(t, shorter, third))
	assert.Equal(t, at(3), want[0].Last)
}

func TestLeftOut(t *testing.T) {
	f := found("a", "T1580", detect.Low, user("alice"), at(0))
	assert.Empty(t, joined(t,
		with(f, func(f *detect.Finding) { f.Suppressed = "the auditor" }),
		with(f, func(f *detect.Finding) { f.Severity = detect.Silent }),
		with(f, func(f *detect.Finding) { f.ID = "" }),
	))
	assert.Len(t, joined(t, f), 1)
}

func TestOptions(t *testing.T) {
	for _, o := range []*incident.Options{{Gap: -1}, {MaxFindings: -1}, {MaxLinks: -1}, {SharedNetworks: []netip.Prefix{{}}}} {
		j, err := incident.NewJoiner(o)
		require.Error(t, err)
		assert.Nil(t, j)
	}
	j := joiner(t, &incident.Options{Gap: time.Hour})
	j.Add(found("a", "T1580", detect.Low, user("alice"), at(0)))
	j.Add(found("b", "T1580", detect.Low, user("alice"), at(1)))
	j.Add(found("c", "T1580", detect.Low, user("alice"), at(2.001)))
	assert.Equal(t, "a b, c", groups(j.Incidents()))
}

// An incident that grows keeps its ID, and knows the incidents that it has
// swallowed.
func TestID(t *testing.T) {
	a, b := found("a", "T1580", detect.Low, user("alice"), at(0)), found("b", "T1580", detect.Low, user("bob"), at(1))
	bridge := with(found("c", "T1078", detect.Low, user("alice"), at(2)), func(f *detect.Finding) { f.AboutSource, f.SourceAddress = true, "203.0.113.9" })
	b.SourceAddress = "203.0.113.9"

	before := joined(t, a, b)
	require.Equal(t, "b, a", groups(before))
	after := joined(t, a, b, bridge)
	require.Equal(t, "a b c", groups(after))
	assert.Equal(t, before[1].ID, after[0].ID, "the older ID stands")
	assert.NotEqual(t, before[0].ID, before[1].ID)
	assert.Regexp(t, `^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`, after[0].ID)
	assert.True(t, after[0].Replaces(before[0].ID))
	assert.True(t, after[0].Replaces(before[1].ID))
	assert.False(t, before[1].Replaces(before[0].ID))
	assert.False(t, after[0].Replaces("a"))
}

// What is remembered stands alone: neither events nor findings are kept.
func TestKeepsNoMemory(t *testing.T) {
	heap := func() int {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	template := assume(t, eventtest.User(account, "alice"), at(0), "deploy", "s", "ASIAEXAMPLE")
	j := joiner(t, nil)
	before := heap()
	for i := range 100 {
		e := *template
		text := fmt.Sprintf(`{"credentials":{"accessKeyId":"ASIA%d"},"more":"%s"}`, i, strings.Repeat("x", 1<<18))
		e.Response, e.Identity.AccessKeyID, e.Principal.Key = event.Raw(text), text[30:40], text[20:35]
		j.Observe(&e)
		f := found(text[30:40], "T1580", detect.Low, text[20:35], at(0))
		f.ID, f.Title, f.Session = fmt.Sprint(i), text[:100], text[:50]
		j.Add(f)
	}
	assert.Less(t, heap()-before, 5<<20)
	runtime.KeepAlive(j)
}
