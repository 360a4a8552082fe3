package benthosplugin

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/redpanda-data/benthos/v4/public/components/io"
	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/techniques"
)

// quarantined is the record of AWS taking a user's leaked key out of service,
// which is a finding without any learning.
func quarantined(id, user string, at time.Time) string {
	return fmt.Sprintf(`{"eventVersion":"1.11","eventID":%q,"eventTime":%q,"eventSource":"iam.amazonaws.com",
		"eventName":"AttachUserPolicy","awsRegion":"us-east-1","recipientAccountId":"111122223333","sourceIPAddress":"AWS Internal",
		"userAgent":"AWS Internal","userIdentity":{"type":"AWSService","invokedBy":"support.amazonaws.com"},
		"requestParameters":{"userName":%q,"policyArn":"arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV2"}}`,
		id, at.Format(time.RFC3339), user)
}

// january is when events of tests happen: day and hour.
func january(day, hour int) time.Time { return time.Date(2026, 1, day, hour, 0, 0, 0, time.UTC) }

// trail returns the files of the quick start's trail in the order of their time:
// one text each, without line breaks.
var trail = sync.OnceValue(func() []string {
	var names []string
	err := filepath.WalkDir("../../testdata/quickstart", func(path string, d fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".json.gz") {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		panic(err)
	}
	slices.SortFunc(names, func(a, b string) int { // by the time in the name, not by the region
		at := func(s string) string { return strings.Split(filepath.Base(s), "_")[3] }
		return cmp.Or(cmp.Compare(at(a), at(b)), cmp.Compare(a, b))
	})
	var texts []string
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			panic(err)
		}
		z, err := gzip.NewReader(f)
		if err != nil {
			panic(err)
		}
		text, err := io.ReadAll(z)
		if err != nil {
			panic(err)
		}
		f.Close()
		texts = append(texts, strings.ReplaceAll(string(text), "\n", " "))
	}
	return texts
})

func newSet(t testing.TB) *detect.Set {
	t.Helper()
	detectors, err := techniques.All(nil)
	require.NoError(t, err)
	set, err := detect.NewSet(detectors, nil)
	require.NoError(t, err)
	return set
}

func read(t testing.TB, texts ...string) []*event.Event {
	t.Helper()
	var events []*event.Event
	for _, text := range texts {
		for e, err := range event.Read(strings.NewReader(text), nil) {
			require.NoError(t, err)
			events = append(events, e.Clone())
		}
	}
	return events
}

// expected returns what an engine finds in the trail, by ID and revision: what
// every pipeline has to find.
var expected = sync.OnceValue(func() map[string]detect.Finding {
	detectors, err := techniques.All(nil)
	if err != nil {
		panic(err)
	}
	set, err := detect.NewSet(detectors, nil)
	if err != nil {
		panic(err)
	}
	engine, err := detect.NewEngine(set, nil, nil)
	if err != nil {
		panic(err)
	}
	found := make(map[string]detect.Finding)
	for _, text := range trail() {
		for e, err := range event.Read(strings.NewReader(text), nil) {
			if err != nil {
				panic(err)
			}
			findings, err := engine.Process(context.Background(), []*event.Event{e})
			if err != nil {
				panic(err)
			}
			for _, f := range findings {
				found[name(&f)] = f
			}
		}
	}
	return found
})

func name(f *detect.Finding) string { return fmt.Sprintf("%s/%d", f.ID, f.Revision) }

// findings decodes what a pipeline has written, one finding a line.
func findings(t testing.TB, text []byte) []detect.Finding {
	t.Helper()
	var list []detect.Finding
	for d := json.NewDecoder(bytes.NewReader(text)); ; {
		var f detect.Finding
		err := d.Decode(&f)
		if errors.Is(err, io.EOF) {
			return list
		}
		require.NoError(t, err)
		list = append(list, f)
	}
}

// byName tells findings apart; repeated says how many of them came again.
func byName(list []detect.Finding) (found map[string]detect.Finding, repeated int) {
	found = make(map[string]detect.Finding)
	for _, f := range list {
		if _, ok := found[name(&f)]; ok {
			repeated++
		}
		found[name(&f)] = f
	}
	return found, repeated
}

// newTestProcessor makes a processor with a configuration and the store "test".
func newTestProcessor(t testing.TB, store baseline.Store, conf string) (*processor, error) {
	t.Helper()
	p := plugin{keepers: map[string]*keeper{"test": newKeeper(store)}, detectors: techniques.All}
	parsed, err := processorSpec().ParseYAML("store: test\n"+conf, service.NewEnvironment())
	if err != nil {
		return nil, err
	}
	pr, err := p.newProcessor(parsed, service.MockResources())
	if err != nil {
		return nil, err
	}
	return pr.(*processor), nil
}

// process gives one batch to a processor, and returns the findings and the
// messages with an error.
func process(t testing.TB, p *processor, texts ...string) (found []detect.Finding, failed service.MessageBatch) {
	t.Helper()
	var batch service.MessageBatch
	for i, text := range texts {
		m := service.NewMessage([]byte(text))
		m.MetaSet("number", fmt.Sprint(i))
		batch = append(batch, m)
	}
	batches, err := p.ProcessBatch(t.Context(), batch)
	require.NoError(t, err)
	for _, m := range slices.Concat(batches...) {
		if m.GetError() != nil {
			failed = append(failed, m)
			continue
		}
		text, err := m.AsBytes()
		require.NoError(t, err)
		found = append(found, findings(t, text)...)
	}
	return found, failed
}

// A store whose calls may be made to fail.
type faulty struct {
	baseline.Store
	load, save func() error // called before
	saved      func() error // and after
}

func (f *faulty) Load(ctx context.Context, keys []string) ([]baseline.Record, error) {
	if f.load != nil {
		if err := f.load(); err != nil {
			return nil, err
		}
	}
	return f.Store.Load(ctx, keys)
}

func (f *faulty) Save(ctx context.Context, records []baseline.Record) error {
	if f.save != nil {
		if err := f.save(); err != nil {
			return err
		}
	}
	err := f.Store.Save(ctx, records)
	if f.saved != nil && err == nil {
		err = f.saved()
	}
	return err
}

func zipped(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := io.WriteString(z, text)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.String()
}
