package event_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/event/eventtest"
)

// record returns a record whose ID is easy to recognise.
func record(id string) string {
	return eventtest.Record{Call: "s3:GetObject", ID: id, Request: map[string]any{"bucketName": "b", "key": "k"}}.JSON()
}

// versionFirst returns a record with eventVersion in front, as CloudTrail
// itself writes it.
func versionFirst(id string) string {
	return `{"eventVersion":"1.11",` + strings.Replace(record(id), `"eventVersion":"1.11",`, "", 1)[1:]
}

func pretty(text string) string {
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(text), "", "  "); err != nil {
		panic(err)
	}
	return b.String()
}

func quote(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func zip(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, text); err != nil {
		panic(err)
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.String()
}

func base64Of(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// subscription returns CloudWatch Logs subscription data with the records.
func subscription(records ...string) string {
	var events []string
	for i, r := range records {
		events = append(events, fmt.Sprintf(`{"id":"%d","timestamp":1767603600000,"message":%s}`, i, quote(r)))
	}
	return `{"messageType":"DATA_MESSAGE","owner":"111122223333","logGroup":"trail","logStream":"s",` +
		`"subscriptionFilters":["f"],"logEvents":[` + strings.Join(events, ",") + `]}`
}

const controlMessage = `{"messageType":"CONTROL_MESSAGE","owner":"CloudwatchLogs","logGroup":"","logStream":"",` +
	`"subscriptionFilters":[],"logEvents":[{"id":"","timestamp":1,"message":"CWL CONTROL MESSAGE: Checking health"}]}`

const accessLine = `0123abcd backups [05/Jan/2026:09:00:00 +0000] 198.51.100.7 arn:aws:iam::111122223333:user/alice 3E57 ` +
	`REST.GET.OBJECT k "GET /backups/k HTTP/1.1" 200 - 5 5 7 6 "-" "curl/8.1" -`

// readAll returns the IDs of the events of an input, with "!" for an error,
// and the errors.
func readAll(t testing.TB, r io.Reader, o *event.ReadOptions) (ids []string, errs []error) {
	t.Helper()
	for e, err := range event.Read(r, o) {
		if err != nil {
			assert.Nil(t, e)
			ids, errs = append(ids, "!"), append(errs, err)
			continue
		}
		ids = append(ids, strings.Clone(e.ID))
	}
	return ids, errs
}

// A record tells whether it came through EventBridge, whatever else is around
// it, and what comes before or after it does not matter.
func TestReadEventBridge(t *testing.T) {
	bridge := `{"version":"0","id":"1","detail-type":"AWS API Call via CloudTrail","source":"aws.s3","account":"1","detail":` + record("b") + `}`
	sqs := `{"Records":[{"messageId":"1","body":` + quote(bridge) + `,"eventSource":"aws:sqs","awsRegion":"us-east-1"}]}`
	for input, want := range map[string][]bool{
		record("a") + bridge + record("c"):  {false, true, false},
		sqs + record("c"):                   {true, false},
		`{"Records":[` + record("a") + `]}`: {false},
	} {
		var got []bool
		for e, err := range event.Read(strings.NewReader(input), nil) {
			require.NoError(t, err)
			assert.Equal(t, e.EventBridge, e.Clone().EventBridge)
			got = append(got, e.EventBridge)
		}
		assert.Equal(t, want, got, input)
	}
}

func TestReadShapes(t *testing.T) {
	a, b := record("a"), record("b")
	file := `{"Records":[` + a + `,` + b + `]}`
	bridge := func(r string) string {
		return `{"version":"0","id":"1","detail-type":"AWS API Call via CloudTrail","source":"aws.s3","account":"1","detail":` + r + `}`
	}
	sns := func(text string) string {
		return `{"Type":"Notification","MessageId":"1","TopicArn":"arn:aws:sns:us-east-1:1:t","Message":` + quote(text) + `}`
	}
	sqs := func(text string) string {
		return `{"Records":[{"messageId":"1","body":` + quote(text) + `,"eventSource":"aws:sqs","awsRegion":"us-east-1"}]}`
	}
	kinesis := func(data string) string {
		return `{"Records":[{"kinesis":{"partitionKey":"p","data":"` + base64Of(data) + `"},"eventSource":"aws:kinesis",` +
			`"eventVersion":"1.0","eventID":"shard:1","eventName":"aws:kinesis:record"}]}`
	}
	lookup := func(r string) string {
		return `{"EventId":"x","EventName":"GetObject","ReadOnly":"true","EventTime":"2026-01-05T09:00:00Z","EventSource":"s3.amazonaws.com",` +
			`"Username":"alice","Resources":[],"CloudTrailEvent":` + quote(r) + `}`
	}
	for _, tt := range []struct{ name, input string }{
		{"log file", file},
		{"log file, pretty", pretty(file)},
		{"log file with other members", `{"owner":"x","Records":[` + a + `,` + b + `],"more":{"a":[1]}}`},
		{"two log files, one after the other", `{"Records":[` + a + `]}{"Records":[` + b + `]}`},
		{"array", `[` + a + `,` + b + `]`},
		{"array of log files", `[{"Records":[` + a + `]},{"Records":[` + b + `]}]`},
		{"records, back to back", a + b},
		{"lines", a + "\n" + b + "\n"},
		{"lines, CRLF and blank ones", a + "\r\n\r\n" + b},
		{"lines, byte order marks", "\uFEFF" + a + "\n\uFEFF" + b},
		{"pretty records", pretty(a) + "\n" + pretty(b)},
		{"gzip", zip(file)},
		{"gzip, members", zip(a+"\n") + zip(b)},
		{"gzip, twice", zip(zip(file))},
		{"gzip, members of gzip", zip(zip(a) + zip(b))},
		{"LookupEvents page", `{"Events":[` + lookup(a) + `,` + lookup(b) + `],"NextToken":"t"}`},
		{"LookupEvents array", `[` + lookup(a) + `,` + lookup(b) + `]`},
		{"LookupEvents lines", lookup(a) + "\n" + lookup(b)},
		{"LookupEvents strings", `[` + quote(a) + `,` + quote(b) + `]`},
		{"EventBridge", bridge(a) + "\n" + bridge(b)},
		{"EventBridge array", `[` + bridge(a) + `,` + bridge(b) + `]`},
		{"subscription", subscription(a, b)},
		{"subscription, back to back", controlMessage + subscription(a) + controlMessage + subscription(b)},
		{"subscription, array", `[` + subscription(a) + `,` + subscription(b) + `]`},
		{"subscription, Lambda", `{"awslogs":{"data":"` + base64Of(zip(subscription(a, b))) + `"}}`},
		{"subscription, Firehose object", zip(subscription(a)) + zip(subscription(b))},
		{"subscription, Kinesis", kinesis(zip(subscription(a, b)))},
		{"Kinesis, plain", kinesis(a + "\n" + b)},
		{"Kinesis GetRecords", `{"Records":[{"SequenceNumber":"1","Data":"` + base64Of(a+b) + `","PartitionKey":"p"}],"NextShardIterator":"i"}`},
		{"Firehose transformation", `{"invocationId":"1","records":[{"recordId":"1","data":"` + base64Of(a+b) + `"}]}`},
		{"SQS, Lambda", sqs(file)},
		{"SQS, ReceiveMessage", `{"Messages":[{"MessageId":"1","Body":` + quote(a) + `},{"MessageId":"2","Body":` + quote(b) + `}]}`},
		{"SNS", sns(a) + sns(b)},
		{"SNS, Lambda", `{"Records":[{"EventSource":"aws:sns","EventVersion":"1.0","Sns":{"Type":"Notification","Message":` + quote(file) + `}}]}`},
		{"SQS of SNS of EventBridge", sqs(sns(`[` + bridge(a) + `,` + bridge(b) + `]`))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ids, errs := readAll(t, strings.NewReader(tt.input), nil)
			assert.Empty(t, errs)
			assert.Equal(t, []string{"a", "b"}, ids)

			ids, errs = readAll(t, iotest.OneByteReader(strings.NewReader(tt.input)), nil)
			assert.Empty(t, errs, "byte by byte")
			assert.Equal(t, []string{"a", "b"}, ids, "byte by byte")

			ids, errs = readAll(t, iotest.OneByteReader(strings.NewReader(tt.input)), &event.ReadOptions{Reuse: true})
			assert.Empty(t, errs, "in memory that is reused")
			assert.Equal(t, []string{"a", "b"}, ids, "in memory that is reused")
		})
	}
}

func TestReadNothing(t *testing.T) {
	for _, input := range []string{"", " \r\n\t", "\uFEFF", "[]", `{"Records":[]}`, `{"Events":[],"NextToken":"t"}`, zip(""), controlMessage} {
		ids, errs := readAll(t, strings.NewReader(input), nil)
		assert.Empty(t, ids, "%q", input)
		assert.Empty(t, errs, "%q", input)
	}
}

func TestReadAccessLog(t *testing.T) {
	input := "\n" + accessLine + "\r\n\n" + "garbage\n" + strings.Replace(accessLine, "05/Jan", "06/Jan", 1)
	for name, input := range map[string]string{"plain": input, "gzip": zip(input), "in a message": `{"Messages":[{"Body":` + quote(input) + `}]}`} {
		var days []int
		for e, err := range event.Read(strings.NewReader(input), nil) {
			if err != nil {
				assert.ErrorIs(t, err, event.ErrSyntax, name)
				days = append(days, 0)
				continue
			}
			assert.Equal(t, event.AccessLog, e.Category, name)
			days = append(days, e.Time.Day())
		}
		assert.Equal(t, []int{5, 0, 6}, days, name)
	}
}

// TestReadFaults pins what is left of an input with a fault in it.
func TestReadFaults(t *testing.T) {
	a, b, c := versionFirst("a"), versionFirst("b"), versionFirst("c")
	file := func(records ...string) string { return `{"Records":[` + strings.Join(records, ",") + `]}` }
	broken := func(old, new string) string {
		s := strings.Replace(b, old, new, 1)
		require.NotEqual(t, b, s)
		return s
	}
	big := broken(`"key":"k"`, `"key":"`+strings.Repeat("k", 1<<20)+`"`)
	deep := broken(`"key":"k"`, `"key":`+strings.Repeat("[", 70)+strings.Repeat("]", 70))
	for _, tt := range []struct {
		name, input, want string
		err               error
	}{
		{"broken value", file(a, broken(`"key":"k"`, `"key":k`), c), "a!c", event.ErrSyntax},
		{"broken value in an array", `[` + a + `,` + broken(`"key":"k"`, `"key":k`) + `,` + c + `]`, "a!c", event.ErrSyntax},
		{"broken value on a line", a + "\n" + broken(`"key":"k"`, `"key":k`) + "\n" + c, "a!c", event.ErrSyntax},
		{"broken value, pretty", `[` + pretty(a) + `,` + strings.Replace(pretty(b), `"k"`, `k`, 1) + `,` + pretty(c) + `]`, "a!c", event.ErrSyntax},
		{"quote lost", file(a, broken(`"key":"k"`, `"key":"k`), c), "a!c", event.ErrSyntax},
		{"quote lost on a line", a + "\n" + broken(`"key":"k"`, `"key":"k`) + "\n" + c, "a!c", event.ErrSyntax},
		{"string without end on a line", a + "\n" + b[:strings.Index(b, "alice")] + "\n" + c, "a!c", event.ErrSyntax},
		{"brace lost inside", file(a, broken(`"key":"k"}`, `"key":"k"`), c), "a!c", event.ErrSyntax},
		{"brace lost at the end", file(a, b[:len(b)-1], c), "a!c", event.ErrSyntax},
		{"brace lost on a line", a + "\n" + b[:len(b)-1] + "\n" + c, "a!c", event.ErrSyntax},
		{"brace lost, no version", `[` + record("a") + `,` + record("b")[:len(record("b"))-1] + `,` + record("c") + `]`, "a!c", event.ErrSyntax},
		{"brace too many", file(a, b+"}", c), "ab!c", event.ErrSyntax},
		{"brace too many on a line", a + "\n" + b + "}\n" + c, "ab!c", event.ErrSyntax},
		{"comma lost", `{"Records":[` + a + b + `,` + c + `]}`, "a!bc", event.ErrSyntax},
		{"bracket left open swallows the next", file(a, b[:len(b)-1]+`,"resources":[{"x":1}`, c), "ab!c", event.ErrSyntax},
		{"garbage before a line", a + "\ngarbage\n" + c, "a!c", event.ErrSyntax},
		{"garbage between elements", `[` + a + `,nil,` + c + `]`, "a!c", event.ErrSyntax},
		{"truncated", file(a, b, c)[:len(file(a, b))+20], "ab!", io.ErrUnexpectedEOF},
		{"truncated between records", `{"Records":[` + a + `,` + b, "ab!", io.ErrUnexpectedEOF},
		{"truncated line", a + "\n" + b + "\n" + c[:100], "ab!", io.ErrUnexpectedEOF},
		{"truncated gzip", zip(file(a, b, strings.Repeat(" ", 1<<10)))[:len(zip(file(a, b)))-9], "ab!", io.ErrUnexpectedEOF},
		{"gzip with a wrong checksum", zip(a + b)[:len(zip(a+b))-8] + "12345678", "ab!", gzip.ErrChecksum},
		{"gzip, then garbage", zip(a+b) + "garbage, a whole lot of it", "ab!", gzip.ErrHeader},
		{"no gzip after all", "\x1f\x8bgarbage, a whole lot of it", "!", gzip.ErrHeader},
		{"too large", file(a, big, c), "a!c", event.ErrTooLarge},
		{"too large on a line", a + "\n" + big + "\n" + c, "a!c", event.ErrTooLarge},
		{"too large and open", `[` + a + `,{"x":[` + strings.Repeat(`"x",`, 1<<20) + c, "a!c", event.ErrTooLarge},
		{"too large, not at the top", `[` + a + `,"` + strings.Repeat(`x`, 3<<20) + `",` + c + `]`, "a!c", event.ErrTooLarge},
		{"too deep", file(a, deep, c), "a!c", event.ErrTooDeep},
		{"null element", `[` + a + `,null,` + c + `]`, "a!c", event.ErrNotRecord},
		{"number element", `[` + a + `,17,` + c + `]`, "a!c", event.ErrNotRecord},
		{"other object", `[` + a + `,{"hello":"world"},` + c + `]`, "a!c", event.ErrNotRecord},
		{"envelope without records", file(a, `{"messageType":"DATA_MESSAGE","owner":"x"}`, c), "a!c", event.ErrNotRecord},
		{"records that are no array", a + `{"Records":null}` + c, "a!c", event.ErrNotRecord},
		{"records in an unknown wrapper", a + `{"hits":[{"source":` + b + `}]}` + c, "a!bc", event.ErrNotRecord},
		{"bad time", file(a, broken("2026-01-05T09:00:00Z", "yesterday"), c), "a!c", event.ErrTime},
		{"time before AWS", file(a, broken("2026-01-05T09:00:00Z", "1970-01-01T00:00:00Z"), c), "a!c", event.ErrTime},
		{"time far away", file(a, broken("2026-01-05T09:00:00Z", "2206-01-01T00:00:00Z"), c), "a!c", event.ErrTime},
		{"aggregated", file(a, `{"eventVersion":"1.0","eventId":"x","eventCategory":"Aggregated","eventType":"AwsAggregatedEvent"}`, c), "a!c", event.ErrAggregated},
		{"S3 notification", file(a, `{"eventVersion":"2.1","eventSource":"aws:s3","awsRegion":"us-east-1","eventTime":"2026-01-05T09:00:00Z","eventName":"ObjectCreated:Put","s3":{}}`, c), "a!c", event.ErrNotification},
		{"S3 test message", a + `{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"b"}` + c, "a!c", event.ErrNotification},
		{"S3 by EventBridge", a + `{"version":"0","detail-type":"Object Created","source":"aws.s3","detail":{"bucket":{}}}` + c, "a!c", event.ErrNotification},
		{"CloudTrail's SNS", a + `{"Type":"Notification","Message":"{\"s3Bucket\":\"b\",\"s3ObjectKey\":[\"k\"]}"}` + c, "a!c", event.ErrNotification},
		{"CloudTrail's first SNS", a + `{"Type":"Notification","Message":"CloudTrail validation message."}` + c, "a!c", event.ErrNotification},
		{"other EventBridge event", a + `{"version":"0","detail-type":"GuardDuty Finding","source":"aws.guardduty","detail":{}}` + c, "a!c", event.ErrNotRecord},
		{"bad base64", a + `{"awslogs":{"data":"!!"}}` + c, "a!c", event.ErrSyntax},
		{"truncated payload", a + `{"awslogs":{"data":"` + base64Of(zip(b)[:20]) + `"}}` + c, "a!c", event.ErrSyntax},
		{"empty message", a + `{"Type":"Notification","Message":" "}` + c, "a!c", event.ErrNotRecord},
		{"too many wrappers", a + strings.Repeat("[", 9) + b + strings.Repeat("]", 9) + c, "a!bc", event.ErrTooDeep},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ids, errs := readAll(t, strings.NewReader(tt.input), nil)
			assert.Equal(t, tt.want, strings.Join(ids, ""), "%v", errs)
			reused, _ := readAll(t, strings.NewReader(tt.input), &event.ReadOptions{Reuse: true})
			assert.Equal(t, ids, reused, "in memory that is reused")
			for _, err := range errs {
				var decode *event.DecodeError
				require.ErrorAs(t, err, &decode)
				assert.ErrorIs(t, err, tt.err)
				assert.Equal(t, strings.Index(tt.want, "!"), decode.Record)
			}
		})
	}
}

// TestReadFaultsInARow pins that one fault does not hide the next.
func TestReadFaultsInARow(t *testing.T) {
	a, broken := versionFirst("a"), strings.Replace(versionFirst("b"), `"key":"k"`, `"key":k`, 1)
	for _, tt := range []struct{ name, input, want string }{
		{"no JSON at the start: lines of an access log", strings.Join([]string{"garbage", broken, a}, "\n"), "!!!"},
		{"lines after one good", strings.Join([]string{a, broken, broken, `{"x":1}`, a, broken, a}, "\n"), "a!!!a!a"},
		{"lines after garbage", strings.Join([]string{a, "garbage", broken, `{"x":1}`, a}, "\n"), "a!!!a"},
		{"elements", "[" + strings.Join([]string{broken, broken, `{"x":1}`, a, broken, a}, ",") + "]", "!!!a!a"},
	} {
		ids, errs := readAll(t, strings.NewReader(tt.input), nil)
		assert.Equal(t, tt.want, strings.Join(ids, ""), "%s: %v", tt.name, errs)
	}
}

func TestReadOffsets(t *testing.T) {
	a := record("a")
	for _, tt := range []struct {
		name, input string
		offset      int
	}{
		{"syntax: of the fault", a + `{"x":]}`, len(a) + 5},
		{"depth: of the fault", a + strings.Repeat(`{"x":`, 65), len(a) + 64*5},
		{"else: of the record", a + " \n" + `{"hello":"world"}`, len(a) + 2},
		{"element of an array", `[` + a + `, 17]`, len(a) + 3},
		{"end", a + `{"x":`, len(a) + 5},
		{"wrapper: of the wrapper", a + `{"Message":"{\"x\":]}"}`, len(a)},
		{"beyond the first chunk", strings.Repeat(a, 500) + ` {"hello":"world"}`, 500*len(a) + 1},
		{"after decompression", zip(a + `{"x":]}`), len(a) + 5},
		{"line", accessLine + "\ngarbage\n", len(accessLine) + 1},
	} {
		_, errs := readAll(t, strings.NewReader(tt.input), nil)
		require.Len(t, errs, 1, tt.name)
		var decode *event.DecodeError
		require.ErrorAs(t, errs[0], &decode, tt.name)
		assert.Equal(t, int64(tt.offset), decode.Offset, tt.name)
	}
}

func TestReadFailingReader(t *testing.T) {
	failure := errors.New("disk on fire")
	a := record("a")
	for name, input := range map[string]string{
		"between records": a, "inside one": a + a[:50], "inside an array": "[" + a + ",", "at once": "",
		"inside gzip": zip(a)[:20], "inside a line": accessLine[:50],
	} {
		var last error
		for e, err := range event.Read(io.MultiReader(strings.NewReader(input), iotest.ErrReader(failure)), nil) {
			require.NoError(t, last, "%s: nothing comes after the failure", name)
			if err == nil {
				assert.Equal(t, "a", e.ID, name)
			}
			last = err
		}
		assert.ErrorIs(t, last, failure, name)
		var decode *event.DecodeError
		assert.False(t, errors.As(last, &decode), name)
	}
}

func TestReadStops(t *testing.T) {
	for _, input := range []string{"[" + record("a") + "," + record("b") + "]", `[1,2]`, accessLine + "\n" + accessLine, "x\nx"} {
		n := 0
		for range event.Read(strings.NewReader(input), nil) {
			n++
			break
		}
		assert.Equal(t, 1, n)
	}
}

// Batches have what single events have, all of a batch at once, whatever the
// memory that is used again.
func TestReadBatches(t *testing.T) {
	var records []string
	for i := range 1000 {
		records = append(records, strings.Replace(versionFirst(fmt.Sprint("id", i)), `}`, fmt.Sprintf(`,"requestID":%q}`, strings.Repeat("x", i*i%1999)), 1))
	}
	array := `{"Records":[` + strings.Join(records, ",") + "]}"
	inputs := map[string]string{
		"array":         array,
		"lines":         strings.Join(records, "\n"),
		"gzip":          zip(array),
		"subscription":  subscription(records[:100]...),
		"faults":        strings.Join(records[:100], "\n") + "\n" + records[0][:90] + "\n[1," + strings.Join(records[100:], ","),
		"access log":    strings.Repeat(accessLine+"\n", 100),
		"bad lines":     strings.Repeat(accessLine+"\nx\n"+accessLine+"\n", 50),
		"inner inputs":  strings.Repeat(`{"data":"`+base64Of(zip(strings.Join(records[:50], "\n")))+`"}`+"\n"+records[1]+"\n", 20),
		"one":           records[0],
		"none":          "",
		"swallowed one": "[" + strings.Join(records[:40], ",") + "," + records[40][:len(records[40])-1] + "," + strings.Join(records[41:80], ",") + "]",
	}
	for name, input := range inputs {
		for _, reuse := range []bool{false, true} {
			o := &event.ReadOptions{Reuse: reuse}
			var want, got []any
			for e, err := range event.Read(strings.NewReader(input), o) {
				if err != nil {
					want = append(want, err.Error())
				} else {
					want = append(want, e.Clone())
				}
			}
			var last []*event.Event
			for batch, err := range event.ReadBatches(strings.NewReader(input), o) {
				last = batch
				if err != nil {
					assert.Empty(t, batch)
					got = append(got, err.Error())
					continue
				}
				assert.NotEmpty(t, batch)
				assert.LessOrEqual(t, len(batch), 32)
				for _, e := range batch {
					got = append(got, e.Clone())
				}
			}
			assert.Equal(t, len(want), len(got), name)
			assert.True(t, reflect.DeepEqual(want, got), name)
			for _, e := range last {
				assert.Empty(t, e.Text, "the memory is let go") // and nobody has it yet
			}
		}
	}
}

// No event waits for input that has not come.
func TestReadBatchesDoesNotWait(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	arrived := make(chan int)
	go func() {
		defer close(arrived)
		for batch, err := range event.ReadBatches(r, nil) {
			if assert.NoError(t, err) {
				arrived <- len(batch)
			}
		}
	}()
	for range 3 {
		io.WriteString(w, record("a")+"\n"+record("b")+"\n")
		assert.Equal(t, 2, <-arrived)
	}
	w.Close()
	<-arrived
}

// Who wants no more does not wait for input either.
func TestReadStopsBeforeMoreInput(t *testing.T) {
	for _, input := range []string{record("a"), record("a") + "\n", record("a") + record("b")[:50], "[" + record("a"), accessLine + "\n", "[1,"} {
		r := &silent{text: input}
		for range event.ReadBatches(r, nil) {
			break
		}
		for range event.Read(&silent{text: input}, nil) {
			break
		}
		assert.False(t, r.asked, input)
	}
}

// silent is a reader of which nothing comes behind a text.
type silent struct {
	text  string
	asked bool // for more
}

func (r *silent) Read(p []byte) (int, error) {
	r.asked = r.text == ""
	n := copy(p, r.text)
	r.text = r.text[n:]
	if r.asked {
		return 0, io.EOF
	}
	return n, nil
}

func TestReadBatchesStops(t *testing.T) {
	for _, input := range []string{strings.Repeat(record("a"), 100), "[1,2]", strings.Repeat(accessLine+"\n", 100), record("a") + "x"} {
		n := 0
		for range event.ReadBatches(strings.NewReader(input), nil) {
			n++
			break
		}
		assert.Equal(t, 1, n)
	}
	failure := errors.New("disk")
	var last error
	for _, err := range event.ReadBatches(io.MultiReader(strings.NewReader(record("a")), iotest.ErrReader(failure)), nil) {
		last = err
	}
	assert.ErrorIs(t, last, failure)
}

func TestReadOptions(t *testing.T) {
	a := record("a")
	for _, tt := range []struct {
		name, input string
		options     event.ReadOptions
		want        string
		err         error
	}{
		{"record of just the size", a, event.ReadOptions{MaxRecord: len(a)}, "a", nil},
		{"record too large", a, event.ReadOptions{MaxRecord: len(a) - 1}, "!", event.ErrTooLarge},
		{"depth just enough", a, event.ReadOptions{MaxDepth: 2}, "a", nil},
		{"too deep", a, event.ReadOptions{MaxDepth: 1}, "!", event.ErrTooDeep},
		{"in time", a, event.ReadOptions{NotAfter: eventtest.Start}, "a", nil},
		{"too late", a, event.ReadOptions{NotAfter: eventtest.Start.Add(-time.Second)}, "!", event.ErrTime},
		{"line too late", accessLine, event.ReadOptions{NotAfter: eventtest.Start.Add(-time.Second)}, "!", event.ErrTime},
		{"line too large", accessLine, event.ReadOptions{MaxRecord: 100}, "!", event.ErrTooLarge},
		{"expands too far", zip(a + strings.Repeat(" ", 1<<20) + a), event.ReadOptions{MaxDecompressed: 1 << 19}, "a!", event.ErrTooLarge},
		{"expands without limit", zip(a + strings.Repeat(" ", 1<<20) + a), event.ReadOptions{MaxDecompressed: -1}, "aa", nil},
		{"expands in layers", zip(zip(strings.Repeat(" ", 1<<20) + a)), event.ReadOptions{MaxDecompressed: 1 << 20}, "!", event.ErrTooLarge},
	} {
		ids, errs := readAll(t, strings.NewReader(tt.input), &tt.options)
		assert.Equal(t, tt.want, strings.Join(ids, ""), tt.name)
		for _, err := range errs {
			assert.ErrorIs(t, err, tt.err, tt.name)
		}
	}
}

// A closer counts what is open.
type closer struct {
	io.Reader
	open *int
}

func (c closer) Close() error {
	*c.open--
	return nil
}

func TestReadGzip(t *testing.T) {
	opened, open := 0, 0
	o := event.ReadOptions{MaxDecompressed: 1 << 16, Gzip: func(r io.Reader) (io.Reader, error) {
		opened++
		open++
		z, err := gzip.NewReader(r)
		return closer{z, &open}, err
	}}
	read := func(input string) (ids []string, last error) {
		for e, err := range event.Read(strings.NewReader(input), &o) {
			if err != nil {
				last = err
				continue
			}
			ids = append(ids, e.ID)
		}
		assert.Zero(t, open)
		return ids, last
	}
	ids, err := read(zip(zip(record("a") + record("b"))))
	assert.NoError(t, err)
	assert.Equal(t, []string{"a", "b"}, ids)
	assert.Equal(t, 2, opened)

	ids, err = read(zip(record("a") + strings.Repeat(" ", 1<<17) + record("b")))
	assert.ErrorIs(t, err, event.ErrTooLarge)
	assert.Equal(t, []string{"a"}, ids)

	failure := errors.New("no decompressor")
	o.Gzip = func(io.Reader) (io.Reader, error) { return nil, failure }
	ids, err = read(zip(record("a")))
	assert.ErrorIs(t, err, failure)
	assert.ErrorIs(t, err, event.ErrSyntax)
	assert.Empty(t, ids)
}

// TestReadSmallFiles pins that what one input needs serves the next.
func TestReadSmallFiles(t *testing.T) {
	if testing.Short() {
		t.Skip("for the race detector, which makes pools forget")
	}
	file := strings.NewReader("")
	text := zip(record("a"))
	allocations := testing.AllocsPerRun(100, func() {
		file.Reset(text)
		for _, err := range event.Read(file, &event.ReadOptions{Reuse: true}) {
			assert.NoError(t, err)
		}
	})
	assert.Less(t, allocations, 10.0)
	allocations = testing.AllocsPerRun(100, func() {
		file.Reset(text)
		for _, err := range event.ReadBatches(file, &event.ReadOptions{Reuse: true}) {
			assert.NoError(t, err)
		}
	})
	assert.Less(t, allocations, 10.0)
}
