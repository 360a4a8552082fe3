package awstrail

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// ReceiveOptions say how [Receive] receives. Nil, and the zero value, are the
// defaults.
type ReceiveOptions struct {
	// Batch is how many messages are asked for at a time, 1 to 10. The default
	// is 10. All of a batch should be done within the queue's visibility timeout;
	// what is not comes again, to this receiver or another one.
	Batch int
	// Buckets are those whose files may be announced. Whoever may send to the
	// queue could otherwise have a log read that he wrote himself. The default is
	// any bucket.
	Buckets []string
}

const (
	defaultBatch = 10
	// poll is how long SQS waits for a message, in seconds: the most it allows.
	poll = 20

	firstPause = time.Second
	lastPause  = time.Minute
)

// A Delivery is a message that announces log files, one or several.
type Delivery struct {
	ID    string // of the message
	Files []File

	client  *sqs.Client
	queue   string
	receipt string
}

// Done deletes the message from its queue. Call it when the files' events have
// been consumed for good: findings sent, profiles saved. A message that was not
// deleted comes again after the queue's visibility timeout. An error means that
// it may.
func (d *Delivery) Done(ctx context.Context) error {
	_, err := d.client.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &d.queue, ReceiptHandle: &d.receipt})
	if err != nil {
		return fmt.Errorf("awstrail: deleting message %s: %w", d.ID, err)
	}
	return nil
}

// Receive takes notifications about new log files from an SQS queue, in any of
// the shapes that [ParseNotification] knows, until ctx ends. Give it the URL of
// the queue.
//
// The caller reads the files and calls [Delivery.Done]; several deliveries may
// be done together and later. SQS delivers at least once and in no order, and an
// engine ignores events that it has seen.
//
// Messages that announce no log file, about digests for instance, are deleted.
// One that cannot be understood, or names a bucket that is not in
// [ReceiveOptions.Buckets], is an error and stays in the queue: a redrive policy
// puts it aside. When the queue cannot be reached, that is an error, too, and is
// tried again after a pause that grows to a minute.
func Receive(ctx context.Context, client *sqs.Client, queue string, o *ReceiveOptions) iter.Seq2[*Delivery, error] {
	r := &receiver{client: client, queue: queue, batch: defaultBatch}
	if o != nil {
		r.buckets = o.Buckets
		if o.Batch > 0 {
			r.batch = min(o.Batch, defaultBatch)
		}
	}
	return func(yield func(*Delivery, error) bool) {
		pause := firstPause
		for ctx.Err() == nil {
			out, err := client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
				QueueUrl: &queue, MaxNumberOfMessages: int32(r.batch), WaitTimeSeconds: poll,
			})
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				if !yield(nil, fmt.Errorf("awstrail: receiving from %s: %w", queue, err)) || sleep(ctx, pause) != nil {
					return
				}
				pause = min(2*pause, lastPause)
				continue
			}
			pause = firstPause
			for _, m := range out.Messages {
				d, err := r.delivery(ctx, aws.ToString(m.MessageId), aws.ToString(m.ReceiptHandle), aws.ToString(m.Body))
				if (d != nil || err != nil) && !yield(d, err) {
					return
				}
			}
		}
	}
}

type receiver struct {
	client  *sqs.Client
	queue   string
	batch   int
	buckets []string
}

// delivery returns what a message announces; nil if that is nothing.
func (r *receiver) delivery(ctx context.Context, id, receipt, body string) (*Delivery, error) {
	d := &Delivery{ID: id, client: r.client, queue: r.queue, receipt: receipt}
	var err error
	if d.Files, err = announced(body); err != nil {
		return nil, fmt.Errorf("awstrail: message %s: %w", id, err)
	}
	for _, f := range d.Files {
		if len(r.buckets) > 0 && !slices.Contains(r.buckets, f.Bucket) {
			return nil, fmt.Errorf("awstrail: message %s announces %v, and %q is none of the buckets expected", id, f, f.Bucket)
		}
	}
	if len(d.Files) == 0 {
		return nil, d.Done(ctx)
	}
	return d, nil
}
