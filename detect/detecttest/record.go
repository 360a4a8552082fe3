package detecttest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// fields is a JSON object under construction.
type fields = map[string]any

var placeholder = regexp.MustCompile(`\{(n|day)(?::0(\d{1,2}))?\}`)

// expand replaces the placeholders {n} and {day}, or {n:03} for at least three
// digits.
func expand(template string, day, n int) string {
	return placeholder.ReplaceAllStringFunc(template, func(match string) string {
		parts := placeholder.FindStringSubmatch(match)
		value := n
		if parts[1] == "day" {
			value = day
		}
		width, _ := strconv.Atoi(parts[2])
		return fmt.Sprintf("%0*d", width, value)
	})
}

// decodeObject reads one JSON object; numbers keep the form they are written in.
func decodeObject(text string) (fields, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var object fields
	if err := d.Decode(&object); err != nil {
		return nil, err
	}
	if object == nil || d.More() {
		return nil, errors.New("something follows it")
	}
	return object, nil
}

// merge applies a JSON merge patch (RFC 7396): objects are merged, null
// removes, anything else replaces.
func merge(target, patch fields) {
	for name, value := range patch {
		switch value := value.(type) {
		case nil:
			delete(target, name)
		case fields:
			inner, ok := target[name].(fields)
			if !ok {
				inner = fields{}
				target[name] = inner
			}
			merge(inner, value)
		default:
			target[name] = value
		}
	}
}

// record writes the CloudTrail record of one occurrence of the call.
func (c *call) record(at time.Time, day, n int, seed string) (string, error) {
	object := func(template string) (fields, error) {
		if template == "" {
			return nil, nil
		}
		return decodeObject(expand(template, day, n))
	}
	request, err1 := object(c.request)
	response, err2 := object(c.response)
	extra, err3 := object(c.extra)
	ownSet, err4 := object(c.by.set)
	set, err5 := object(c.set)
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return "", err
	}
	account := cmp.Or(c.account, c.by.account)
	data := c.data || c.service == "s3" && s3DataEvents[c.name]
	r := fields{
		"eventVersion":       "1.11",
		"userIdentity":       c.by.identity(at),
		"eventTime":          at.Format(time.RFC3339),
		"eventSource":        c.service + ".amazonaws.com",
		"eventName":          c.name,
		"awsRegion":          c.region,
		"sourceIPAddress":    expand(cmp.Or(c.source, c.by.source), day, n),
		"userAgent":          expand(cmp.Or(c.agent, c.by.agent), day, n),
		"requestParameters":  nil,
		"responseElements":   nil,
		"requestID":          uuid("request", seed),
		"eventID":            uuid("event", seed),
		"readOnly":           readOnly(c.name),
		"eventType":          "AwsApiCall",
		"managementEvent":    !data,
		"recipientAccountId": account,
		"eventCategory":      "Management",
	}
	if data {
		r["eventCategory"] = "Data"
	}
	if request != nil {
		r["requestParameters"] = request
	}
	if response != nil {
		r["responseElements"] = response
	}
	if c.errCode != "" {
		r["errorCode"] = c.errCode
	}
	if !c.by.service {
		r["tlsDetails"] = fields{
			"tlsVersion":               "TLSv1.3",
			"cipherSuite":              "TLS_AES_128_GCM_SHA256",
			"clientProvidedHostHeader": c.service + "." + c.region + ".amazonaws.com",
		}
	}
	switch c.service {
	case "s3":
		addS3(r, request, account, data, c.by.service)
	case "signin":
		addSignIn(r, c)
	}
	if extra != nil {
		merge(r, fields{"additionalEventData": extra})
	}
	merge(r, ownSet)
	merge(r, set)

	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // as AWS writes it
	if err := enc.Encode(r); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// s3DataEvents are the calls that CloudTrail logs as data events of S3.
var s3DataEvents = map[string]bool{
	"AbortMultipartUpload": true, "CompleteMultipartUpload": true, "CopyObject": true,
	"CreateMultipartUpload": true, "DeleteObject": true, "DeleteObjects": true, "DeleteObjectTagging": true,
	"GetObject": true, "GetObjectAcl": true, "GetObjectAttributes": true, "GetObjectLegalHold": true,
	"GetObjectLockConfiguration": true, "GetObjectRetention": true, "GetObjectTagging": true,
	"GetObjectTorrent": true, "HeadBucket": true, "HeadObject": true, "ListMultipartUploads": true,
	"ListObjects": true, "ListObjectVersions": true, "ListParts": true, "PutObject": true,
	"PutObjectAcl": true, "PutObjectLegalHold": true, "PutObjectRetention": true, "PutObjectTagging": true,
	"RestoreObject": true, "SelectObjectContent": true, "UploadPart": true, "UploadPartCopy": true,
}

// addS3 adds what the records of S3 have besides: an agent in brackets, the
// resources, and the technical details of the transfer.
func addS3(r, request fields, account string, data, service bool) {
	if !service {
		r["userAgent"] = "[" + r["userAgent"].(string) + "]"
	}
	transferred := any(0)
	if data {
		transferred = json.Number("0.0") // CloudTrail writes a float in data events
	}
	extra := fields{
		"CipherSuite":          "TLS_AES_128_GCM_SHA256",
		"bytesTransferredIn":   transferred,
		"bytesTransferredOut":  transferred,
		"x-amz-id-2":           uniqueID("", 44, r["eventID"].(string)),
		"SignatureVersion":     "SigV4",
		"AuthenticationMethod": "AuthHeader",
	}
	if r["userIdentity"].(fields)["accountId"] == "ANONYMOUS_PRINCIPAL" {
		delete(extra, "SignatureVersion")
		delete(extra, "AuthenticationMethod")
	}
	r["additionalEventData"] = extra

	bucket, _ := request["bucketName"].(string)
	if bucket == "" {
		return
	}
	arn := "arn:aws:s3:::" + bucket
	var resources []any
	if key, _ := request["key"].(string); key != "" {
		resources = append(resources, fields{"type": "AWS::S3::Object", "ARN": arn + "/" + key})
	} else if data {
		resources = append(resources, fields{"type": "AWS::S3::Object", "ARNPrefix": arn + "/"})
	}
	r["resources"] = append(resources, fields{"accountId": account, "type": "AWS::S3::Bucket", "ARN": arn})
}

// addSignIn turns a record into one of a console sign-in, which has no access
// key and, unless the scenario says otherwise, is a success.
func addSignIn(r fields, c *call) {
	r["eventType"] = "AwsConsoleSignIn"
	if c.name != "ConsoleLogin" {
		return
	}
	identity := r["userIdentity"].(fields)
	delete(identity, "accessKeyId")
	delete(identity, "sessionContext")
	if r["responseElements"] == nil {
		r["responseElements"] = fields{"ConsoleLogin": "Success"}
	}
	r["additionalEventData"] = fields{
		"LoginTo":       "https://console.aws.amazon.com/console/home",
		"MobileVersion": "No",
		"MFAUsed":       "No",
	}
}

var readVerbs = regexp.MustCompile(`^(Get|List|Describe|Head|Lookup|Search|BatchGet|Select|Query|Scan|View|Simulate)`)

// readOnlyExceptions are calls about which CloudTrail says something else than
// their verb.
var readOnlyExceptions = map[string]bool{
	"AssumeRole": true, "AssumeRoleWithSAML": true, "AssumeRoleWithWebIdentity": true,
	"Decrypt": true, "Encrypt": true, "GenerateDataKey": true,
	"GetSigninToken": false,
}

func readOnly(name string) bool {
	if read, ok := readOnlyExceptions[name]; ok {
		return read
	}
	return readVerbs.MatchString(name)
}
