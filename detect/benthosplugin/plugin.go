// Package benthosplugin makes cloudtell a processor of Redpanda Connect: log
// records go in, in any shape that event.Read knows, and findings come out. It
// imports nothing of Redpanda Connect but its public service package, so it
// builds against Bento just as well, with the import path rewritten.
//
// A program registers the components and hands over to the host:
//
//	err := benthosplugin.Register(service.GlobalEnvironment(), nil)
//	…
//	service.RunCLI(context.Background())
//
// # Delivery
//
// A processor does not learn whether what it returns is ever delivered. So every
// finding is saved in the key's record, together with what was learnt from the
// event that caused it, before it is returned: in the record's outbox. An input
// that redelivers what was not acknowledged brings that event again, after a
// rejected message as after a crash. Then the event counts as a duplicate and
// changes nothing, but its findings are returned from the outbox once more. No
// finding is lost, and one that is delivered twice has the same ID and revision
// both times.
//
// The output cloudtell_delivered takes findings out of the outbox. Placed behind
// the output proper in a sequential broker, it is reached only by what has been
// delivered.
//
// Package worker keeps an outbox too, in an envelope of another form, because it
// knows something else. Its queues have positions: that a batch begins behind the
// record's position proves that the outbox was published as a whole, and the
// position passes over events that come again. A processor is told no positions.
// It knows events that come again by their IDs, which are in the record, so its
// outbox has to say for each finding which event it belongs to, is emptied one
// finding at a time, and is absent where it is empty. What the two forms could
// share is a checksum. A store may be filled by an engine for either, but not by one
// of them for the other: its records are an error there.
package benthosplugin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/techniques"
)

// Options configures [Register]. Nil, and the zero value of every field, mean
// the defaults.
type Options struct {
	// Stores are the stores that configurations may name in their field store.
	// Besides these there is always "memory", a new [baseline.Memory] that all
	// processors of the environment share and that ends with the process. Who
	// gives a store closes it, after the streams have stopped.
	Stores map[string]baseline.Store
	// Detectors makes the rules from what a configuration says about the
	// organisation. This is where to add rules of one's own, and look-ups of
	// places and reputation. The default is [techniques.All].
	Detectors func(*techniques.Config) ([]detect.Detector, error)
}

// Register adds the processor cloudtell and the output cloudtell_delivered to
// an environment. Components of these names that it has already are replaced.
// It returns an error if a store is nil or its name is "" or "memory".
func Register(env *service.Environment, o *Options) error {
	if o == nil {
		o = &Options{}
	}
	p := plugin{
		keepers:   map[string]*keeper{"memory": newKeeper(&baseline.Memory{})},
		detectors: o.Detectors,
	}
	if p.detectors == nil {
		p.detectors = techniques.All
	}
	for name, store := range o.Stores {
		if name == "memory" || name == "" || store == nil {
			return fmt.Errorf("benthosplugin: store %q: it needs a store, and a name of its own", name)
		}
		p.keepers[name] = newKeeper(store)
	}
	if err := env.RegisterBatchProcessor("cloudtell", processorSpec(), p.newProcessor); err != nil {
		return err
	}
	return env.RegisterBatchOutput("cloudtell_delivered", deliveredSpec(), p.newDelivered)
}

// A plugin is what one call of Register is about.
type plugin struct {
	keepers   map[string]*keeper // by the store's name
	detectors func(*techniques.Config) ([]detect.Detector, error)
}

// The fields of the configuration.
const (
	fieldStore         = "store"
	fieldOrganisation  = "organisation"
	fieldSuppressions  = "suppressions"
	fieldLateness      = "lateness"
	fieldOutbox        = "outbox"
	fieldMaxRecord     = "max_record_bytes"
	fieldMaxDecompress = "max_decompressed_bytes"
)

func storeField() *service.ConfigField {
	return service.NewStringField(fieldStore).Default("memory").
		Description("The store that keeps what is learnt: `memory`, which ends with the process, or one that the program has registered.")
}

func processorSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Categories("Utility").
		Summary("Detects ATT&CK techniques in AWS logs: takes CloudTrail records and S3 server access log lines, returns findings.").
		Description(`
Every message may hold any number of records in any shape that cloudtell reads: log files, gzip, EventBridge events, CloudWatch Logs subscription data, messages of SQS, SNS, Kinesis and Firehose. Each finding becomes a message of JSON, with the metadata of the message that caused it and `+"`cloudtell_id`, `cloudtell_revision`, `cloudtell_rule`, `cloudtell_severity` and `cloudtell_record`"+`. Messages without findings are dropped.

A message that has records which cannot be read, or which belong to a damaged baseline, is returned as it came, with the error set; its other records are evaluated all the same. Route such messages with `+"`errored()`"+`.

When the store fails, the batch waits and is tried again until the store is back or the stream stops.

What came out but was not delivered comes out again when the input redelivers the message: findings may come twice, under the same ID, and are not lost.

Events of one principal should come in about the order of their time. Detection uses all processors by itself, so set `+"`pipeline.threads: 1`"+`: several threads would let batches overtake each other.`).
		Fields(
			storeField(),
			service.NewAnyMapField(fieldOrganisation).Default(map[string]any{}).
				Description("What is known about the organisation: `networks`, `accounts`, `vpc_endpoints`, `sensitive_buckets`, `public_buckets`, `sensitive_prefixes`, `sensitive_names`, `scanners`, `thresholds`.").
				Example(map[string]any{"networks": []any{"198.51.100.0/24"}, "sensitive_buckets": []any{"customer-*"}}),
			service.NewAnyListField(fieldSuppressions).Default([]any{}).
				Description("Findings not to report, each with `rule`, `principal`, `subject`, `reason` and `expires`.").
				Example([]any{map[string]any{"rule": "root-use", "reason": "yearly audit", "expires": "2026-12-31T00:00:00Z"}}),
			service.NewDurationField(fieldLateness).Default("15m").Advanced().
				Description("How far behind its principal's latest event an event may come and still be evaluated."),
			service.NewIntField(fieldOutbox).Default(64).Advanced().
				Description("How many findings of one key are kept for redelivery. If more than these are on their way at once, the oldest are not repeated."),
			service.NewIntField(fieldMaxRecord).Default(1<<20).Advanced().
				Description("The size in bytes of the largest record that is read."),
			service.NewIntField(fieldMaxDecompress).Default(1<<30).Advanced().
				Description("How many bytes one message may decompress to."),
		).
		Example("Findings to a file", "Findings go to one file, and what could not be read to another.", `
pipeline:
  threads: 1
  processors:
    - cloudtell:
        organisation:
          networks: [ 198.51.100.0/24 ]

output:
  switch:
    cases:
      - check: errored()
        output:
          file:
            path: unread.json
      - output:
          file:
            path: findings.json
`)
}

func deliveredSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Categories("Utility").
		Summary("Takes the findings that reach it out of the outbox of the cloudtell processor: they have been delivered.").
		Description("Place it second in a broker with the pattern `fan_out_sequential`. It knows findings by their metadata and passes over other messages.").
		Fields(storeField(), service.NewOutputMaxInFlightField().Default(1))
}

func (p *plugin) keeper(conf *service.ParsedConfig) (*keeper, error) {
	name, err := conf.FieldString(fieldStore)
	if err != nil {
		return nil, err
	}
	k := p.keepers[name]
	if k == nil {
		return nil, fmt.Errorf("there is no store %q; the stores are %q", name, slices.Sorted(maps.Keys(p.keepers)))
	}
	return k, nil
}

func (p *plugin) newProcessor(conf *service.ParsedConfig, res *service.Resources) (service.BatchProcessor, error) {
	k, err := p.keeper(conf)
	if err != nil {
		return nil, err
	}
	set, err := p.newSet(conf)
	if err != nil {
		return nil, err
	}
	pr := &processor{
		keeper: k,
		set:    set,
		log:    res.Logger(),

		events:   res.Metrics().NewCounter("cloudtell_events"),
		findings: res.Metrics().NewCounter("cloudtell_findings"),
		unread:   res.Metrics().NewCounter("cloudtell_unread"),
		retries:  res.Metrics().NewCounter("cloudtell_store_retries"),
	}
	var decompressed int
	for field, to := range map[string]*int{fieldOutbox: &pr.outbox, fieldMaxRecord: &pr.read.MaxRecord, fieldMaxDecompress: &decompressed} {
		if *to, err = conf.FieldInt(field); err != nil {
			return nil, err
		}
		if *to < 1 {
			return nil, fmt.Errorf("%s is %d; it must be above 0", field, *to)
		}
	}
	pr.read.MaxDecompressed = int64(decompressed)
	return pr, nil
}

// newSet makes the rules as a configuration says.
func (p *plugin) newSet(conf *service.ParsedConfig) (*detect.Set, error) {
	var organisation techniques.Config
	if err := decode(conf, fieldOrganisation, &organisation); err != nil {
		return nil, err
	}
	var o detect.SetOptions
	if err := decode(conf, fieldSuppressions, &o.Suppressions); err != nil {
		return nil, err
	}
	var err error
	if o.Lateness, err = conf.FieldDuration(fieldLateness); err != nil {
		return nil, err
	}
	if o.Lateness < time.Minute || o.Lateness > baseline.MaxLateness {
		return nil, fmt.Errorf("%s is %v; it is from a minute to %v", fieldLateness, o.Lateness, baseline.MaxLateness)
	}
	detectors, err := p.detectors(&organisation)
	if err != nil {
		return nil, err
	}
	return detect.NewSet(detectors, &o)
}

// decode fills to from a field of any shape. An unknown name is an error: a
// misspelt one must not go unnoticed.
func decode(conf *service.ParsedConfig, field string, to any) error {
	v, err := conf.FieldAny(field)
	if err != nil {
		return err
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil && err != io.EOF {
		return fmt.Errorf("%s: %w", field, err)
	}
	return nil
}
