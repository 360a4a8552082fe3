package event

import (
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/event/internal/jsonscan"
)

// An AccessLogLine is one line of an S3 server access log, field by field in
// the order of the line. A field that the line leaves out ("-"), or is too old
// to have, is its type's zero value.
type AccessLogLine struct {
	BucketOwner string // canonical user ID of the bucket's owner
	Bucket      string
	Time        time.Time // when the request was received, in UTC
	RemoteIP    string    // the caller's address, or that of a proxy; Event.IP has it parsed
	// Requester is an IAM user's or assumed role's ARN, a canonical user ID, or
	// a service ("svc:…"); "" for a request without credentials.
	Requester      string
	RequestID      string
	Operation      string // such as "REST.GET.OBJECT"
	Key            string // object key, URL-decoded
	RequestURI     string // the first line of the HTTP request
	Status         int    // HTTP status code
	ErrorCode      string // S3 error code, such as "AccessDenied"
	BytesSent      int64  // without HTTP overhead
	ObjectSize     int64  // bytes
	TotalTime      time.Duration
	TurnAroundTime time.Duration
	Referer        string
	UserAgent      string
	VersionID      string
	HostID         string // x-amz-id-2
	// SignatureVersion is SigV2 or SigV4; "" for a request without credentials.
	SignatureVersion string
	CipherSuite      string
	AuthType         string // AuthHeader, or QueryString for a presigned URL
	HostHeader       string
	TLSVersion       string
	AccessPointARN   string
	ACLRequired      bool   // an access control list was needed to grant the request
	SourceRegion     string // the region that the request came from
	Extra            string // fields that S3 added after these, as they stand
}

// ParseAccessLog decodes one line of an S3 server access log as the S3 data
// event that CloudTrail would have written for the request: Source is
// "s3.amazonaws.com", Name and Operation are the API call ("GetObject" for
// REST.GET.OBJECT), Request and Additional have CloudTrail's member names.
// [Event.Access] holds the line itself. The result is the caller's to keep.
//
// S3 delivers these lines hours late and best effort, may deliver one twice,
// and gives them no ID: the event's is made from the line's content. The log
// has neither region nor account; AccountID is the caller's if that is known.
// An error is a [*DecodeError].
func ParseAccessLog(line string) (*Event, error) {
	d := decoder{event: new(Event), memory: takeMemory(defaultMaxDepth)}
	err := d.accessLog(strings.TrimRight(line, "\r\n"))
	memories.Put(d.memory)
	d.memory = nil
	if err != nil {
		return nil, &DecodeError{Err: err}
	}
	return d.event, nil
}

// accessLog fills the event from a line of an access log.
func (d *decoder) accessLog(line string) error {
	e := d.event
	if e.Access == nil {
		e.Access = new(AccessLogLine)
	}
	a := e.Access
	if err := a.parse(line); err != nil {
		return err
	}
	call := accessLogCall(a)
	*e = Event{
		ID: contentID(line), RequestID: a.RequestID, Category: AccessLog, Type: "AwsApiCall", Time: a.Time,
		Source: "s3.amazonaws.com", Name: call, Operation: call, ReadOnly: reads(call),
		ErrorCode: a.failure(), SourceAddress: a.RemoteIP, IP: address(a.RemoteIP), UserAgent: a.UserAgent, Tool: ToolOf(a.UserAgent),
		Identity: requester(a.Requester), Access: a, Text: line, decoded: true,
	}
	d.parameters(a)
	e.AccountID = ownAccount(&e.Identity)
	d.principal()
	return nil
}

// parse reads a line's fields. Those up to the user agent must be there.
func (a *AccessLogLine) parse(line string) error {
	f := fields{rest: line}
	*a = AccessLogLine{
		BucketOwner: f.next(),
		Bucket:      f.next(),
	}
	when := f.bracketed()
	a.RemoteIP = f.next()
	a.Requester = f.next()
	a.RequestID = f.next()
	a.Operation = f.next()
	a.Key = unescapeKey(f.next())
	a.RequestURI = f.quoted(beforeStatus)
	a.Status = int(f.number())
	a.ErrorCode = f.next()
	a.BytesSent = f.number()
	a.ObjectSize = f.number()
	a.TotalTime = time.Duration(f.number()) * time.Millisecond
	a.TurnAroundTime = time.Duration(f.number()) * time.Millisecond
	a.Referer = f.quoted(beforeQuote)
	a.UserAgent = f.quoted(lastQuote)
	if f.bad || a.Bucket == "" || a.Operation == "" {
		return fmt.Errorf("%w: neither JSON nor an S3 server access log line", ErrSyntax)
	}
	a.VersionID = f.next()
	a.HostID = f.next()
	a.SignatureVersion = f.next()
	a.CipherSuite = f.next()
	a.AuthType = f.next()
	a.HostHeader = f.next()
	a.TLSVersion = f.next()
	a.AccessPointARN = f.next()
	a.ACLRequired = f.next() == "Yes"
	a.SourceRegion = f.next()
	a.Extra = f.rest

	t, err := time.Parse("02/Jan/2006:15:04:05 -0700", when)
	if err != nil {
		return fmt.Errorf("%w: unreadable", ErrTime)
	}
	a.Time = t.UTC()
	return plausible(a.Time)
}

// failure returns the event's error code: S3's own or, where the line has
// none, one for the HTTP status.
func (a *AccessLogLine) failure() string {
	switch {
	case a.ErrorCode != "" || a.Status < 400:
		return a.ErrorCode
	case a.Status == 403:
		return "AccessDenied"
	case a.Status == 404:
		return "NoSuchKey"
	}
	return "HTTP" + strconv.Itoa(a.Status)
}

// requester turns the line's requester into the identity that CloudTrail
// would have logged.
func requester(s string) Identity {
	if s == "" || s == "Anonymous" {
		return Identity{Type: "AWSAccount", AccountID: "ANONYMOUS_PRINCIPAL"}
	}
	if service, ok := strings.CutPrefix(s, "svc:"); ok {
		return Identity{Type: "AWSService", InvokedBy: service}
	}
	if s == "AmazonS3" { // lifecycle rules
		return Identity{Type: "AWSService", InvokedBy: "s3.amazonaws.com"}
	}
	if a, ok := parseARN(s); ok {
		return Identity{Type: a.identityType(), ARN: s, AccountID: a.account}
	}
	return Identity{Type: "CanonicalUser", PrincipalID: s}
}

// parameters writes the event's Request and Additional from the line.
func (d *decoder) parameters(a *AccessLogLine) {
	b := append(d.scratch[:0], `{"bucketName":`...)
	b = jsonscan.AppendQuoted(b, a.Bucket)
	b = appendMember(b, "key", a.Key)
	for query := a.query(); query != ""; {
		var parameter string
		parameter, query, _ = strings.Cut(query, "&")
		name, value, _ := strings.Cut(parameter, "=")
		switch name {
		case "prefix", "delimiter", "list-type", "max-keys", "marker", "continuation-token", "start-after",
			"encoding-type", "versionId":
			if v, err := url.QueryUnescape(value); err == nil {
				b = appendMember(b, name, v)
			}
		}
	}
	b = append(b, '}')
	request := len(b)
	b = append(b, `{"bytesTransferredOut":`...)
	b = strconv.AppendInt(b, a.BytesSent, 10)
	b = appendMember(b, "AuthenticationMethod", a.AuthType)
	b = appendMember(b, "SignatureVersion", a.SignatureVersion)
	b = appendMember(b, "CipherSuite", a.CipherSuite)
	b = appendMember(b, "x-amz-id-2", a.HostID)
	if a.ACLRequired {
		b = appendMember(b, "aclRequired", "Yes")
	}
	b = append(b, '}')
	d.scratch = b
	text := Raw(b)
	d.event.Request, d.event.Additional = text[:request], text[request:]
}

// appendMember appends a member to the object that b ends with, unless the
// value is empty.
func appendMember(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, `,"`...)
	b = append(b, name...)
	b = append(b, `":`...)
	return jsonscan.AppendQuoted(b, value)
}

// query returns the query of the request's URI.
func (a *AccessLogLine) query() string {
	_, query, _ := strings.Cut(a.RequestURI, "?")
	query, _, _ = strings.Cut(query, " ")
	return query
}

// unescapeKey undoes S3's encoding of object keys in the log: percent signs,
// twice over.
func unescapeKey(key string) string {
	for range 2 {
		if s, err := url.PathUnescape(key); err == nil {
			key = s
		}
	}
	return key
}

// fields reads a line from left to right. A "-" is an empty field.
type fields struct {
	rest string
	bad  bool // the line does not have the form
}

// next returns the next field of those that hold no space.
func (f *fields) next() string {
	var s string
	s, f.rest, _ = strings.Cut(f.rest, " ")
	return absent(s)
}

func absent(s string) string {
	if s == "-" {
		return ""
	}
	return s
}

// number returns the next field as a number that is not negative.
func (f *fields) number() int64 {
	s := f.next()
	if s == "" {
		return 0
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/int64(time.Millisecond) {
		f.bad = true
		return 0
	}
	return n
}

func (f *fields) bracketed() string {
	s, ok := strings.CutPrefix(f.rest, "[")
	if ok {
		s, f.rest, ok = strings.Cut(s, "] ")
	}
	f.bad = f.bad || !ok
	return s
}

// quoted returns the next field, which is in quotes. Quotes inside it are not
// escaped, and its text is the caller's to choose; so the closing quote has to
// be told from what follows. end returns its index.
func (f *fields) quoted(end func(string) int) string {
	s, ok := strings.CutPrefix(f.rest, `"`)
	if !ok {
		bare := f.next()
		f.bad = f.bad || bare != ""
		return ""
	}
	i := end(s)
	if i < 0 {
		f.bad = true
		return ""
	}
	f.rest = strings.TrimPrefix(s[i+1:], " ")
	return absent(s[:i])
}

// beforeStatus finds the quote that closes the request line: the first with a
// status behind it. A request line cannot fake that, as its URI holds no space.
func beforeStatus(s string) int {
	for i := 0; i < len(s); i++ {
		j := strings.IndexByte(s[i:], '"')
		if j < 0 {
			return -1
		}
		i += j
		status, ok := strings.CutPrefix(s[i+1:], " ")
		status, _, _ = strings.Cut(status, " ")
		if ok && (status == "-" || len(status) == 3 && allDigits(status)) {
			return i
		}
	}
	return -1
}

// beforeQuote finds the quote that closes the referer: the first with another
// quoted field, or an absent one, behind it.
func beforeQuote(s string) int {
	quoted, bare := strings.Index(s, `" "`), strings.Index(s, `" - `)
	if quoted < 0 || bare >= 0 && bare < quoted {
		return bare
	}
	return quoted
}

// lastQuote finds the quote that closes the user agent: no field behind it has
// any.
func lastQuote(s string) int { return strings.LastIndexByte(s, '"') }
