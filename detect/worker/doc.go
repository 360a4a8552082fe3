// Package worker runs detection on a keyed queue such as Kafka or JetStream, so
// that any number of processes share the work and none of them matters: they
// may die, hang or lose the network at any moment, and every finding still
// reaches whoever waits for it, under the ID that a single process would have
// given it.
//
// A [Router] writes each event to the partition of each of its keys. A [Worker]
// takes messages from a [Source], keeps what is remembered about a key in a
// [baseline.Store], and gives findings to a [Sink]. For each batch it
//
//  1. loads the records of the batch's keys and applies the events,
//  2. saves the records by compare-and-swap,
//  3. publishes the findings under their IDs,
//  4. acknowledges the batch.
//
// What makes that safe is in each record beside the profile: the positions up
// to which it has taken messages in, and an outbox with the findings of the
// last save. A batch delivered again finds what it says taken in already, and
// the outbox is published again. A batch that starts behind the record's
// position proves that everything before was acknowledged, and so published.
// Because findings are published only once the record that knows of them is
// stored, a worker that was taken for dead and wakes up publishes nothing new:
// its save is refused, and it takes up the record as it has become.
//
// Messages in a partition must come in order. The package does no I/O of its
// own and reads no clock. The adapters natsengine and kafkaengine are modules
// of their own.
package worker
