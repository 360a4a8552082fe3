package event

import "strings"

// accessLogCall returns the name of the API call that a line of an access log
// stands for, or the line's own name for it where there is none: the work of
// lifecycle rules ("S3.EXPIRE.OBJECT").
func accessLogCall(a *AccessLogLine) string {
	name := a.Operation
	if call, ok := strings.CutPrefix(name, "SOAP."); ok {
		return call
	}
	if name == "BATCH.DELETE.OBJECT" { // one line for each object of a DeleteObjects call
		return "DeleteObject"
	}
	call, ok := strings.CutPrefix(name, "REST.")
	if !ok {
		call, ok = strings.CutPrefix(name, "WEBSITE.")
	}
	if !ok {
		return name
	}
	if a.Key == "" {
		if c, ok := bucketCalls[call]; ok {
			return c
		}
	} else if c, ok := objectCalls[call]; ok {
		return c
	}
	if c, ok := calls[call]; ok {
		return c
	}
	return name
}

// calls are the operations that are what they are with a key and without.
var calls = map[string]string{
	"GET.SERVICE":              "ListBuckets",
	"GET.BUCKET":               "ListObjects",
	"GET.BUCKETVERSIONS":       "ListObjectVersions",
	"HEAD.BUCKET":              "HeadBucket",
	"PUT.BUCKET":               "CreateBucket",
	"DELETE.BUCKET":            "DeleteBucket",
	"GET.OBJECT":               "GetObject",
	"HEAD.OBJECT":              "HeadObject",
	"PUT.OBJECT":               "PutObject",
	"POST.OBJECT":              "PostObject",
	"DELETE.OBJECT":            "DeleteObject",
	"COPY.OBJECT":              "CopyObject",
	"COPY.OBJECT_GET":          "GetObject", // the reading half of a copy
	"COPY.PART":                "UploadPartCopy",
	"COPY.PART_GET":            "GetObject",
	"POST.MULTI_OBJECT_DELETE": "DeleteObjects",
	"PUT.PART":                 "UploadPart",
	"GET.UPLOADS":              "ListMultipartUploads",
	"POST.UPLOADS":             "CreateMultipartUpload",
	"GET.UPLOAD":               "ListParts",
	"POST.UPLOAD":              "CompleteMultipartUpload",
	"DELETE.UPLOAD":            "AbortMultipartUpload",
	"GET.TORRENT":              "GetObjectTorrent",
	"GET.OBJECT_ATTRIBUTES":    "GetObjectAttributes",
	"GET.OBJECT_TAGGING":       "GetObjectTagging",
	"PUT.OBJECT_TAGGING":       "PutObjectTagging",
	"DELETE.OBJECT_TAGGING":    "DeleteObjectTagging",
	"GET.LEGAL_HOLD":           "GetObjectLegalHold",
	"PUT.LEGAL_HOLD":           "PutObjectLegalHold",
	"GET.RETENTION":            "GetObjectRetention",
	"PUT.RETENTION":            "PutObjectRetention",
	"POST.RESTORE":             "RestoreObject",
	"POST.SELECT":              "SelectObjectContent",
	"OPTIONS.PREFLIGHT":        "PreflightRequest",
}

// objectCalls are the operations on an object that share their name with one
// on a bucket.
var objectCalls = map[string]string{
	"GET.ACL":        "GetObjectAcl",
	"PUT.ACL":        "PutObjectAcl",
	"GET.TAGGING":    "GetObjectTagging",
	"PUT.TAGGING":    "PutObjectTagging",
	"DELETE.TAGGING": "DeleteObjectTagging",
}

// bucketCalls are the operations on the settings of a bucket.
var bucketCalls = settingCalls(map[string]string{
	"ACL":                 "Acl",
	"ACCELERATE":          "AccelerateConfiguration",
	"ANALYTICS":           "AnalyticsConfiguration",
	"BUCKETPOLICY":        "Policy",
	"CORS":                "Cors",
	"ENCRYPTION":          "Encryption",
	"INTELLIGENT_TIERING": "IntelligentTieringConfiguration",
	"INVENTORY":           "InventoryConfiguration",
	"LIFECYCLE":           "Lifecycle",
	"LOCATION":            "Location",
	"LOGGING_STATUS":      "Logging",
	"METRICS":             "MetricsConfiguration",
	"NOTIFICATION":        "Notification",
	"OBJECT_LOCK":         "ObjectLockConfiguration",
	"OWNERSHIP_CONTROLS":  "OwnershipControls",
	"POLICY_STATUS":       "PolicyStatus",
	"PUBLIC_ACCESS_BLOCK": "PublicAccessBlock",
	"REPLICATION":         "Replication",
	"REQUEST_PAYMENT":     "RequestPayment",
	"TAGGING":             "Tagging",
	"VERSIONING":          "Versioning",
	"WEBSITE":             "Website",
})

// settingCalls makes "GET.ACL": "GetBucketAcl" and its like of the settings'
// names in the log and in the API.
func settingCalls(settings map[string]string) map[string]string {
	m := make(map[string]string)
	for logged, name := range settings {
		m["GET."+logged] = "GetBucket" + name
		m["PUT."+logged] = "PutBucket" + name
		m["DELETE."+logged] = "DeleteBucket" + name
	}
	return m
}
