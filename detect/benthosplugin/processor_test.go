package benthosplugin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/techniques"
)

// sizes returns the sizes of batches to try: one of them, if time is short.
func sizes(all ...int) []int {
	if testing.Short() {
		return all[1:2]
	}
	return all
}

// TestFindsWhatAnEngineFinds runs the trail in batches of several sizes.
func TestFindsWhatAnEngineFinds(t *testing.T) {
	for _, size := range sizes(1, 7, 1000) {
		p, err := newTestProcessor(t, &baseline.Memory{}, "")
		require.NoError(t, err)
		var list []detect.Finding
		for texts := trail(); len(texts) > 0; texts = texts[min(size, len(texts)):] {
			found, failed := process(t, p, texts[:min(size, len(texts))]...)
			require.Empty(t, failed)
			list = append(list, found...)
		}
		// The trail has records twice, in two files; where both are in one
		// batch, the finding comes once.
		found, _ := byName(list)
		assert.Empty(t, cmp.Diff(expected(), found), "batches of %d", size)
	}
}

// TestRedelivered pins the outbox: a batch that comes again gives the same
// messages, byte for byte, however much came in between, and changes no record.
func TestRedelivered(t *testing.T) {
	store := &baseline.Memory{}
	p, err := newTestProcessor(t, store, "")
	require.NoError(t, err)
	first := []string{
		quarantined("a1", "alice", january(1, 0)) + quarantined("b1", "bob", january(1, 0)),
		quarantined("c1", "carol", january(1, 1)),
	}
	found, _ := process(t, p, first...)
	require.Len(t, found, 3)
	between, _ := process(t, p, quarantined("d1", "dave", january(3, 0)))
	require.Len(t, between, 1)

	before := records(store)
	again, _ := process(t, p, first...)
	assert.Empty(t, cmp.Diff(found, again))
	part, _ := process(t, p, first[1])
	assert.Empty(t, cmp.Diff(found[2:], part), "of a message that comes again alone, only its own")
	assert.Empty(t, cmp.Diff(before, records(store)))
}

func records(store *baseline.Memory) (all []baseline.Record) {
	for r := range store.All() {
		all = append(all, r)
	}
	return all
}

// TestRightEvent pins that each finding is in the outbox under the event that
// caused it, for batches of any size.
func TestRightEvent(t *testing.T) {
	set, events := newSet(t), read(t, trail()...)
	causes := func(size int) map[string]string {
		causes := make(map[string]string)
		envelopes := make(map[string]*envelope)
		for rest := events; len(rest) > 0; rest = rest[min(size, len(rest)):] {
			for _, u := range units(set, rest[:min(size, len(rest))], nil) {
				v := envelopes[u.key]
				if v == nil {
					v = &envelope{}
					envelopes[u.key] = v
				}
				v.outbox = nil
				require.NoError(t, u.step(set, v, 1))
				for _, s := range v.outbox {
					causes[fmt.Sprintf("%s/%d", s.ID, s.Revision)] = s.Event
				}
			}
		}
		return causes
	}
	want := causes(1)
	require.Len(t, want, len(expected()))
	for _, size := range sizes(3, 100, len(events)) {
		assert.Empty(t, cmp.Diff(want, causes(size)), "batches of %d", size)
	}
}

// TestMessages pins what a finding looks like as a message.
func TestMessages(t *testing.T) {
	p, err := newTestProcessor(t, &baseline.Memory{}, "")
	require.NoError(t, err)
	m := service.NewMessage([]byte(quarantined("a1", "alice", january(1, 0))))
	m.MetaSet("path", "somewhere")
	m.SetError(errors.New("of an earlier processor"))
	batches, err := p.ProcessBatch(t.Context(), service.MessageBatch{service.NewMessage(nil), m})
	require.NoError(t, err)
	require.Len(t, batches, 1)
	require.Len(t, batches[0], 1, "a message without findings is dropped")
	out := batches[0][0]
	require.NoError(t, out.GetError())
	text, err := out.AsBytes()
	require.NoError(t, err)
	f := findings(t, text)[0]
	meta := make(map[string]string)
	require.NoError(t, out.MetaWalk(func(name, value string) error { meta[name] = value; return nil }))
	assert.Empty(t, cmp.Diff(map[string]string{
		"path":               "somewhere",
		"cloudtell_id":       f.ID,
		"cloudtell_revision": "0",
		"cloudtell_rule":     "aws-quarantined-key",
		"cloudtell_severity": "critical",
		"cloudtell_record":   f.Scope + "/" + f.Key,
	}, meta))
	in, err := m.AsBytes()
	require.NoError(t, err)
	assert.Contains(t, string(in), "AttachUserPolicy", "the message that came in is not changed")
}

// TestUnread pins that what cannot be read is handed on with its message, and
// takes nothing with it.
func TestUnread(t *testing.T) {
	p, err := newTestProcessor(t, &baseline.Memory{}, "")
	require.NoError(t, err)
	broken := `{"eventVersion": tru}` + quarantined("a1", "alice", january(1, 0)) + strings.Repeat(`{"eventVersion":"1.11"}`, 5)
	future := quarantined("z1", "zoe", time.Now().Add(48*time.Hour))
	found, failed := process(t, p, quarantined("b1", "bob", january(1, 0)), broken, future)
	require.Len(t, found, 2)
	require.Len(t, failed, 2)

	text, err := failed[0].AsBytes()
	require.NoError(t, err)
	assert.Equal(t, broken, string(text))
	de, ok := errors.AsType[*event.DecodeError](failed[0].GetError())
	require.True(t, ok, "%v", failed[0].GetError())
	assert.Equal(t, 0, de.Record)
	require.ErrorIs(t, failed[0].GetError(), event.ErrSyntax)
	require.ErrorIs(t, failed[0].GetError(), event.ErrNotRecord)
	assert.ErrorContains(t, failed[0].GetError(), "and 3 more")
	assert.ErrorIs(t, failed[1].GetError(), event.ErrTime)
}

// TestLimits pins that a message that decompresses to too much is cut off.
func TestLimits(t *testing.T) {
	p, err := newTestProcessor(t, &baseline.Memory{}, "max_decompressed_bytes: 1000\nmax_record_bytes: 5000")
	require.NoError(t, err)
	_, failed := process(t, p, zipped(t, quarantined("a1", "alice", january(1, 0))+strings.Repeat(" ", 1000)))
	require.Len(t, failed, 1)
	require.ErrorIs(t, failed[0].GetError(), event.ErrTooLarge)
	_, failed = process(t, p, quarantined("a1", strings.Repeat("a", 5000), january(1, 0)))
	require.Len(t, failed, 1)
	assert.ErrorIs(t, failed[0].GetError(), event.ErrTooLarge)
}

// TestDamagedRecord pins that a record that cannot be read stops the events of
// its key only, and is not overwritten.
func TestDamagedRecord(t *testing.T) {
	const key = "account-policies/111122223333"
	for _, data := range []string{"ct", "cw\x01\x00\x00", "co", "co\x01\x05", "neither", "co\x01\x02[]\x00\x00\x00\x00", "co\x07"} {
		store := &baseline.Memory{}
		require.NoError(t, store.Save(t.Context(), []baseline.Record{{Key: key, Data: []byte(data)}}))
		p, err := newTestProcessor(t, store, "")
		require.NoError(t, err)
		other := strings.ReplaceAll(quarantined("b1", "bob", january(1, 0)), "111122223333", "444455556666")
		found, failed := process(t, p, quarantined("a1", "alice", january(1, 0)), other)
		require.Len(t, found, 1, "%q", data)
		assert.Equal(t, "444455556666", found[0].AccountID)
		require.Len(t, failed, 1)
		err = failed[0].GetError()
		assert.True(t, errors.Is(err, baseline.ErrCorrupt) || errors.Is(err, baseline.ErrVersion), "%q: %v", data, err)
		assert.ErrorContains(t, err, key)
		loaded, err := store.Load(t.Context(), []string{key})
		require.NoError(t, err)
		assert.Equal(t, data, string(loaded[0].Data))
	}
}

// TestStoreFails runs the trail against stores that fail in every way they may.
// Nothing is lost, and nothing found twice but for the trail's own copies.
func TestStoreFails(t *testing.T) {
	if testing.Short() {
		t.Skip("long under the race detector, and about no race")
	}
	fails := func(every int) func() error {
		n := 0
		return func() error {
			if n++; n%every == 0 {
				return errors.New("out of order")
			}
			return nil
		}
	}
	tests := map[string]func(*faulty){
		"load":                     func(f *faulty) { f.load = fails(3) },
		"save":                     func(f *faulty) { f.save = fails(3) },
		"save, though it is saved": func(f *faulty) { f.saved = fails(3) },
	}
	for name, prepare := range tests {
		t.Run(name, func(t *testing.T) {
			store := &faulty{Store: &baseline.Memory{}}
			prepare(store)
			p, err := newTestProcessor(t, store, "")
			require.NoError(t, err)
			found, _ := byName(all(t, p, trail(), 10))
			assert.Empty(t, cmp.Diff(expected(), found))
		})
	}
}

func all(t *testing.T, p *processor, texts []string, size int) (list []detect.Finding) {
	for ; len(texts) > 0; texts = texts[min(size, len(texts)):] {
		found, failed := process(t, p, texts[:min(size, len(texts))]...)
		require.Empty(t, failed)
		list = append(list, found...)
	}
	return list
}

// TestTwoProcesses pins that another process on the same store, which always
// gets in first, costs nothing but another try.
func TestTwoProcesses(t *testing.T) {
	memory := &baseline.Memory{}
	other, err := newTestProcessor(t, memory, "")
	require.NoError(t, err)
	n := 0
	store := &faulty{Store: memory, save: func() error {
		if n++; n%2 == 1 { // between the load and the save of the first try
			process(t, other, quarantined(fmt.Sprint("x", n), fmt.Sprint("mallory", n), january(n, 0)))
		}
		return nil
	}}
	p, err := newTestProcessor(t, store, "")
	require.NoError(t, err)
	for day := 1; day <= 9; day += 2 {
		found, failed := process(t, p, quarantined(fmt.Sprint("a", day), fmt.Sprint("alice", day), january(day, 1)))
		require.Empty(t, failed)
		require.Len(t, found, 1)
		assert.Equal(t, january(day, 1), found[0].Time)
	}
	again, _ := process(t, other, quarantined("x1", "mallory1", january(1, 0)), quarantined("a1", "alice1", january(1, 1)))
	assert.Len(t, again, 2, "both are in the one outbox")
}

// TestStops pins that a batch that waits for its store ends with the context,
// without a result: the host then hands the batch back.
func TestStops(t *testing.T) {
	store := &faulty{Store: &baseline.Memory{}, load: func() error { return errors.New("dead") }}
	p, err := newTestProcessor(t, store, "")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	batch := service.MessageBatch{service.NewMessage([]byte(quarantined("a1", "alice", january(1, 0))))}
	out, err := p.ProcessBatch(ctx, batch)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Nil(t, out)

	p.keeper.turn <- struct{}{} // while another has the turn
	_, err = p.ProcessBatch(ctx, batch)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// TestOutboxIsBounded pins how much of it is kept.
func TestOutboxIsBounded(t *testing.T) {
	store := &baseline.Memory{}
	p, err := newTestProcessor(t, store, "outbox: 3")
	require.NoError(t, err)
	var texts []string
	for day := 1; day <= 9; day++ {
		texts = append(texts, quarantined(fmt.Sprint("a", day), fmt.Sprint("alice", day), january(day, 0)))
	}
	found, _ := process(t, p, texts[:5]...)
	require.Len(t, found, 5)
	again, _ := process(t, p, texts[:5]...)
	assert.Empty(t, cmp.Diff(found, again), "those of one batch are kept however many they are")
	last := all(t, p, texts[5:], 1)
	again, _ = process(t, p, texts...)
	assert.Empty(t, cmp.Diff(last[1:], again), "of those before, the last three")
	again, _ = process(t, p, append(texts[6:], quarantined("new", "zoe", january(10, 0)))...)
	assert.Empty(t, cmp.Diff(last[1:], again[:3]), "those that come again make no way")
	require.Len(t, again, 4)
}

// TestLargeMessages pins that a message with more events than are evaluated at
// once gives the findings of all.
func TestLargeMessages(t *testing.T) {
	if testing.Short() {
		t.Skip("long under the race detector, and about no race")
	}
	var text strings.Builder
	const accounts = 2*chunkSize + 1
	for i := range accounts {
		record := quarantined(fmt.Sprint("e", i), "alice", january(1, 0))
		text.WriteString(strings.ReplaceAll(record, "111122223333", fmt.Sprintf("%012d", i)))
	}
	p, err := newTestProcessor(t, &baseline.Memory{}, "")
	require.NoError(t, err)
	found, failed := process(t, p, text.String())
	require.Empty(t, failed)
	seen := make(map[string]bool)
	for _, f := range found {
		seen[f.AccountID] = true
	}
	assert.Len(t, found, accounts)
	assert.Len(t, seen, accounts)
}

// TestPanics pins that a detector that panics is told of, and costs nothing else.
func TestPanics(t *testing.T) {
	p, err := newTestProcessor(t, &baseline.Memory{}, "")
	require.NoError(t, err)
	set, err := detect.NewSet([]detect.Detector{
		detect.New(detect.Info{Name: "bad", Doc: "Panics.", Technique: "T1078", Severity: detect.Low}, func(*detect.Pass) { panic("bad") }),
		detect.New(detect.Info{Name: "good", Doc: "Reports.", Technique: "T1078", Severity: detect.Low, Scope: detect.ByAccount},
			func(p *detect.Pass) { p.Report("", "x") }),
	}, nil)
	require.NoError(t, err)
	p.set = set
	u := units(set, read(t, quarantined("a1", "alice", january(1, 0))), nil)
	for _, u := range u {
		require.NoError(t, u.step(set, &envelope{}, 1))
		if u.scope == detect.ByPrincipal {
			assert.ErrorContains(t, u.panicked, `"bad"`)
		}
	}
	found, failed := process(t, p, quarantined("a1", "alice", january(1, 0)))
	assert.Empty(t, failed)
	assert.Len(t, found, 1)
}

// TestPanickingScope pins that an event whose key a scope cannot tell comes out
// with that as its error, and goes to the other scopes.
func TestPanickingScope(t *testing.T) {
	p, err := newTestProcessor(t, &baseline.Memory{}, "")
	require.NoError(t, err)
	oops := &detect.Scope{Name: "oops", Key: func(*event.Event) string { panic("bad") }}
	report := func(p *detect.Pass) { p.Report("", "x") }
	p.set, err = detect.NewSet([]detect.Detector{
		detect.New(detect.Info{Name: "bad", Doc: "Reports.", Technique: "T1078", Severity: detect.Low, Scope: oops}, report),
		detect.New(detect.Info{Name: "good", Doc: "Reports.", Technique: "T1078", Severity: detect.Low, Scope: detect.ByAccount}, report),
	}, nil)
	require.NoError(t, err)
	found, failed := process(t, p, quarantined("a1", "alice", january(1, 0)))
	assert.Len(t, found, 1)
	require.Len(t, failed, 1)
	assert.ErrorContains(t, failed[0].GetError(), `scope "oops" panicked`)
}

func TestSuppressed(t *testing.T) {
	p, err := newTestProcessor(t, &baseline.Memory{},
		"suppressions: [{rule: aws-*, subject: '', principal: 'arn:aws:iam::111122223333:user/alice', reason: drill, expires: 2026-02-01T00:00:00Z}]")
	require.NoError(t, err)
	found, _ := process(t, p, quarantined("a1", "alice", january(1, 0)), quarantined("b1", "bob", january(1, 0)))
	require.Len(t, found, 1)
}

func TestConfig(t *testing.T) {
	tests := []struct{ conf, wrong string }{
		{"", ""},
		{"organisation: {networks: [198.51.100.0/24], scanners: [{principal: 'arn:aws:iam::111122223333:role/audit*', networks: [203.0.113.0/24]}], thresholds: {userdata-bulk: 12}}", ""},
		{"organisation: {network: [198.51.100.0/24]}", "organisation"},
		{"organisation: {networks: [198.51.100.0]}", "organisation"},
		{"organisation: {thresholds: {no-such-rule: 12}}", "no-such-rule"},
		{"suppressions: [{rule: root-use}]", "reason"},
		{"suppressions: [{rules: root-use}]", "suppressions"},
		{"lateness: 0s", "lateness"},
		{"lateness: 9000h", "lateness"},
		{"outbox: 0", "outbox"},
		{"max_record_bytes: -1", "max_record_bytes"},
		{"max_decompressed_bytes: 0", "max_decompressed_bytes"},
		{"store: nowhere", "nowhere"},
	}
	for _, test := range tests {
		conf := test.conf
		p := plugin{keepers: map[string]*keeper{"memory": newKeeper(&baseline.Memory{})}, detectors: techniques.All}
		parsed, err := processorSpec().ParseYAML(conf, service.NewEnvironment())
		require.NoError(t, err, conf)
		_, err = p.newProcessor(parsed, service.MockResources())
		if test.wrong == "" {
			assert.NoError(t, err, conf)
		} else {
			assert.ErrorContains(t, err, test.wrong, conf)
		}
	}
}

func TestRegister(t *testing.T) {
	env := service.NewEnvironment()
	for _, stores := range []map[string]baseline.Store{{"memory": &baseline.Memory{}}, {"": &baseline.Memory{}}, {"x": nil}} {
		require.Error(t, Register(env, &Options{Stores: stores}))
	}
	assert.NoError(t, Register(env, nil))
}
