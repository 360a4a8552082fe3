package event

import (
	"iter"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"
)

// Category says which of AWS's logs an event comes from. CloudTrail writes it
// as eventCategory; records older than that field get it from managementEvent.
type Category string

// The categories of events.
const (
	Management      Category = "Management"      // control plane calls, sign-ins, service events
	Data            Category = "Data"            // resource operations: S3 objects, Lambda invocations
	NetworkActivity Category = "NetworkActivity" // calls seen at a VPC endpoint
	Insight         Category = "Insight"         // CloudTrail's own anomaly records
	AccessLog       Category = "AccessLog"       // a line of an S3 server access log
)

// An Event is one record of AWS activity: a CloudTrail record of any category,
// or a line of an S3 server access log turned into the S3 data event that
// CloudTrail would have written for the same request.
//
// An Event is read-only to everyone but its decoder. Its strings are
// substrings of the text it was decoded from and keep that text in memory;
// [Event.Clone] makes a copy that stands alone. An Event that [Read] yields is
// reused for the next record, so code that keeps it must clone it first.
// An Event may be read from any number of goroutines at once.
//
// A field that the record does not have is its type's zero value.
type Event struct {
	// ID is the record's eventID, unique per record. CloudTrail may deliver
	// one record several times, in other files or under other regions; the
	// copies share this ID. An access log line has an ID derived from its
	// content.
	ID string
	// SharedID is sharedEventID: equal in the records that one call leaves in
	// several accounts or categories, whose IDs differ.
	SharedID string
	// RequestID is the service's own identifier of the call.
	RequestID string
	// Category is the log the event comes from.
	Category Category
	// Type is eventType: AwsApiCall, AwsServiceEvent, AwsConsoleSignIn,
	// AwsConsoleAction, AwsVpceEvent.
	Type string
	// Version is eventVersion, such as "1.11".
	Version string
	// Time is eventTime in UTC: when the call was made, not when it was logged.
	Time time.Time

	// Source is eventSource, such as "s3.amazonaws.com".
	Source string
	// Name is eventName as logged, such as "GetFunction20150331v2".
	Name string
	// Operation is Name without the API version that Lambda and CloudFront
	// append: "GetFunction". Compare this, not Name.
	Operation string
	// ReadOnly reports whether the call only reads. Records without the
	// readOnly field get it from the verb of the operation.
	ReadOnly bool
	// ErrorCode is empty exactly when the call succeeded; see [Event.Denied].
	ErrorCode string
	// ErrorMessage describes ErrorCode.
	ErrorMessage string

	// Region is awsRegion. Global services report us-east-1.
	Region string
	// AccountID is recipientAccountId, the account whose log this is, or the
	// caller's account in records that lack it.
	AccountID string

	// SourceAddress is sourceIPAddress as logged: an IP address, "AWS
	// Internal", or a service host such as "ec2.amazonaws.com".
	SourceAddress string
	// IP is SourceAddress parsed, with IPv4-mapped IPv6 unmapped; the zero
	// Addr when it is not an address.
	IP netip.Addr
	// VPCEndpointID and VPCEndpointAccountID name the VPC endpoint that the
	// call went through. Calls from the S3 console carry AWS's own endpoint.
	VPCEndpointID, VPCEndpointAccountID string
	// UserAgent is userAgent without the square brackets that S3 adds. The
	// caller chooses it freely, so never let it alone excuse anything.
	UserAgent string
	// Tool is the family of software that UserAgent claims to be.
	Tool Tool
	// Console reports whether the session's credentials came from the
	// management console (sessionCredentialFromConsole).
	Console bool

	// Identity is the record's userIdentity, field by field.
	Identity Identity
	// Principal is who made the call, normalised from Identity.
	Principal Principal

	// Request, Response, Additional and ServiceDetails are the record's
	// requestParameters, responseElements, additionalEventData and
	// serviceEventDetails: empty when absent or null.
	Request, Response, Additional, ServiceDetails Raw
	// ResourceList is the record's resources array; see [Event.Resources].
	ResourceList Raw

	// EventBridge reports that the record came inside an EventBridge event.
	// EventBridge leaves read-only calls out unless told otherwise, so their
	// absence says nothing about the account.
	EventBridge bool

	// Access holds the line's own fields when Category is AccessLog, else nil.
	Access *AccessLogLine

	// Text is the whole record as it was read: a JSON object, or the line of an
	// access log.
	Text string

	memo *Memo // that holds the event, see [Memo.Hold]

	// firstBucket is the length of Request's bucketName if that comes first, is
	// the only one, and nothing in Request is escaped.
	firstBucket int

	// decoded says that every string is a part of Text, or stands alone: none
	// keeps a larger text in memory.
	decoded bool
}

// Identity is a CloudTrail userIdentity element.
type Identity struct {
	Type             string // Root, IAMUser, AssumedRole, AWSService, AWSAccount, …; may be missing
	PrincipalID      string // "AIDA…", or "AROA…:session"
	ARN              string
	AccountID        string // "ANONYMOUS_PRINCIPAL" for unauthenticated S3 requests
	AccessKeyID      string // AKIA… is long-term, ASIA… temporary
	UserName         string
	InvokedBy        string // the AWS service that made the call on the caller's behalf; AWS sets it
	IdentityProvider string

	// The session's issuer: the role or user whose credentials it carries.
	IssuerType, IssuerARN, IssuerPrincipalID, IssuerAccountID, IssuerUserName string

	MFAAuthenticated  bool      // sessionContext.attributes.mfaAuthenticated
	SessionCreated    time.Time // sessionContext.attributes.creationDate
	SourceIdentity    string    // sessionContext.sourceIdentity
	EC2RoleDelivery   string    // "1.0" or "2.0": instance metadata version that delivered the credentials
	FederatedProvider string    // sessionContext.webIdFederationData.federatedProvider
	OnBehalfOfUserID  string    // onBehalfOf.userId: the IAM Identity Center user
	IdentityStoreARN  string    // onBehalfOf.identityStoreArn
}

// A Resource is one element of a record's resources array.
type Resource struct {
	ARN       string // or ARNPrefix, in records of list calls
	Type      string // "AWS::S3::Object"
	AccountID string // the owner's account
}

// Service returns the event source without its domain: "s3" for
// "s3.amazonaws.com".
func (e *Event) Service() string { return strings.TrimSuffix(e.Source, domain) }

const domain = ".amazonaws.com"

// Is reports whether the event is one of the operations of a service, as in
// e.Is("lambda", "GetFunction", "GetFunctionConfiguration"). With no
// operation, it reports whether the event is the service's at all.
func (e *Event) Is(service string, operations ...string) bool {
	// What most events are not is seen by the first letters of their source.
	rest, ok := strings.CutPrefix(e.Source, service)
	if !ok || rest != domain && e.Service() != service {
		return false
	}
	if len(operations) == 0 {
		return true
	}
	for _, o := range operations {
		if o == e.Operation {
			return true
		}
	}
	return false
}

// Succeeded reports whether the call did what it was asked to: no error code
// and, for a console sign-in, the outcome "Success".
func (e *Event) Succeeded() bool {
	if e.ErrorCode != "" {
		return false
	}
	if e.Operation == "ConsoleLogin" {
		return e.Response.At("ConsoleLogin").Text() != "Failure"
	}
	return true
}

// Denied reports whether the call failed for lack of permission, whatever
// the service's name for that: AccessDenied, AccessDeniedException,
// UnauthorizedOperation (EC2 writes Client.UnauthorizedOperation),
// VpceAccessDenied and their like. Throttling, validation and not-found
// errors are not denials.
func (e *Event) Denied() bool {
	switch e.ErrorCode {
	case "":
		return false
	case "AccessDenied", "AccessDeniedException", "Client.UnauthorizedOperation", "UnauthorizedOperation",
		"VpceAccessDenied", "UnauthorizedAccess", "UnauthorizedException", "AuthorizationError",
		"AuthorizationErrorException", "NotAuthorizedException", "NotAuthorized", "AccessDeniedFault",
		"Client.AccessDenied", "AllAccessDisabled", "KMSAccessDeniedException", "AccountAccessDenied",
		"Forbidden", "ForbiddenException", "ForbiddenOperationException":
		return true
	}
	return false
}

// ViaService reports whether AWS itself made the call: the identity is a
// service, or a service acted for the principal (invokedBy). Only fields that
// AWS sets are read; callers can forge neither.
func (e *Event) ViaService() bool {
	return e.Principal.Kind == Service || e.Identity.InvokedBy != ""
}

// Resources returns the elements of the record's resources array.
func (e *Event) Resources() iter.Seq[Resource] {
	return func(yield func(Resource) bool) {
		for r := range e.ResourceList.Items() {
			arn := r.At("ARN").Text()
			if arn == "" {
				arn = r.At("ARNPrefix").Text()
			}
			if !yield(Resource{ARN: arn, Type: r.At("type").Text(), AccountID: r.At("accountId").Text()}) {
				return
			}
		}
	}
}

// Bucket returns the bucket that an S3 request names, or "".
func (e *Event) Bucket() string {
	if rest, ok := strings.CutPrefix(string(e.Request), bucketName); ok && e.firstBucket > 0 && e.firstBucket < len(rest) {
		return rest[:e.firstBucket]
	}
	return bucket.Of(e)
}

// bucketName is how S3's requests begin in CloudTrail.
const bucketName = `{"bucketName":"`

// firstBucket returns the length of the bucketName of an object that begins with
// it, if it is the only one and nothing is escaped; else 0.
func firstBucket(object string) int {
	rest, ok := strings.CutPrefix(object, bucketName)
	if !ok || strings.IndexByte(rest, '\\') >= 0 {
		return 0
	}
	name, rest, _ := strings.Cut(rest, `"`)
	// Another one would end like this, which begins with a rare letter.
	if !utf8.ValidString(name) || strings.Contains(rest, `Name"`) {
		return 0
	}
	return len(name)
}

// ObjectKey returns the object key that an S3 request names, or "".
func (e *Event) ObjectKey() string { return objectKey.Of(e) }

// BytesOut returns the number of bytes that an S3 request sent to the caller.
// CloudTrail writes it as a float in data events.
func (e *Event) BytesOut() int64 {
	n, _ := Raw(bytesOut.Of(e)).Int()
	return n
}
