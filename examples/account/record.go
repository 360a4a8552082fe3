package account

import (
	"encoding/hex"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// A call is one API call, as much of it as differs from the ordinary.
type call struct {
	api       string // event source without .amazonaws.com, a colon, event name: "ec2:DescribeInstances"
	region    string // default: home
	request   any    // requestParameters
	response  any    // responseElements
	more      fields // additionalEventData
	resources []fields
	code      string // errorCode
	message   string // errorMessage
	eventType string // default: AwsApiCall
	shared    bool   // logged in another account, too
}

// work is a session at work: it makes calls one after another.
type work struct {
	*day
	session
	now  time.Time     // when the next call is made
	pace time.Duration // mean time between calls
}

// work begins a stretch of work.
func (d *day) work(start time.Time, by session, pace time.Duration) *work {
	return &work{day: d, session: by, now: start, pace: pace}
}

// pause lets time pass.
func (w *work) pause(d time.Duration) { w.now = w.now.Add(d) }

// do makes calls that need no saying.
func (w *work) do(apis ...string) {
	for _, api := range apis {
		w.call(api, nil)
	}
}

// call makes a call that succeeds.
func (w *work) call(api string, request fields) {
	w.write(&call{api: api, request: request})
}

// deny makes a call that is refused for want of permission. Several services
// log nothing of the request then.
func (w *work) deny(api string, request fields) {
	service, name, _ := strings.Cut(api, ":")
	action := service + ":" + operation(name)
	c := call{api: api, request: request, code: "AccessDenied"}
	c.message = "User: " + w.arn + " is not authorized to perform: " + action +
		" because no identity-based policy allows the " + action + " action"
	switch service {
	case "ec2":
		c.code = "Client.UnauthorizedOperation"
		c.message = "You are not authorized to perform this operation. " + c.message
	case "iam", "sts", "lambda", "ssm", "secretsmanager":
		c.request = nil
	case "s3":
		c.more = transfer(w.Rand, 0, 243, dataEvents[name])
	case "dynamodb", "ecs", "eks", "logs", "kms", "glue", "athena", "config", "guardduty":
		c.code = "AccessDeniedException"
	}
	w.write(&c)
}

// home is the region where the account's owner works. global is where services
// without a region log.
const (
	home   = "eu-west-1"
	global = "us-east-1"
)

// globalServices log in one region wherever they are called from.
var globalServices = []string{
	"iam", "organizations", "route53", "cloudfront", "signin", "ce", "support", "health", "shield", "globalaccelerator",
	"trustedadvisor", "notifications",
}

// twiceDelivered lists the services whose events AWS was seen to deliver under
// two region prefixes.
var twiceDelivered = []string{"iam", "sts", "kms", "cloudtrail", "signin", "organizations"}

// dataEvents lists the operations on objects rather than on buckets, and the
// other calls that trails log as data events.
var dataEvents = map[string]bool{
	"GetObject": true, "PutObject": true, "HeadObject": true, "DeleteObject": true, "ListObjects": true,
	"ListObjectVersions": true, "HeadBucket": true, "CopyObject": true, "Invoke": true,
}

// versions maps a service to the version of its records. Services move to a
// newer one each in its own time.
var versions = map[string]string{
	"s3": "1.11", "lambda": "1.11", "ec2": "1.10", "sts": "1.08", "kms": "1.11", "ssm": "1.11", "iam": "1.10", "signin": "1.08",
}

// readOnly reports whether an operation changes nothing, by its verb.
func readOnly(name string) bool {
	for _, verb := range []string{
		"Get", "List", "Describe", "Head", "Lookup", "Search", "Batch", "AssumeRole", "Decrypt", "GenerateDataKey", "Select",
		"Simulate", "GenerateCredentialReport",
	} {
		if strings.HasPrefix(name, verb) {
			return true
		}
	}
	return false
}

// operation returns an event's name without the API version that Lambda and
// CloudFront append: the action, as policies call it.
func operation(name string) string {
	if i := strings.Index(name, "20"); i > 0 {
		return name[:i]
	}
	return name
}

// write writes the record of a call and lets its time pass.
func (w *work) write(c *call) {
	service, name, _ := strings.Cut(c.api, ":")
	version := versions[service]
	if version == "" {
		version = "1.09"
	}
	region := c.region
	if region == "" {
		region = home
		if slices.Contains(globalServices, service) {
			region = global
		}
	}
	category := "Management"
	if dataEvents[name] {
		category = "Data"
	}
	kind := c.eventType
	if kind == "" {
		kind = "AwsApiCall"
	}
	agent := w.agent
	if service == "s3" && !w.aws {
		agent = "[" + agent + "]"
	}
	id := uuid(w.Rand)
	now := w.now.Truncate(time.Second)

	record := fields{
		"eventVersion", version,
		"userIdentity", w.identity,
		"eventTime", now.Format(time.RFC3339),
		"eventSource", service + ".amazonaws.com",
		"eventName", name,
		"awsRegion", region,
		"sourceIPAddress", w.ip,
		"userAgent", agent,
	}
	if c.code != "" {
		record = append(record, "errorCode", c.code)
	}
	if c.message != "" {
		record = append(record, "errorMessage", c.message)
	}
	record = append(record, "requestParameters", c.request, "responseElements", c.response)
	if c.more != nil {
		record = append(record, "additionalEventData", c.more)
	}
	request := uuid(w.Rand)
	if service == "s3" {
		request = strings.ToUpper(strings.ReplaceAll(request, "-", ""))[:16]
	}
	record = append(record, "requestID", request, "eventID", id, "readOnly", readOnly(name))
	if len(c.resources) > 0 {
		record = append(record, "resources", c.resources)
	}
	record = append(record, "eventType", kind, "managementEvent", category == "Management", "recipientAccountId", accountID)
	if c.shared {
		record = append(record, "sharedEventID", uuid(w.Rand))
	}
	if w.endpoint != "" {
		record = append(record, "vpcEndpointId", w.endpoint, "vpcEndpointAccountId", accountID)
	}
	record = append(record, "eventCategory", category)
	if !w.aws {
		record = append(record, "tlsDetails", fields{
			"tlsVersion", "TLSv1.3", "cipherSuite", "TLS_AES_128_GCM_SHA256",
			"clientProvidedHostHeader", host(service, region, c.request),
		})
	}
	if w.console {
		record = append(record, "sessionCredentialFromConsole", "true")
	}
	*w.out = append(*w.out, Record{
		Time: now, JSON: text(record), AccountID: accountID, Region: region, EventID: id,
		Actor: w.actor, Attack: w.attack, global: slices.Contains(twiceDelivered, service),
	})
	w.pause(w.pace/2 + w.upTo(w.pace+1))
}

// host returns the host name that a client asks: that of the bucket, if any.
func host(service, region string, request any) string {
	if f, ok := request.(fields); ok && service == "s3" {
		if i := slices.Index(f, any("Host")); i >= 0 {
			return f[i+1].(string)
		}
	}
	if slices.Contains(globalServices, service) {
		return service + ".amazonaws.com"
	}
	return service + "." + region + ".amazonaws.com"
}

func uuid(r *rand.Rand) string {
	var b [16]byte
	for i := 0; i < len(b); i += 8 {
		n := r.Uint64()
		for j := range 8 {
			b[i+j] = byte(n >> (8 * j))
		}
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	s := hex.EncodeToString(b[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}
