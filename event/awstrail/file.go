package awstrail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"regexp"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/cloudtell/cloudtell/event"
)

// A File is a log file in a trail's bucket.
type File struct {
	Bucket, Key string
	Account     string    // whose log it is
	Region      string    // where the calls were made
	Delivered   time.Time // to the minute; its events are older, most by minutes
	Size        int64     // in bytes, compressed; 0 if a notification did not tell
}

// String returns the file's address: "s3://bucket/key".
func (f File) String() string { return "s3://" + f.Bucket + "/" + f.Key }

var (
	// fileName is what CloudTrail calls files of events and of network activity
	// events: account, region, time of delivery, unique string. Digests, insights
	// and aggregated events have another second part.
	fileName = regexp.MustCompile(`(?:^|/)(\d{12})_CloudTrail(?:-NetworkActivity)?_([a-z0-9-]+)_(\d{8}T\d{4}Z)_[0-9A-Za-z]+\.json(?:\.gz)?$`)
	// otherFolder is a folder of digests, insights or aggregated events.
	otherFolder = regexp.MustCompile(`(?:^|/)CloudTrail-(?:Digest|Insight|Aggregated)/`)
)

// ParseKey tells from its key whether an object is a log file of single events,
// and if so, which. Digests, insights, aggregated events and all that is not
// CloudTrail's are none.
func ParseKey(bucket, key string) (f File, ok bool) {
	name := fileName.FindStringSubmatch(key)
	if name == nil || otherFolder.MatchString(key) {
		return File{}, false
	}
	delivered, err := time.Parse("20060102T1504Z", name[3])
	if err != nil {
		return File{}, false
	}
	return File{Bucket: bucket, Key: key, Account: name[1], Region: name[2], Delivered: delivered}, true
}

// Read reads the events of a log file, as [event.Read] does: an event is valid
// until the next iteration, and a record that cannot be read is an error that
// wraps an [*event.DecodeError]. A download that breaks off goes on where it
// broke off. Any other error means that the file was not read to its end.
func Read(ctx context.Context, client *s3.Client, f File, o *event.ReadOptions) iter.Seq2[*event.Event, error] {
	return func(yield func(*event.Event, error) bool) {
		body := &download{ctx: ctx, client: client, file: f}
		defer body.close()
		for e, err := range event.Read(body, o) {
			if err != nil {
				err = fmt.Errorf("awstrail: %v: %w", f, err)
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// maxResumes is how often a download goes on without having got anything.
const maxResumes = 3

// A download reads an object. When the connection breaks, it asks for the rest.
type download struct {
	ctx    context.Context
	client *s3.Client
	file   File

	body   io.ReadCloser
	offset int64
	etag   *string // of the object that the first bytes came from
	idle   int     // failures since the last byte
	err    error   // that ended it
}

func (d *download) Read(p []byte) (n int, err error) {
	for n == 0 && d.err == nil {
		if d.body == nil {
			if d.err = d.open(); d.err != nil {
				break
			}
		}
		n, err = d.body.Read(p)
		d.offset += int64(n)
		if n > 0 {
			d.idle = 0
		}
		switch {
		case err == nil:
			return n, nil
		case err == io.EOF:
			d.err = err
		case d.ctx.Err() != nil:
			d.err = context.Cause(d.ctx)
		case d.idle == maxResumes:
			d.err = err
		default:
			d.idle++
			d.close()
		}
	}
	if n > 0 {
		return n, nil
	}
	return 0, d.err
}

func (d *download) open() error {
	input := &s3.GetObjectInput{Bucket: &d.file.Bucket, Key: &d.file.Key, IfMatch: d.etag}
	if d.offset > 0 {
		input.Range = aws.String(fmt.Sprintf("bytes=%d-", d.offset))
	}
	out, err := d.client.GetObject(d.ctx, input)
	if err != nil {
		return err
	}
	if d.offset > 0 && out.ContentRange == nil {
		out.Body.Close()
		return errors.New("asked for the rest of an object, got all of it")
	}
	d.body, d.etag = out.Body, out.ETag
	return nil
}

func (d *download) close() {
	if d.body != nil {
		d.body.Close()
		d.body = nil
	}
}
