package event

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/event/internal/jsonscan"
)

// Records dated outside these years come from a broken clock.
var (
	earliest = time.Date(2006, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

// Parse decodes one CloudTrail record, a JSON object. The event's strings are
// substrings of the record. Values may nest 64 deep.
//
// A record must have eventTime, eventSource, and eventName or eventType; all
// else is optional, and a value of an unexpected type counts as absent. A
// record without eventID gets an ID made from its content. Unlike the events
// of [Read], the result is the caller's to keep. An error is a [*DecodeError].
func Parse(record string) (*Event, error) {
	var d decoder
	end, err := d.decode(record, defaultMaxDepth)
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
	return &d.event, nil
}

// A decoder turns the text of records into events, again and again in the same
// memory. The zero decoder is ready; it interns nothing.
type decoder struct {
	event    Event
	access   AccessLogLine
	intern   interner
	scratch  []byte
	managed  string // managementEvent
	readOnly string
}

// decode fills d.event from the record that text starts with. It returns the
// offset of the record's end, even if it is not a good one; with ErrSyntax and
// ErrTooDeep, that of the fault. With an error, the event is only partly filled.
func (d *decoder) decode(text string, maxDepth int) (int, error) {
	d.event = Event{}
	d.managed, d.readOnly = "", ""
	var when string
	var insight Raw
	e := &d.event
	c := jsonscan.Open(text, maxDepth)
	for c.Next() {
		switch v := Raw(c.Value); c.Key {
		case "eventVersion":
			e.Version = v.Text()
		case "userIdentity":
			e.Identity = identity(v)
		case "eventTime":
			when = v.Text()
		case "eventSource":
			e.Source = v.Text()
		case "eventName":
			e.Name = v.Text()
		case "eventType":
			e.Type = v.Text()
		case "eventCategory":
			e.Category = Category(v.Text())
		case "eventID":
			e.ID = v.Text()
		case "sharedEventID":
			e.SharedID = v.Text()
		case "requestID":
			e.RequestID = v.Text()
		case "managementEvent":
			d.managed = v.Text()
		case "readOnly":
			d.readOnly = v.Text()
		case "awsRegion":
			e.Region = v.Text()
		case "recipientAccountId":
			e.AccountID = v.Text()
		case "sourceIPAddress":
			e.SourceAddress = v.Text()
		case "userAgent":
			e.UserAgent = v.Text()
		case "errorCode":
			e.ErrorCode = v.Text()
		case "errorMessage":
			e.ErrorMessage = v.Text()
		case "requestParameters":
			e.Request = v.orEmpty()
		case "responseElements":
			e.Response = v.orEmpty()
		case "additionalEventData":
			e.Additional = v.orEmpty()
		case "serviceEventDetails":
			e.ServiceDetails = v.orEmpty()
		case "resources":
			e.ResourceList = v.orEmpty()
		case "vpcEndpointId":
			e.VPCEndpointID = v.Text()
		case "vpcEndpointAccountId":
			e.VPCEndpointAccountID = v.Text()
		case "sessionCredentialFromConsole":
			e.Console = v.IsTrue()
		case "insightDetails":
			insight = v
		}
	}
	if err := c.Err(); err != nil {
		return c.Offset(), fromScan(err)
	}
	e.Text = strings.TrimLeft(text[:c.Offset()], " \t\r\n")
	if e.Source == "" && insight != "" { // what the insight is about
		e.Source, e.Name = insight.At("eventSource").Text(), insight.At("eventName").Text()
	}
	err := d.check(when)
	if err == nil {
		d.derive()
	}
	return c.Offset(), err
}

// orEmpty returns the value, or "" for null.
func (r Raw) orEmpty() Raw {
	if r == "null" {
		return ""
	}
	return r
}

// check reports why the members read so far do not make a record, and sets the
// event's time.
func (d *decoder) check(when string) error {
	e := &d.event
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
	t, err := time.Parse(time.RFC3339, when)
	if err != nil {
		return fmt.Errorf("%w: eventTime is not RFC 3339", ErrTime)
	}
	e.Time = t.UTC()
	return plausible(e.Time)
}

func plausible(t time.Time) error {
	if t.Before(earliest) || !t.Before(latest) {
		return fmt.Errorf("%w: dated %s", ErrTime, t.Format(time.DateOnly))
	}
	return nil
}

// derive sets the fields that follow from others.
func (d *decoder) derive() {
	e := &d.event
	e.Operation = operation(e.Source, e.Name)
	if e.Category == "" {
		e.Category = category(e.Type, Raw(d.managed))
	}
	if v, ok := Raw(d.readOnly).Bool(); ok {
		e.ReadOnly = v
	} else {
		e.ReadOnly = reads(e.Operation)
	}
	if e.ID == "" {
		e.ID = contentID(e.Text)
	}
	if n := len(e.UserAgent); n >= 2 && e.UserAgent[0] == '[' && e.UserAgent[n-1] == ']' {
		e.UserAgent = e.UserAgent[1 : n-1]
	}
	e.Tool = ToolOf(e.UserAgent)
	e.IP = address(e.SourceAddress)
	if e.AccountID == "" {
		e.AccountID = ownAccount(&e.Identity)
	}
	d.principal()
}

// category says what log a record without eventCategory comes from.
func category(eventType string, managed Raw) Category {
	switch eventType {
	case "AwsVpceEvent":
		return NetworkActivity
	case "AwsCloudTrailInsight":
		return Insight
	}
	if v, ok := managed.Bool(); ok && !v {
		return Data
	}
	return Management
}

// address parses an IP address. The check before spares the allocation of an
// error for service hosts, and refuses the zones that only hostile text has.
func address(s string) netip.Addr {
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

// contentID makes an ID for a record without one: the start of the SHA-256 of
// its text, in the form of a UUID.
func contentID(text string) string {
	sum := sha256.Sum256([]byte(text))
	sum[6] = sum[6]&0x0f | 0x80 // version 8: made by a rule of one's own
	sum[8] = sum[8]&0x3f | 0x80
	h := hex.EncodeToString(sum[:16])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
