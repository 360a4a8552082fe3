package awstrail

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/cloudtell/cloudtell/event"
)

// HistoryOptions say what [History] reads and how fast. Nil, and the zero
// value, are the defaults.
type HistoryOptions struct {
	// Regions are the regions to read. The default is the client's. Calls to
	// global services, such as IAM and most sign-ins, are in us-east-1.
	Regions []string
	// CallsPerSecond is how often each region is asked. The default is 2, all
	// that AWS allows to an account; set less to leave some to others.
	CallsPerSecond float64
	// MaxHeld is how many bytes of records are read of each region at once, to
	// put them in order. The default is 16 MiB, about ten thousand records. Count
	// on four times as much memory: an event needs as much again beside its
	// record, and the next records are read while these are consumed.
	MaxHeld int
}

const (
	// historyDays is how far CloudTrail's event history goes back, and
	// historyRate how many calls a second it allows to an account in a region
	// (API reference of LookupEvents).
	historyDays = 90
	historyRate = 2

	defaultMaxHeld = 16 << 20

	// firstSpan is how long the first window of time is. The next ones are four
	// times as long at most, so a region without events takes seven calls.
	firstSpan = time.Hour
	maxGrowth = 4
	// minSpan is the shortest window: event times are whole seconds.
	minSpan = time.Second
)

// A RegionError says that the rest of a region could not be read. The other
// regions are read to their end.
type RegionError struct {
	Region string    // "" for the client's own
	From   time.Time // all events before that were yielded; go on here
	Err    error
}

func (e *RegionError) Error() string {
	return fmt.Sprintf("awstrail: event history of %s from %s: %v",
		cmp.Or(e.Region, "the client's region"), e.From.Format(time.RFC3339), e.Err)
}

func (e *RegionError) Unwrap() error { return e.Err }

// History reads CloudTrail's event history: the management events from a time
// on until before another, to the second. The zero from is 90 days before to,
// which is as far as the history goes. Events of the last 15 minutes may not be
// there yet.
//
// Events come in the order of their time, over all regions. AWS gives the
// newest first, so History asks for one window of time after the other, the
// oldest first, and makes windows as short as [HistoryOptions.MaxHeld] demands:
// memory does not grow with the history. The regions are read at the same time.
// At the rate that AWS allows, a million events of one region take three hours.
//
// Calls that are throttled or cut off are tried again as the client's retryer
// says. What fails after that ends its region with a [*RegionError] and leaves
// the others alone. A record that cannot be read is an error that wraps an
// [*event.DecodeError], and reading goes on behind it. When ctx ends, its error
// comes last. The events are the caller's to keep.
func History(ctx context.Context, client *cloudtrail.Client, from, to time.Time, o *HistoryOptions) iter.Seq2[*event.Event, error] {
	return func(yield func(*event.Event, error) bool) {
		if to.IsZero() {
			yield(nil, errors.New("awstrail: event history until no time at all"))
			return
		}
		options := o.withDefaults()
		to := to.Add(minSpan - 1).Truncate(minSpan)
		from := from
		if from.IsZero() {
			from = to.AddDate(0, 0, -historyDays)
		}
		from = from.Truncate(minSpan)
		inner, cancel := context.WithCancel(ctx)
		var readers sync.WaitGroup
		defer readers.Wait()
		defer cancel()
		var streams []func() (item, bool)
		for _, name := range options.Regions {
			items := make(chan []item)
			r := &region{
				client: client, name: name, maxHeld: options.MaxHeld, items: items,
				pace: pace{every: time.Duration(float64(time.Second) / options.CallsPerSecond)},
			}
			readers.Go(func() {
				defer close(items)
				r.read(inner, from, to)
			})
			streams = append(streams, flatten(items))
		}
		stopped := false
		merge(streams, item.before, func(i item) bool {
			if ctx.Err() != nil { // a region may have ended early: what follows has gaps
				return false
			}
			stopped = !yield(i.event, i.err)
			return !stopped
		})
		if ctx.Err() != nil && !stopped {
			yield(nil, context.Cause(ctx))
		}
	}
}

func (o *HistoryOptions) withDefaults() HistoryOptions {
	var d HistoryOptions
	if o != nil {
		d = *o
	}
	if len(d.Regions) == 0 {
		d.Regions = []string{""}
	}
	if d.CallsPerSecond <= 0 {
		d.CallsPerSecond = historyRate
	}
	if d.MaxHeld <= 0 {
		d.MaxHeld = defaultMaxHeld
	}
	return d
}

// An item is an event, or an error in its place.
type item struct {
	time  time.Time
	event *event.Event
	err   error
}

func (i item) before(o item) bool { return i.time.Before(o.time) }

// flatten returns items one by one.
func flatten(batches <-chan []item) func() (item, bool) {
	var rest []item
	return func() (item, bool) {
		for len(rest) == 0 {
			batch, ok := <-batches
			if !ok {
				return item{}, false
			}
			rest = batch
		}
		next := rest[0]
		rest = rest[1:]
		return next, true
	}
}

// A region reads one region's history.
type region struct {
	client  *cloudtrail.Client
	name    string
	maxHeld int
	pace    pace
	items   chan<- []item
}

// read sends the events of a time, the oldest first.
func (r *region) read(ctx context.Context, from, to time.Time) {
	span := firstSpan
	cut := to // the next window ends here at the latest
	for from.Before(to) {
		end := earlier(from.Add(span), cut)
		held, oldest, err := r.window(ctx, from, end)
		switch {
		case err != nil:
			r.send(ctx, []item{{time: from, err: &RegionError{r.name, from, err}}})
			return
		case oldest.After(from): // too many, and all of them since then
			cut = oldest
			span = max(end.Sub(oldest)/2, minSpan).Truncate(minSpan)
		case oldest.Equal(from): // too many, some of them in the first second
			cut = from.Add(minSpan)
		default:
			// The next window is to fill half of the room.
			growth := float64(r.maxHeld/2) / float64(max(held, 1))
			next := time.Duration(float64(end.Sub(from)) * min(max(growth, 1.0/maxGrowth), maxGrowth)).Truncate(minSpan)
			if end.Equal(cut) { // it was short for another reason
				next = max(next, span)
			}
			span = max(next, minSpan)
			from, cut = end, to
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// window sends the events of a window of time, and returns how many bytes they
// are. If they need more room than there is, it sends nothing and returns the
// time of the oldest that it saw, unless it is the shortest window: one
// second's events have no order among them.
func (r *region) window(ctx context.Context, from, to time.Time) (held int, oldest time.Time, err error) {
	var items []item
	input := &cloudtrail.LookupEventsInput{
		StartTime:  aws.Time(from),
		EndTime:    aws.Time(to.Add(-minSpan)), // both ends count
		MaxResults: aws.Int32(50),
	}
	for {
		page, err := r.lookup(ctx, input)
		if err != nil {
			return 0, time.Time{}, err
		}
		for i := range page.Events {
			items = append(items, r.decode(&page.Events[i]))
			held += len(aws.ToString(page.Events[i].CloudTrailEvent))
		}
		token := aws.ToString(page.NextToken)
		switch {
		case token == "":
			slices.Reverse(items)
			slices.SortStableFunc(items, func(a, b item) int { return a.time.Compare(b.time) })
			return held, time.Time{}, r.send(ctx, items)
		case token == aws.ToString(input.NextToken):
			return 0, time.Time{}, errors.New("the page after this one is this one again")
		case held > r.maxHeld && to.Sub(from) > minSpan:
			oldest := slices.MinFunc(items, func(a, b item) int { return a.time.Compare(b.time) }).time.Truncate(minSpan)
			if oldest.Before(from) || !oldest.Before(to) { // not what was asked for
				oldest = from
			}
			return 0, oldest, nil
		case held > r.maxHeld:
			if err := r.send(ctx, items); err != nil {
				return 0, time.Time{}, err
			}
			items, held = nil, 0
		}
		input.NextToken = &token
	}
}

func (r *region) lookup(ctx context.Context, input *cloudtrail.LookupEventsInput) (*cloudtrail.LookupEventsOutput, error) {
	if err := r.pace.wait(ctx); err != nil {
		return nil, err
	}
	page, err := r.client.LookupEvents(ctx, input, func(o *cloudtrail.Options) {
		if r.name != "" {
			o.Region = r.name
		}
		o.Retryer = retryCutOff(o.Retryer)
	})
	if err != nil {
		return nil, err
	}
	// The SDK takes an answer without a body for one without events.
	if raw, ok := awsmiddleware.GetRawResponse(page.ResultMetadata).(*smithyhttp.Response); ok && raw.ContentLength == 0 {
		return nil, fmt.Errorf("an empty answer: %w", io.ErrUnexpectedEOF)
	}
	return page, nil
}

// decode reads an event of the history. Its record is a string inside.
func (r *region) decode(e *types.Event) item {
	record, err := event.Parse(aws.ToString(e.CloudTrailEvent))
	if err != nil {
		err = fmt.Errorf("awstrail: event %s of %s: %w", aws.ToString(e.EventId), cmp.Or(r.name, "the client's region"), err)
		return item{time: aws.ToTime(e.EventTime), err: err}
	}
	return item{time: record.Time, event: record}
}

func (r *region) send(ctx context.Context, items []item) error {
	if len(items) == 0 {
		return nil
	}
	select {
	case r.items <- items:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A pace keeps calls apart.
type pace struct {
	every time.Duration
	next  time.Time
}

func (p *pace) wait(ctx context.Context) error {
	now := time.Now()
	if d := p.next.Sub(now); d > 0 {
		if err := sleep(ctx, d); err != nil {
			return err
		}
		now = p.next
	}
	p.next = now.Add(p.every)
	return ctx.Err()
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
