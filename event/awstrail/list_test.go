package awstrail_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/event/awstrail"
	"github.com/cloudtell/cloudtell/event/eventtest"
)

func TestParseKey(t *testing.T) {
	const day = "AWSLogs/111122223333/CloudTrail/eu-west-1/2026/01/05/"
	delivered := time.Date(2026, 1, 5, 9, 20, 0, 0, time.UTC)
	tests := []struct {
		key string
		ok  bool
	}{
		{day + "111122223333_CloudTrail_eu-west-1_20260105T0920Z_0a1B2c3D4e5F6g7H.json.gz", true},
		{"some/prefix/" + day + "111122223333_CloudTrail_eu-west-1_20260105T0920Z_0a1B2c3D4e5F6g7H.json.gz", true},
		{"AWSLogs/o-exampleorgid/111122223333/CloudTrail/eu-west-1/2026/01/05/111122223333_CloudTrail_eu-west-1_20260105T0920Z_0a1B2c3D4e5F6g7H.json.gz", true},
		{"AWSLogs/111122223333/CloudTrail-NetworkActivity/eu-west-1/2026/01/05/111122223333_CloudTrail-NetworkActivity_eu-west-1_20260105T0920Z_0a1B2c3D4e5F6g7H.json.gz", true},
		{"AWSLogs/111122223333/CloudTrail-NetworkActivity/eu-west-1/2026/01/05/111122223333_CloudTrail_eu-west-1_20260105T0920Z_0a1B2c3D4e5F6g7H.json.gz", true},
		{"copied/111122223333_CloudTrail_eu-west-1_20260105T0920Z_0a1B2c3D4e5F6g7H.json", true},
		{"111122223333_CloudTrail_eu-west-1_20260105T0920Z_0a1B2c3D4e5F6g7H.json.gz", true},

		{"", false},
		{day, false},
		{day + "111122223333_CloudTrail_eu-west-1_20269905T0920Z_0a1B2c3D4e5F6g7H.json.gz", false},
		{"AWSLogs/111122223333/CloudTrail-Digest/eu-west-1/2026/01/05/111122223333_CloudTrail-Digest_eu-west-1_main_eu-west-1_20260105T092000Z.json.gz", false},
		{"AWSLogs/111122223333/CloudTrail-Insight/eu-west-1/2026/01/05/111122223333_CloudTrail-Insight_eu-west-1_20260105T0920Z_0a1B2c3D4e5F6g7H.json.gz", false},
		{"AWSLogs/111122223333/CloudTrail-Insight/eu-west-1/2026/01/05/111122223333_CloudTrail_eu-west-1_20260105T0920Z_0a1B2c3D4e5F6g7H.json.gz", false},
		{"AWSLogs/111122223333/CloudTrail-Aggregated/eu-west-1/2026/01/05/111122223333_CloudTrail-Aggregated_eu-west-1_20260105T0920Z_0a1B2c3D4e5F6g7H.json.gz", false},
		{"AWSLogs/111122223333/Config/eu-west-1/2026/1/5/ConfigSnapshot/111122223333_Config_eu-west-1_ConfigSnapshot_20260105T092000Z_x.json.gz", false},
		{"AWSLogs/111122223333/CloudTrail/", false},
		{day + "111122223333_CloudTrail_eu-west-1_20260105T0920Z_0a1B2c3D4e5F6g7H.json.gz/x", false},
	}
	for _, tt := range tests {
		f, ok := awstrail.ParseKey("trail", tt.key)
		require.Equal(t, tt.ok, ok, tt.key)
		if ok {
			assert.Equal(t, awstrail.File{Bucket: "trail", Key: tt.key, Account: "111122223333", Region: "eu-west-1", Delivered: delivered}, f)
		}
	}
}

// key is where CloudTrail puts a file.
func key(root, kind, account, region string, at time.Time, unique string) string {
	return fmt.Sprintf("%sAWSLogs/%s/%s/%s/%s/%s_%s_%s_%s_%s.json.gz", root, account, kind, region, at.Format("2006/01/02"),
		account[len(account)-12:], kind, region, at.Format("20060102T1504Z"), unique)
}

// list lists a bucket and returns of each file what tells it apart.
func list(t *testing.T, s *server, o *awstrail.ListOptions) (files, errs []string) {
	t.Helper()
	var last time.Time
	for f, err := range awstrail.List(context.Background(), s.s3(), "trail", o) {
		if err != nil {
			errs = append(errs, err.Error())
			continue
		}
		require.False(t, f.Delivered.Before(last), "files are in order")
		require.Positive(t, f.Size)
		last = f.Delivered
		files = append(files, fmt.Sprintf("%s %s %s", f.Account, f.Region, f.Delivered.Format("02T15:04")))
	}
	return files, errs
}

func TestList(t *testing.T) {
	const a, b = "111122223333", "444455556666"
	s := newServer(t)
	s.objects = map[string]map[string][]byte{"trail": {}}
	put := func(key string) { s.objects["trail"][key] = []byte("x") }
	for hour := range 30 {
		put(key("", "CloudTrail", a, "eu-west-1", start.Add(time.Duration(hour)*time.Hour), "0000000000000001"))
	}
	put(key("", "CloudTrail", a, "us-east-1", start.Add(90*time.Minute), "0000000000000002"))
	put(key("", "CloudTrail", b, "us-east-1", start.Add(150*time.Minute), "0000000000000003"))
	put(key("", "CloudTrail-NetworkActivity", a, "us-east-1", start.Add(210*time.Minute), "0000000000000004"))
	put(key("", "CloudTrail-Digest", a, "us-east-1", start, "0000000000000005"))
	put(key("", "CloudTrail-Insight", a, "us-east-1", start, "0000000000000006"))
	put(key("", "CloudTrail-Aggregated", a, "us-east-1", start, "0000000000000007"))
	put(key("", "Config", a, "us-east-1", start, "0000000000000008"))
	put("AWSLogs/" + a + "/CloudTrail/us-east-1/2026/01/05/")
	put(key("org/", "CloudTrail", "o-exampleorgid/"+a, "eu-west-1", start, "0000000000000009"))
	put(key("org/", "CloudTrail", "o-exampleorgid/"+b, "eu-west-1", start.Add(time.Minute), "000000000000000a"))

	files, errs := list(t, s, nil)
	require.Empty(t, errs)
	require.Len(t, files, 33)
	assert.Equal(t, []string{
		a + " eu-west-1 05T09:00", a + " eu-west-1 05T10:00", a + " us-east-1 05T10:30", a + " eu-west-1 05T11:00",
		b + " us-east-1 05T11:30", a + " eu-west-1 05T12:00", a + " us-east-1 05T12:30",
	}, files[:7])

	tests := []struct {
		name    string
		options awstrail.ListOptions
		want    []string
	}{
		{"an account", awstrail.ListOptions{Accounts: []string{b}}, []string{b + " us-east-1 05T11:30"}},
		{"a region", awstrail.ListOptions{Regions: []string{"us-east-1"}},
			[]string{a + " us-east-1 05T10:30", b + " us-east-1 05T11:30", a + " us-east-1 05T12:30"}},
		{"a time", awstrail.ListOptions{From: start.Add(2*time.Hour + 30*time.Second), To: start.Add(3 * time.Hour)},
			[]string{a + " eu-west-1 05T11:00", b + " us-east-1 05T11:30"}},
		{"the next day", awstrail.ListOptions{From: start.Add(29 * time.Hour)}, []string{a + " eu-west-1 06T14:00"}},
		{"an organisation", awstrail.ListOptions{Prefix: "org"}, []string{a + " eu-west-1 05T09:00", b + " eu-west-1 05T09:01"}},
		{"an organisation's account", awstrail.ListOptions{Prefix: "org/", Accounts: []string{b}}, []string{b + " eu-west-1 05T09:01"}},
		{"a prefix without anything", awstrail.ListOptions{Prefix: "none"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			files, errs := list(t, s, &tt.options)
			require.Empty(t, errs)
			assert.Equal(t, tt.want, files)
		})
	}

	t.Run("resuming skips what was listed", func(t *testing.T) {
		before := s.count("ListObjectsV2")
		files, _ := list(t, s, &awstrail.ListOptions{Accounts: []string{a}, Regions: []string{"eu-west-1"}})
		all := s.count("ListObjectsV2") - before
		require.Len(t, files, 30)
		before = s.count("ListObjectsV2")
		files, _ = list(t, s, &awstrail.ListOptions{Accounts: []string{a}, Regions: []string{"eu-west-1"}, From: days(1).Add(-9 * time.Hour)})
		require.Len(t, files, 15)
		assert.Equal(t, all-5, s.count("ListObjectsV2")-before, "at three keys a page")
	})

	t.Run("a folder that cannot be listed", func(t *testing.T) {
		s.fault = func(_, _ string, _ int, w http.ResponseWriter, r *http.Request) bool {
			denied := strings.HasPrefix(r.URL.Query().Get("prefix"), "AWSLogs/"+a+"/CloudTrail/eu-west-1/")
			if denied {
				w.WriteHeader(http.StatusForbidden)
				fmt.Fprint(w, "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")
			}
			return denied
		}
		files, errs := list(t, s, nil)
		assert.Len(t, files, 3)
		require.Len(t, errs, 1)
		assert.Regexp(t, `^awstrail: listing s3://trail/AWSLogs/111122223333/CloudTrail/eu-west-1/: .*AccessDenied`, errs[0])
	})
}

// logFile is a log file of some events.
func logFile(t testing.TB, first, n int) []byte {
	var records []string
	for i := range n {
		records = append(records, eventtest.Record{Call: "ec2:DescribeInstances", ID: fmt.Sprintf("event-%04d", first+i)}.JSON())
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := fmt.Fprintf(z, `{"Records":[%s]}`, strings.Join(records, ","))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.Bytes()
}

func TestRead(t *testing.T) {
	s := newServer(t)
	k := key("", "CloudTrail", "111122223333", "eu-west-1", start, "0000000000000001")
	object := logFile(t, 0, 3000)
	s.objects = map[string]map[string][]byte{"trail": {k: object}}
	f, ok := awstrail.ParseKey("trail", k)
	require.True(t, ok)
	read := func(f awstrail.File) (n int, errs []error) {
		for e, err := range awstrail.Read(context.Background(), s.s3(), f, nil) {
			if err != nil {
				errs = append(errs, err)
				continue
			}
			require.Equal(t, fmt.Sprintf("event-%04d", n), e.ID)
			n++
		}
		return n, errs
	}
	n, errs := read(f)
	require.Empty(t, errs)
	require.Equal(t, 3000, n)

	t.Run("a download breaks off", func(t *testing.T) {
		before := s.count("GetObject")
		s.fault = func(_, _ string, _ int, w http.ResponseWriter, r *http.Request) bool {
			calls := s.count("GetObject") - before
			if calls > 4 { // each call but the last gets half of what is left
				return false
			}
			from := 0
			header := http.Header{"Etag": {etag(object)}}
			if r.Header.Get("Range") != "" {
				_, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
				require.NoError(t, err)
				require.Equal(t, etag(object), r.Header.Get("If-Match"))
				header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(object)-1, len(object)))
			}
			cutOff(w, header, object[from:])
			return true
		}
		n, errs := read(f)
		require.Empty(t, errs)
		assert.Equal(t, 3000, n)
		assert.Equal(t, 5, s.count("GetObject")-before)
	})
	t.Run("it breaks off for good", func(t *testing.T) {
		before := s.count("GetObject")
		s.fault = func(_, _ string, _ int, w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Content-Length", "100")
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		n, errs := read(f)
		require.Len(t, errs, 1)
		assert.Zero(t, n)
		var bad *event.DecodeError
		assert.NotErrorAs(t, errs[0], &bad, "the file was not read to its end")
		assert.Equal(t, 4, s.count("GetObject")-before)
	})
	t.Run("another object meanwhile", func(t *testing.T) {
		before := s.count("GetObject")
		s.fault = func(_, _ string, _ int, w http.ResponseWriter, r *http.Request) bool {
			if s.count("GetObject")-before == 1 {
				cutOff(w, http.Header{"Etag": {`"another"`}}, object)
			}
			return false
		}
		_, errs := read(f)
		require.Len(t, errs, 1)
		assert.ErrorContains(t, errs[0], "PreconditionFailed")
	})
	s.fault = nil
	t.Run("gone", func(t *testing.T) {
		f := f
		f.Key += "x"
		_, errs := read(f)
		require.Len(t, errs, 1)
		assert.ErrorContains(t, errs[0], "awstrail: s3://trail/AWSLogs/")
		assert.ErrorContains(t, errs[0], "NoSuchKey")
	})
	t.Run("a broken record", func(t *testing.T) {
		s.objects["trail"][k] = []byte(`{"Records":[{"eventID":1},` + eventtest.Record{Call: "ec2:DescribeInstances", ID: "event-0000"}.JSON() + `]}`)
		n, errs := read(f)
		assert.Equal(t, 1, n)
		require.Len(t, errs, 1)
		var bad *event.DecodeError
		assert.ErrorAs(t, errs[0], &bad)
		assert.ErrorContains(t, errs[0], k)
	})
}

func FuzzParseKey(f *testing.F) {
	f.Add(key("", "CloudTrail", "111122223333", "eu-west-1", start, "0000000000000001"))
	f.Add(key("p/", "CloudTrail-Digest", "o-exampleorgid/111122223333", "eu-west-1", start, "0000000000000001"))
	f.Fuzz(func(t *testing.T, text string) {
		if file, ok := awstrail.ParseKey("trail", text); ok {
			assert.Equal(t, text, file.Key)
			assert.Len(t, file.Account, 12)
			assert.True(t, slices.Contains([]string{".gz", "son"}, text[len(text)-3:]))
			assert.NotContains(t, text, "/CloudTrail-Digest/")
		}
	})
}
