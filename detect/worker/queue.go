package worker

import (
	"context"
	"fmt"
	"strings"

	"github.com/cloudtell/cloudtell/baseline"
)

// A Message is an element of a queue: one event for one key, usually.
type Message struct {
	// Scope is the name of the scope that the message was routed by.
	Scope string
	// Partition names the sequence that the message is part of, Offset its
	// place there.
	Partition string
	Offset    uint64
	// Data is a log record in any shape that [event.Read] takes. It may hold
	// several events.
	Data []byte
}

// A Source delivers the messages of some partitions. Its contract:
//
//  1. Next waits until there are messages, and returns some: those of one
//     partition in ascending order of their offsets. From one call to the next
//     none is left out.
//  2. A Source begins each partition at the first message that was not
//     acknowledged, or before it, whoever had it delivered. It may go back
//     there at any time. An error of Next that is io.EOF says that there will
//     never be more.
//  3. A nil error of Ack says that all messages of the batch are acknowledged,
//     and with them those before in their partitions; or that the partition has
//     gone to another worker. After an error, Ack may be called again, and so
//     may Next.
//  4. A partition's name stands for one sequence of messages forever. If
//     offsets begin anew because a queue was set up again, the name is another.
//  5. What Next returned stays as it is until the next call of Next.
//  6. A cancelled context ends a call with an error that wraps the context's.
//
// One goroutine uses it. workertest.TestSource checks the lines.
type Source interface {
	Next(ctx context.Context) ([]Message, error)
	Ack(ctx context.Context, batch []Message) error
}

// A Sink takes what a worker has to tell. Its contract:
//
//  1. A nil error says that everything given is stored and will not be lost
//     with the process or a server.
//  2. After an error, each element may be stored or not. It will be given again.
//  3. What is given again has the same ID, and is to be known as a duplicate by
//     that, here or by whoever reads on. Its data may differ in what time
//     alone has changed, such as a rule's text after an update.
//  4. A cancelled context ends a call with an error that wraps the context's.
//
// One goroutine uses it.
type Sink interface {
	Publish(ctx context.Context, alerts []Alert) error
	Reject(ctx context.Context, letters []Letter) error
}

// An Alert is a finding on its way.
type Alert struct {
	// ID is the finding's ID, followed by "." and its revision if that is not
	// 0.
	ID string
	// Data is the [detect.Finding] as JSON. One that would have more than 32
	// KiB has its texts shortened and lacks evidence, checks and unusual
	// values.
	Data []byte
}

// A Letter is a message, or a part of one, that could not be evaluated.
type Letter struct {
	// ID is made of where the record was, so it is the same each time the
	// record is met.
	ID string `json:"id"`
	// Error says what is wrong, and where.
	Error string `json:"error"`
	// Data is the input that the record was in, as it came. The first letter about
	// an input has it, if it has no more than [MaxLetter] bytes; in all others the
	// ID says where to look.
	Data []byte `json:"data,omitempty"`
}

// MaxLetter is the size of the largest input that a [Letter] has a copy of, in
// bytes.
const MaxLetter = 256 << 10

func newLetter(id string, err error, data []byte) Letter {
	if len(data) > MaxLetter {
		data = nil
	}
	return Letter{ID: shortID(id), Error: cut(err.Error()), Data: data}
}

// maxText is how much is left of long texts that travel in headers or findings:
// logs say what they like, and no message may become too large to be sent.
const maxText = 1 << 10

func cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + "…"
}

// shortID returns an ID that is not long: the end of a long one becomes a hash.
func shortID(id string) string {
	if len(id) <= maxText {
		return id
	}
	return fmt.Sprintf("%s…%016x", strings.ToValidUTF8(id[:maxText], ""), baseline.Hash(id))
}
