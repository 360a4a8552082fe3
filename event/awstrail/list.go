package awstrail

import (
	"context"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// ListOptions say which log files [List] lists. Nil, and the zero value, stand
// for all of a bucket without a prefix.
type ListOptions struct {
	// Prefix is the trail's prefix in the bucket: what its keys have before
	// "AWSLogs/".
	Prefix string
	// Accounts and Regions are those to list. The default is all that have a
	// folder.
	Accounts, Regions []string
	// From and To are times of delivery: files from one on until before the other
	// are listed. A zero time is no limit.
	From, To time.Time
}

// listed is how many keys are held at once, over all folders.
const listed = 100_000

var (
	accountFolder      = regexp.MustCompile(`^\d{12}$`)
	organizationFolder = regexp.MustCompile(`^o-[a-z0-9]{10,32}$`)
)

// List lists the log files in a trail's bucket, also an organisation's, in the
// order of their delivery, over all accounts and regions. Read in that order,
// events are out of order by as much as deliveries differ: minutes, mostly.
// Digests, insights and aggregated events are left out.
//
// To go on later, set [ListOptions.From] to the time of the last file, or an
// hour before: files of one minute come in no order, and a delivery may be late.
// A file that comes again does no harm, because an engine knows what it has
// seen.
//
// A folder whose files cannot be listed is an error, and the others are listed to
// their end. If the folders themselves cannot, that error is all. List holds 100,000 keys at most, but one for each account and region
// in any case.
func List(ctx context.Context, client *s3.Client, bucket string, o *ListOptions) iter.Seq2[File, error] {
	if o == nil {
		o = &ListOptions{}
	}
	l := &lister{client: client, bucket: bucket, options: o}
	return func(yield func(File, error) bool) {
		folders, err := l.folders(ctx)
		if err != nil {
			yield(File{}, err)
			return
		}
		var streams []func() (listing, bool)
		page := int32(min(max(listed/max(len(folders), 1), 1), 1000))
		for _, folder := range folders {
			streams = append(streams, l.files(ctx, folder, page))
		}
		merge(streams, listing.before, func(i listing) bool {
			if i.err != nil {
				return yield(File{}, i.err)
			}
			return yield(i.file, nil)
		})
	}
}

// A listing is a file, or an error instead of the rest of a folder.
type listing struct {
	file File
	err  error
}

func (l listing) before(o listing) bool { return l.file.Delivered.Before(o.file.Delivered) }

type lister struct {
	client  *s3.Client
	bucket  string
	options *ListOptions
}

// folders returns the folders that hold days: one for each account, region and
// kind of event.
func (l *lister) folders(ctx context.Context) ([]string, error) {
	root := "AWSLogs/"
	if prefix := strings.TrimSuffix(l.options.Prefix, "/"); prefix != "" {
		root = prefix + "/" + root
	}
	top, err := l.inside(ctx, root)
	if err != nil {
		return nil, err
	}
	var accounts []string
	for _, folder := range top {
		if !organizationFolder.MatchString(base(folder)) {
			accounts = append(accounts, folder)
			continue
		}
		members, err := l.inside(ctx, folder)
		if err != nil {
			return nil, err
		}
		accounts = append(accounts, members...)
	}
	var folders []string
	for _, account := range accounts {
		if name := base(account); !accountFolder.MatchString(name) || !wanted(l.options.Accounts, name) {
			continue
		}
		for _, kind := range []string{"CloudTrail/", "CloudTrail-NetworkActivity/"} {
			regions, err := l.inside(ctx, account+kind)
			if err != nil {
				return nil, err
			}
			for _, region := range regions {
				if wanted(l.options.Regions, base(region)) {
					folders = append(folders, region)
				}
			}
		}
	}
	return folders, nil
}

func wanted(names []string, name string) bool { return len(names) == 0 || slices.Contains(names, name) }

// inside returns the folders inside a folder.
func (l *lister) inside(ctx context.Context, folder string) ([]string, error) {
	var inside []string
	pages := s3.NewListObjectsV2Paginator(l.client, &s3.ListObjectsV2Input{Bucket: &l.bucket, Prefix: &folder, Delimiter: aws.String("/")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx, alsoCutOff)
		if err != nil {
			return nil, l.failed(folder, err)
		}
		for _, prefix := range page.CommonPrefixes {
			inside = append(inside, aws.ToString(prefix.Prefix))
		}
	}
	return inside, nil
}

// files returns a stream of the files in a folder, the oldest first.
func (l *lister) files(ctx context.Context, folder string, pageSize int32) func() (listing, bool) {
	from, to := l.options.From.Truncate(time.Minute), l.options.To
	input := &s3.ListObjectsV2Input{Bucket: &l.bucket, Prefix: &folder, MaxKeys: &pageSize}
	if !from.IsZero() {
		input.StartAfter = aws.String(folder + from.UTC().Format("2006/01/02/"))
	}
	pages := s3.NewListObjectsV2Paginator(l.client, input)
	var rest []File
	last, ended := from, false
	return func() (listing, bool) {
		for len(rest) == 0 {
			if ended || !pages.HasMorePages() {
				return listing{}, false
			}
			page, err := pages.NextPage(ctx, alsoCutOff)
			if err != nil {
				ended = true
				return listing{File{Delivered: last}, l.failed(folder, err)}, true
			}
			for _, object := range page.Contents {
				f, ok := ParseKey(l.bucket, aws.ToString(object.Key))
				if !ok || f.Delivered.Before(from) {
					continue
				}
				if !to.IsZero() && !f.Delivered.Before(to) {
					ended = true // keys are in the order of time
					break
				}
				f.Size = aws.ToInt64(object.Size)
				rest, last = append(rest, f), f.Delivered
			}
		}
		next := rest[0]
		rest = rest[1:]
		return listing{file: next}, true
	}
}

func (l *lister) failed(folder string, err error) error {
	return fmt.Errorf("awstrail: listing s3://%s/%s: %w", l.bucket, folder, err)
}

func alsoCutOff(o *s3.Options) { o.Retryer = retryCutOff(o.Retryer) }

// base is a folder's own name.
func base(folder string) string {
	folder = strings.TrimSuffix(folder, "/")
	return folder[strings.LastIndexByte(folder, '/')+1:]
}
