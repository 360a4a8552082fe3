package account

import (
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A LogFile is one file of S3 server access logs.
type LogFile struct {
	Path  string
	Time  time.Time // when it is delivered
	Lines []string  // about the last hours, in no order
}

// AccessLog returns the S3 server access log of one bucket, the one that an
// attack opens to the world, in order of delivery. Most lines come within the
// hour; some are hours late. It tells of the same requests as the records.
func (a *Account) AccessLog() iter.Seq[LogFile] {
	return func(yield func(LogFile) bool) {
		r := a.random("accesslog", 0)
		var open []LogFile
		deliver := func(before time.Time) bool {
			for len(open) > 0 && open[0].Time.Before(before) {
				f := open[0]
				r.Shuffle(len(f.Lines), func(i, j int) { f.Lines[i], f.Lines[j] = f.Lines[j], f.Lines[i] })
				if !yield(f) {
					return false
				}
				open = open[1:]
			}
			return true
		}
		for record := range a.Records() {
			line, ok := a.logLine(&record)
			if !ok {
				continue
			}
			if !deliver(record.Time) {
				return
			}
			late := time.Hour
			if r.IntN(10) == 0 {
				late = time.Duration(2+r.IntN(5)) * time.Hour
			}
			stamp := record.Time.Add(late).Truncate(time.Hour)
			i, found := slices.BinarySearchFunc(open, stamp, func(f LogFile, t time.Time) int { return f.Time.Compare(t) })
			if !found {
				name := stamp.Format("2006-01-02-15-04-05") + "-" + strings.ToUpper(a.hex(stamp.String(), 16))
				open = slices.Insert(open, i, LogFile{Path: "s3-access-logs/" + marketing + "/" + name, Time: stamp})
			}
			open[i].Lines = append(open[i].Lines, line)
		}
		deliver(forever)
	}
}

// WriteAccessLog writes the files of [Account.AccessLog] below a directory.
func (a *Account) WriteAccessLog(dir string) error {
	for f := range a.AccessLog() {
		err := writeFile(filepath.Join(dir, filepath.FromSlash(f.Path)), func(w io.Writer) error {
			_, err := io.WriteString(w, strings.Join(f.Lines, "\n")+"\n")
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// logOperations maps event names to what the access log calls the operation.
var logOperations = map[string]string{
	"GetObject": "REST.GET.OBJECT", "PutObject": "REST.PUT.OBJECT", "ListObjects": "REST.GET.BUCKET",
	"PutBucketPolicy": "REST.PUT.BUCKETPOLICY", "GetBucketPolicy": "REST.GET.BUCKETPOLICY",
	"GetBucketAcl": "REST.GET.ACL", "GetBucketPolicyStatus": "REST.GET.POLICY_STATUS",
	"GetBucketPublicAccessBlock": "REST.GET.PUBLIC_ACCESS_BLOCK", "GetBucketVersioning": "REST.GET.VERSIONING",
	"GetBucketLogging": "REST.GET.LOGGING_STATUS", "GetBucketEncryption": "REST.GET.ENCRYPTION",
	"GetBucketTagging": "REST.GET.TAGGING", "GetBucketLocation": "REST.GET.LOCATION", "GetBucketLifecycle": "REST.GET.LIFECYCLE",
}

// logLine returns the line of a record's request, if there is one: only
// requests to the one bucket are logged.
func (a *Account) logLine(record *Record) (string, bool) {
	if !strings.Contains(record.JSON, `"bucketName":"`+marketing+`"`) {
		return "", false
	}
	var r struct {
		EventName, SourceIPAddress, UserAgent, RequestID, ErrorCode string
		UserIdentity                                                struct{ ARN string }
		RequestParameters                                           struct{ Key, Prefix, Host string }
		AdditionalEventData                                         struct {
			BytesTransferredIn, BytesTransferredOut float64
			HostID                                  string `json:"x-amz-id-2"`
		}
	}
	if err := json.Unmarshal([]byte(record.JSON), &r); err != nil {
		return "", false
	}
	operation := logOperations[r.EventName]
	if operation == "" {
		return "", false
	}
	method := strings.Split(operation, ".")[1]
	target := "/" + r.RequestParameters.Key
	if r.EventName == "ListObjects" {
		target += "?list-type=2&prefix=" + url.QueryEscape(r.RequestParameters.Prefix) + "&delimiter=%2F&encoding-type=url"
	} else if _, setting, ok := strings.Cut(r.EventName, "Bucket"); ok {
		target += "?" + strings.ToLower(setting)
	}
	address := r.SourceIPAddress
	if strings.HasSuffix(address, ".amazonaws.com") {
		address = "-"
	}
	status, code := "200", "-"
	if r.ErrorCode != "" {
		status, code = "403", r.ErrorCode
	}
	signature, authType := "SigV4", "AuthHeader"
	if r.UserIdentity.ARN == "" {
		signature, authType = "-", "-"
	}
	out := r.AdditionalEventData.BytesTransferredOut
	size := "-"
	if strings.HasSuffix(operation, ".OBJECT") {
		size = fmt.Sprintf("%.0f", max(out, r.AdditionalEventData.BytesTransferredIn))
	}
	random := a.random("request/"+record.EventID, 0)
	took := 4 + random.IntN(90)
	return strings.Join([]string{
		a.hex("canonical user", 64),
		marketing,
		record.Time.Format("[02/Jan/2006:15:04:05 +0000]"),
		address,
		orDash(r.UserIdentity.ARN),
		r.RequestID,
		operation,
		orDash(url.QueryEscape(r.RequestParameters.Key)),
		fmt.Sprintf(`"%s %s HTTP/1.1"`, method, target),
		status,
		code,
		orDash(strings.TrimLeft(fmt.Sprintf("%.0f", out), "0")),
		size,
		fmt.Sprint(took + random.IntN(20)),
		fmt.Sprint(took),
		`"-"`,
		`"` + strings.Trim(r.UserAgent, "[]") + `"`,
		"-",
		r.AdditionalEventData.HostID,
		signature,
		"TLS_AES_128_GCM_SHA256",
		authType,
		r.RequestParameters.Host,
		"TLSv1.3",
		"-",
		"-",
	}, " "), true
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
