package event

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"net/netip"
	"strings"
	"sync"

	"github.com/cloudtell/cloudtell/event/internal/jsonscan"
)

// Parse decodes one CloudTrail record, a JSON object. The event's strings are
// substrings of the record. Values may nest 64 deep.
//
// A record must have eventTime, eventSource, and eventName or eventType; all
// else is optional, and a value of an unexpected type counts as absent. A
// record without eventID gets an ID made from its content. Unlike the events
// of [Read], the result is the caller's to keep. An error is a [*DecodeError].
func Parse(record string) (*Event, error) {
	d := decoder{event: new(Event), memory: takeMemory(defaultMaxDepth)}
	end, err := d.decode(record, defaultMaxDepth)
	memories.Put(d.memory)
	d.memory = nil
	if err == nil {
		if rest := strings.TrimLeft(record[end:], " \t\r\n"); rest != "" {
			end, err = len(record)-len(rest), fmt.Errorf("%w: text after the record", ErrSyntax)
		}
	}
	if err != nil {
		if !errors.Is(err, ErrSyntax) && !errors.Is(err, ErrTooDeep) {
			end = 0
		}
		return nil, &DecodeError{Offset: int64(end), Err: err}
	}
	return d.event, nil
}

// A decoder turns the text of records into events.
type decoder struct {
	event   *Event // to be filled
	scratch []byte

	// Of the record at hand.
	managed  string      // managementEvent
	readOnly string      // readOnly
	identity string      // userIdentity
	who      *known[who] // what it says, if it is remembered

	*memory // of those before it
}

// A memory is what a decoder knows from the records it has read: nothing that
// changes what it makes of the next, but much that makes it faster.
type memory struct {
	intern     interner
	identities recall[who]
	agents     recall[agent]
	clock      clock
	order      jsonscan.Order // of members
	bufs       buffers        // of a window
	slots      []Event        // of a stream that yields batches; nil before the first
	batch      []*Event
	maxDepth   int // of the values that the memos know
}

func newMemory(maxDepth int) *memory {
	m := &memory{intern: newInterner(), maxDepth: maxDepth}
	m.identities.mark, m.identities.seed = '}', maphash.MakeSeed()
	m.agents.mark, m.agents.seed = '"', maphash.MakeSeed()
	return m
}

// memories are those of decoders that are done, for the next.
var memories sync.Pool

func takeMemory(maxDepth int) *memory {
	if m, _ := memories.Get().(*memory); m != nil && m.maxDepth == maxDepth {
		return m
	}
	return newMemory(maxDepth)
}

// The members of a record that are read, or that are in nearly all.
const (
	eventVersion = iota + 1
	userIdentity
	eventTime
	eventSource
	eventName
	eventType
	eventCategory
	eventID
	sharedEventID
	requestID
	managementEvent
	readOnly
	awsRegion
	recipientAccountID
	sourceIPAddress
	userAgent
	errorCode
	errorMessage
	requestParameters
	responseElements
	additionalEventData
	serviceEventDetails
	resources
	vpcEndpointID
	vpcEndpointAccountID
	sessionCredentialFromConsole
	insightDetails
	tlsDetails
)

var recordNames = jsonscan.NewNames([]string{
	eventVersion:                 "eventVersion",
	userIdentity:                 "userIdentity",
	eventTime:                    "eventTime",
	eventSource:                  "eventSource",
	eventName:                    "eventName",
	eventType:                    "eventType",
	eventCategory:                "eventCategory",
	eventID:                      "eventID",
	sharedEventID:                "sharedEventID",
	requestID:                    "requestID",
	managementEvent:              "managementEvent",
	readOnly:                     "readOnly",
	awsRegion:                    "awsRegion",
	recipientAccountID:           "recipientAccountId",
	sourceIPAddress:              "sourceIPAddress",
	userAgent:                    "userAgent",
	errorCode:                    "errorCode",
	errorMessage:                 "errorMessage",
	requestParameters:            "requestParameters",
	responseElements:             "responseElements",
	additionalEventData:          "additionalEventData",
	serviceEventDetails:          "serviceEventDetails",
	resources:                    "resources",
	vpcEndpointID:                "vpcEndpointId",
	vpcEndpointAccountID:         "vpcEndpointAccountId",
	sessionCredentialFromConsole: "sessionCredentialFromConsole",
	insightDetails:               "insightDetails",
	tlsDetails:                   "tlsDetails",
}[1:]...)

// decode fills the event from the record that text starts with. It returns the
// offset of the record's end, even if it is not a good one; with ErrSyntax and
// ErrTooDeep, that of the fault. With an error, the event is only partly filled.
func (d *decoder) decode(text string, maxDepth int) (int, error) {
	*d.event = Event{decoded: true}
	d.managed, d.readOnly, d.identity, d.who = "", "", "", nil
	var when string
	var insight Raw
	e := d.event
	depth, member := maxDepth-1, jsonscan.Start
	start := jsonscan.Space(text, 0)
	i, f := jsonscan.Enter(text, start, maxDepth)
	if f != 0 && i < len(text) && text[i] == '[' { // sound, perhaps, but no record
		_, i, f = jsonscan.Value(text, i, maxDepth)
		member = jsonscan.End
	}
	for f == 0 && member != jsonscan.End {
		if member, i, f = recordNames.Next(text, i, member, &d.order); f != 0 {
			break
		}
		switch member {
		case eventVersion:
			e.Version, i, f = jsonscan.Content(text, i, depth)
		case userIdentity:
			i, f = d.userIdentity(text, i, depth)
		case eventTime:
			when, i, f = jsonscan.Content(text, i, depth)
		case eventSource:
			e.Source, i, f = jsonscan.Content(text, i, depth)
		case eventName:
			e.Name, i, f = jsonscan.Content(text, i, depth)
		case eventType:
			e.Type, i, f = jsonscan.Content(text, i, depth)
		case eventCategory:
			*(*string)(&e.Category), i, f = jsonscan.Content(text, i, depth)
		case eventID:
			e.ID, i, f = jsonscan.Content(text, i, depth)
		case sharedEventID:
			e.SharedID, i, f = jsonscan.Content(text, i, depth)
		case requestID:
			e.RequestID, i, f = jsonscan.Content(text, i, depth)
		case managementEvent:
			d.managed, i, f = jsonscan.Content(text, i, depth)
		case readOnly:
			d.readOnly, i, f = jsonscan.Content(text, i, depth)
		case awsRegion:
			e.Region, i, f = jsonscan.Content(text, i, depth)
		case recipientAccountID:
			e.AccountID, i, f = jsonscan.Content(text, i, depth)
		case sourceIPAddress:
			e.SourceAddress, i, f = jsonscan.Content(text, i, depth)
		case userAgent:
			i, f = d.userAgent(text, i, depth)
		case errorCode:
			e.ErrorCode, i, f = jsonscan.Content(text, i, depth)
		case errorMessage:
			e.ErrorMessage, i, f = jsonscan.Content(text, i, depth)
		case requestParameters:
			e.Request, i, f = object(text, i, depth)
		case responseElements:
			e.Response, i, f = object(text, i, depth)
		case additionalEventData:
			e.Additional, i, f = object(text, i, depth)
		case serviceEventDetails:
			e.ServiceDetails, i, f = object(text, i, depth)
		case resources:
			e.ResourceList, i, f = object(text, i, depth)
		case vpcEndpointID:
			e.VPCEndpointID, i, f = jsonscan.Content(text, i, depth)
		case vpcEndpointAccountID:
			e.VPCEndpointAccountID, i, f = jsonscan.Content(text, i, depth)
		case sessionCredentialFromConsole:
			var console string
			console, i, f = jsonscan.Content(text, i, depth)
			e.Console, _ = boolean(console)
		case insightDetails:
			insight, i, f = object(text, i, depth)
		case jsonscan.Other, tlsDetails:
			_, i, f = jsonscan.Value(text, i, depth)
		}
	}
	if f != 0 {
		return i, fromScan(f.At(i))
	}
	e.Text = text[start:i]
	if e.Source == "" && insight != "" { // what the insight is about
		e.Source, e.Name = insight.At("eventSource").Text(), insight.At("eventName").Text()
	}
	err := d.check(when)
	if err == nil {
		d.derive()
	}
	return i, err
}

// object scans the value at text[i], usually an object or an array; null is as
// good as absent.
func object(text string, i, depth int) (Raw, int, jsonscan.Fault) {
	v, end, f := jsonscan.Value(text, i, depth)
	if v == "null" {
		v = ""
	}
	return Raw(v), end, f
}

// An agent is what a user agent says: its text without the square brackets
// that S3 adds, and the tool.
type agent struct {
	text span
	tool Tool
}

// userAgent reads the userAgent member whose value is at text[i].
func (d *decoder) userAgent(text string, i, depth int) (int, jsonscan.Fault) {
	e := d.event
	if k := d.agents.find(text[i:]); k != nil {
		e.UserAgent, e.Tool = k.value.text.of(text[i:]), k.value.tool
		return i + len(k.text), 0
	}
	s, end, f := jsonscan.Content(text, i, depth)
	if n := len(s); n >= 2 && s[0] == '[' && s[n-1] == ']' {
		s = s[1 : n-1]
	}
	e.UserAgent, e.Tool = s, ToolOf(s)
	if f == 0 && text[i] == '"' && d.agents.again(text[i:end]) {
		if part, ok := spanOf(text[i:end], s); ok {
			d.agents.add(text[i:end], agent{part, e.Tool})
		}
	}
	return end, f
}

// check reports why the members read so far do not make a record, and sets the
// event's time.
func (d *decoder) check(when string) (err error) {
	e := d.event
	switch {
	case e.Category == "Aggregated" || e.Type == "AwsAggregatedEvent":
		return ErrAggregated
	case e.Source == "aws:s3":
		return ErrNotification
	case e.Source == "" || when == "" || e.Name == "" && e.Type == "":
		return errNoShape
	case e.Version != "" && !strings.HasPrefix(e.Version, "1."):
		return fmt.Errorf("%w: eventVersion is not 1.x", ErrNotRecord)
	}
	e.Time, err = d.clock.parse(when)
	return err
}

// derive sets the fields that follow from others.
func (d *decoder) derive() {
	e := d.event
	e.Operation = operation(e.Source, e.Name)
	e.firstBucket = firstBucket(string(e.Request))
	if e.Category == "" {
		e.Category = category(e.Type, d.managed)
	}
	if v, ok := boolean(d.readOnly); ok {
		e.ReadOnly = v
	} else {
		e.ReadOnly = reads(e.Operation)
	}
	if e.ID == "" {
		e.ID = contentID(e.Text)
	}
	e.IP = address(e.SourceAddress)
	if e.AccountID == "" {
		e.AccountID = ownAccount(&e.Identity)
	}
	if d.who != nil && d.who.value.settled {
		e.Principal = d.who.value.as(d.identity)
		return
	}
	d.principal()
	if d.who != nil && e.Identity.settles() {
		d.who.value.settle(&e.Principal, d.identity, &d.intern)
	}
}

// category says what log a record without eventCategory comes from.
func category(eventType, managed string) Category {
	switch eventType {
	case "AwsVpceEvent":
		return NetworkActivity
	case "AwsCloudTrailInsight":
		return Insight
	}
	if v, ok := boolean(managed); ok && !v {
		return Data
	}
	return Management
}

// address parses an IP address. What is done before [netip.ParseAddr] spares
// its time for the usual form, and the allocation of an error for service
// hosts, and refuses the zones that only hostile text has.
func address(s string) netip.Addr {
	if a, ok := dotted(s); ok {
		return netip.AddrFrom4(a)
	}
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'f', 'A' <= c && c <= 'F', c == '.', c == ':':
		default:
			return netip.Addr{}
		}
	}
	a, _ := netip.ParseAddr(s)
	return a.Unmap()
}

// dotted parses an IPv4 address in its usual form: four numbers without
// needless zeros.
func dotted(s string) (a [4]byte, ok bool) {
	part, digits, n := 0, 0, 0
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9' && (digits == 0 || n > 0):
			n, digits = 10*n+int(c-'0'), digits+1
			if n > 255 {
				return a, false
			}
		case c == '.' && digits > 0 && part < 3:
			a[part] = byte(n)
			part, digits, n = part+1, 0, 0
		default:
			return a, false
		}
	}
	a[part] = byte(n)
	return a, part == 3 && digits > 0
}

// contentID makes an ID for a record without one: the start of the SHA-256 of
// its text, in the form of a UUID.
func contentID(text string) string {
	sum := sha256.Sum256([]byte(text))
	sum[6] = sum[6]&0x0f | 0x80 // version 8: made by a rule of one's own
	sum[8] = sum[8]&0x3f | 0x80
	h := hex.EncodeToString(sum[:16])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
