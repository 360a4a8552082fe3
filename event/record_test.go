package event

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cloudtell/cloudtell/event/internal/jsonscan"
)

// plainIdentity reads a userIdentity member by member, without the decoder.
func plainIdentity(r Raw) (id Identity) {
	issuer, federation := r.At("sessionContext", "sessionIssuer"), r.At("sessionContext", "webIdFederationData")
	for n, text := range [identityStrings]Raw{
		r.At("type"), r.At("principalId"), r.At("arn"), r.At("accountId"), r.At("accessKeyId"), r.At("userName"), r.At("invokedBy"),
		r.At("identityProvider"), issuer.At("type"), issuer.At("arn"), issuer.At("principalId"), issuer.At("accountId"),
		issuer.At("userName"), r.At("sessionContext", "sourceIdentity"), r.At("sessionContext", "ec2RoleDelivery"),
		federation.At("federatedProvider"), r.At("onBehalfOf", "userId"), r.At("onBehalfOf", "identityStoreArn"),
	} {
		*id.strings()[n] = text.Text()
	}
	id.MFAAuthenticated = r.At("sessionContext", "attributes", "mfaAuthenticated").IsTrue()
	return id
}

// repeats reports whether an object inside a value has a name twice. The
// decoder then adds up what encoding/json's structs add up, and At takes the last.
func repeats(r Raw) bool {
	seen := map[string]bool{}
	for name, v := range r.Members() {
		if seen[name] || repeats(v) {
			return true
		}
		seen[name] = true
	}
	return false
}

// FuzzRecord holds the decoder to encoding/json: it takes the same texts, and
// finds the same in them, whatever it remembers of earlier ones.
func FuzzRecord(f *testing.F) {
	const rest = `"eventTime":"2026-01-05T09:00:00Z","eventSource":"s3.amazonaws.com","eventName":"GetObject","awsRegion":"eu-west-1"`
	for _, s := range []string{
		`{"eventVersion":"1.11","userIdentity":{"type":"AssumedRole","principalId":"AROAX:s","arn":"arn:aws:sts::111122223333:assumed-role/r/s","accountId":"111122223333","sessionContext":{"sessionIssuer":{"type":"Role","arn":"arn:aws:iam::111122223333:role/r"},"attributes":{"mfaAuthenticated":"true","creationDate":"2026-01-05T08:00:00Z"}}},` + rest + `,"userAgent":"[aws-cli/2]","sourceIPAddress":"198.51.100.7","requestParameters":{"a":[1,{"b":null}]},"readOnly":true}`,
		`{"userIdentity":{"type":"IAMUser","userName":"\u0061","arn":"arn:aws:iam::1:user/a"},"userAgent":"caf\u00e9",` + rest + `}`,
		` { "userIdentity" : { "type" : "AWSService" , "invokedBy" : "x" } , "eventTime" : "2026-01-05T09:00:00.5+01:00" , "event\u0053ource" : "x" , "eventName" : "y" } `,
		`{"userIdentity":{"type":"IAMUser","userName":"me","accountId":"111122223333"},"userIdentity":{"type":"AWSService","invokedBy":"x"},` + rest + `}`,
		`{"userIdentity":{"type":"IAMUser","userName":"me","accountId":"111122223333"},"userIdentity":"x",` + rest + `}`,
		`{"userIdentity":"me","userIdentity":null,"userAgent":7,"sourceIPAddress":"::ffff:1.2.3.4",` + rest + `,"eventID":17}`,
		`{"userIdentity":{"type":"AWSAccount","accountId":"ANONYMOUS_PRINCIPAL"},"eventType":"AwsVpceEvent","responseElements":{"x":"\ud83d"},` + rest + `}`,
		`{"userAgent":"a\"b","requestParameters":[1e5,-0.1,true],"resources":[],` + rest + "}\x00", `{"userIdentity":{`, `{"a":01}`, `[]`,
	} {
		f.Add(s)
	}
	const maxDepth = jsonscan.MaxDepth
	warm := &decoder{event: new(Event), memory: newMemory(maxDepth)}
	f.Fuzz(func(t *testing.T, text string) {
		d := &decoder{event: new(Event), memory: newMemory(maxDepth)}
		end, err := d.decode(text, maxDepth)
		valid := json.Valid([]byte(text))
		space := strings.Trim(text, " \t\r\n")
		if space == "" || space[0] != '{' {
			return
		}
		malformed := err == errNotJSON || err == errCutShort || err != nil && strings.Contains(err.Error(), ErrTooDeep.Error())
		if whole := !malformed && strings.Trim(text[end:], " \t\r\n") == ""; whole != valid {
			t.Fatalf("%q: %v at %d, encoding/json says %v", text, err, end, valid)
		}
		for range 3 { // unknown, remembered, found again
			warmEnd, warmErr := warm.decode(text, maxDepth)
			if warmEnd != end || (err == nil) != (warmErr == nil) || err == nil && !reflect.DeepEqual(d.event, warm.event) {
				t.Fatalf("%q: depends on what is remembered:\n%d %v %+v\n%d %v %+v", text, end, err, d.event, warmEnd, warmErr, warm.event)
			}
		}
		if err != nil || !valid {
			return
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text), &members); err != nil {
			t.Fatal(err)
		}
		member := func(name string) Raw { return Raw(members[name]) }
		e := d.event
		agent := member("userAgent").Text()
		if n := len(agent); n > 1 && agent[0] == '[' && agent[n-1] == ']' {
			agent = agent[1 : n-1]
		}
		for name, pair := range map[string][2]string{
			"eventVersion": {e.Version, member("eventVersion").Text()}, "eventName": {e.Name, member("eventName").Text()},
			"eventType": {e.Type, member("eventType").Text()}, "sharedEventID": {e.SharedID, member("sharedEventID").Text()},
			"requestID": {e.RequestID, member("requestID").Text()}, "awsRegion": {e.Region, member("awsRegion").Text()},
			"sourceIPAddress": {e.SourceAddress, member("sourceIPAddress").Text()}, "userAgent": {e.UserAgent, agent},
			"errorCode": {e.ErrorCode, member("errorCode").Text()}, "errorMessage": {e.ErrorMessage, member("errorMessage").Text()},
			"vpcEndpointId":     {e.VPCEndpointID, member("vpcEndpointId").Text()},
			"requestParameters": {"x" + string(e.Request), "x" + string(member("requestParameters"))},
			"resources":         {"x" + string(e.ResourceList), "x" + string(member("resources"))},
		} {
			if pair[1] == "xnull" {
				pair[1] = "x"
			}
			if name == "eventName" && member("eventSource").Text() == "" {
				continue // an insight's
			}
			if pair[0] != pair[1] {
				t.Fatalf("%q: %s is %q, want %q", text, name, pair[0], pair[1])
			}
		}
		if raw := member("userIdentity"); !repeats(raw) {
			want := plainIdentity(raw)
			want.SessionCreated = e.Identity.SessionCreated
			if e.Identity != want {
				t.Fatalf("%q: identity\n%+v, want\n%+v", text, e.Identity, want)
			}
		}
		if e.Tool != ToolOf(e.UserAgent) || e.Source == "s3.amazonaws.com" && e.IP != address(e.SourceAddress) {
			t.Fatalf("%q: tool %q, address %v", text, e.Tool, e.IP)
		}
	})
}

// A memo holds a bounded amount of text, whatever it is asked to remember.
func TestMemoIsBounded(t *testing.T) {
	m := newMemory(64)
	agent := func(i int) string {
		return `"` + strings.Repeat("x", i%3000) + string(rune('a'+i%26)) + strings.Repeat("y", i/3000) + `"`
	}
	for i := range 60_000 {
		text := agent(i / 2)
		if m.agents.find(text) == nil && m.agents.again(text) {
			m.agents.add(text, m.agents.slots[0].value)
		}
	}
	size := 0
	for i := range m.agents.slots {
		size += cap(m.agents.slots[i].text)
	}
	if size > recallSlots*maxRecallText {
		t.Errorf("%d bytes of texts", size)
	}
}

func TestClock(t *testing.T) {
	var c clock
	for _, s := range []string{
		"2026-01-05T09:00:00Z", "2026-01-05T23:59:59Z", "2026-01-05T24:00:00Z", "2026-01-05T09:60:00Z", "2026-01-05T09:00:60Z",
		"2026-01-05T9:00:00.1Z", "2026-01-05T09:00:0xZ", "2026-01-05t09:00:00Z", "2026-01-06T00:00:00Z", "2026-01-05T09:00:00.250+01:00",
		"2026-01-06T01:02:03+01:00", "2026-02-30T00:00:00Z", "2026-01-06 01:02:03Z", "", "2005-12-31T23:59:59Z", "2200-01-01T00:00:00Z",
		"2199-12-31T23:59:59Z", "2026-01-05T09:00:00Z",
	} {
		want, err := time.Parse(time.RFC3339, s)
		if err == nil {
			err = plausible(want)
		}
		got, gotErr := c.parse(s)
		if (err == nil) != (gotErr == nil) || err == nil && got != want.UTC() {
			t.Errorf("%q: %v, %v; want %v, %v", s, got, gotErr, want.UTC(), err)
		}
	}
}

func TestAddress(t *testing.T) {
	for _, s := range []string{
		"198.51.100.7", "0.0.0.0", "255.255.255.255", "256.1.1.1", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.00", "1..2.3", ".1.2.3", "1.2.3.",
		"1.2.3.4 ", "", "2001:db8::1", "::ffff:1.2.3.4", "1.2.3.1000", "9999999999999999999.1.1.1", "AWS Internal", "abc",
	} {
		want, _ := netip.ParseAddr(s)
		if got := address(s); got != want.Unmap() {
			t.Errorf("%q: %v, want %v", s, got, want.Unmap())
		}
	}
}

// Of two members of one name the last counts, also if a decoder knows it.
func TestIdentityTwice(t *testing.T) {
	const user, root = `{"type":"IAMUser","accountId":"111122223333","userName":"alice","sessionContext":{"attributes":{"mfaAuthenticated":"true"}}}`,
		`{"type":"Root","accountId":"111122223333"}`
	record := func(identities ...string) string {
		text := `{"eventVersion":"1.08","eventTime":"2024-01-02T03:04:05Z","eventSource":"s3.amazonaws.com","eventName":"GetObject"`
		for _, id := range identities {
			text += `,"userIdentity":` + id
		}
		return text + "}"
	}
	d := &decoder{event: new(Event), memory: newMemory(jsonscan.MaxDepth)}
	for _, text := range []string{record(root), record(root), record(user, root), record(user), record(user), record(root, user), record(user, root)} {
		cold := &decoder{event: new(Event), memory: newMemory(jsonscan.MaxDepth)}
		for _, d := range []*decoder{cold, d} {
			if _, err := d.decode(text, jsonscan.MaxDepth); err != nil {
				t.Fatal(err)
			}
		}
		if !reflect.DeepEqual(cold.event, d.event) {
			t.Errorf("%s:\n%+v\n%+v", text, d.event, cold.event)
		}
	}
}

// What the next stream takes over keeps nothing of the input.
func TestBatchesLetGo(t *testing.T) {
	const good = `{"eventVersion":"1.08","eventTime":"2024-01-02T03:04:05Z","eventSource":"s3.amazonaws.com","eventName":"GetObject"}`
	for _, input := range []string{good, good + good[:100], good[:100], good + good + "{" + good} {
		s := newStream(func([]*Event, error) bool { return true }, nil)
		s.inBatches()
		slots := s.slots
		s.all(strings.NewReader(input))
		for i := range slots {
			if !reflect.DeepEqual(slots[i], Event{}) {
				t.Errorf("%s: %d: %+v", input, i, slots[i])
			}
		}
	}
}
