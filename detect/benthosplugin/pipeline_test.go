package benthosplugin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/examples/customstore"
)

// A sink is an output of tests: what write returns is what becomes of a batch.
type sink struct {
	write func(service.MessageBatch) error
}

func (s *sink) Connect(context.Context) error { return nil }
func (s *sink) WriteBatch(_ context.Context, batch service.MessageBatch) error {
	return s.write(batch)
}
func (s *sink) Close(context.Context) error { return nil }

// A source is an input of tests: batches of the trail's files, which come again
// when they are refused, and from the start in a new process. (The input "file"
// does not bring back what is refused after it has read its last line.)
type source struct {
	texts []string
}

func (s *source) Connect(context.Context) error { return nil }
func (s *source) ReadBatch(context.Context) (service.MessageBatch, service.AckFunc, error) {
	const size = 4
	if len(s.texts) == 0 {
		return nil, nil, service.ErrEndOfInput
	}
	var batch service.MessageBatch
	for _, text := range s.texts[:min(size, len(s.texts))] {
		batch = append(batch, service.NewMessage([]byte(text)))
	}
	s.texts = s.texts[len(batch):]
	return batch, func(context.Context, error) error { return nil }, nil
}
func (s *source) Close(context.Context) error { return nil }

// run runs a pipeline over the trail, whose findings go to write and, if confirm
// says so, behind it to cloudtell_delivered.
func run(store baseline.Store, confirm bool, write func(service.MessageBatch) error) error {
	env := service.NewEnvironment()
	if err := Register(env, &Options{Stores: map[string]baseline.Store{"test": store}}); err != nil {
		return err
	}
	err := env.RegisterBatchInput("source", service.NewConfigSpec(),
		func(*service.ParsedConfig, *service.Resources) (service.BatchInput, error) {
			return service.AutoRetryNacksBatched(&source{trail()}), nil
		})
	if err != nil {
		return err
	}
	err = env.RegisterBatchOutput("sink", service.NewConfigSpec(),
		func(*service.ParsedConfig, *service.Resources) (service.BatchOutput, service.BatchPolicy, int, error) {
			return &sink{write}, service.BatchPolicy{}, 1, nil
		})
	if err != nil {
		return err
	}
	output := `{sink: {}}`
	if confirm {
		output = `{broker: {pattern: fan_out_sequential, outputs: [{sink: {}}, {cloudtell_delivered: {store: test}}]}}`
	}
	b := env.NewStreamBuilder()
	err = b.SetYAML(`
logger: {level: "off"}
input: {source: {}}
pipeline:
  threads: 1
  processors: [{cloudtell: {store: test}}]
output: ` + output)
	if err != nil {
		return err
	}
	stream, err := b.Build()
	if err != nil {
		return err
	}
	return stream.Run(context.Background())
}

// a collector remembers the findings that were delivered.
type collector struct {
	mu   sync.Mutex
	list []detect.Finding
}

func (c *collector) add(m *service.Message) error {
	text, err := m.AsBytes()
	if err != nil {
		return err
	}
	var f detect.Finding
	if err := json.Unmarshal(text, &f); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, f)
	return nil
}

// TestOutputFails runs pipelines whose output refuses every batch the first time
// it sees it, or one message of it.
func TestOutputFails(t *testing.T) {
	refused := errors.New("refused")
	tests := []struct {
		name    string
		confirm bool
		refuse  func(service.MessageBatch) (func(i int) bool, error)
	}{
		{"whole batches", false, func(service.MessageBatch) (func(int) bool, error) {
			return func(int) bool { return true }, refused
		}},
		{"whole batches, confirmed", true, func(service.MessageBatch) (func(int) bool, error) {
			return func(int) bool { return true }, refused
		}},
		{"one message, confirmed", true, func(batch service.MessageBatch) (func(int) bool, error) {
			n := len(batch) / 2
			return func(i int) bool { return i == n }, service.NewBatchError(batch, refused).Failed(n, refused)
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel() // the input waits a while after a refusal
			var got collector
			seen := make(map[string]bool)
			refusals := 0
			err := run(&baseline.Memory{}, test.confirm, func(batch service.MessageBatch) error {
				var err error
				not := func(int) bool { return false }
				if first, _ := batch[0].MetaGet(metaID); !seen[first] {
					not, err = test.refuse(batch)
					seen[first] = true
					refusals++
				}
				for i, m := range batch {
					if !not(i) {
						if err := got.add(m); err != nil {
							return err
						}
					}
				}
				return err
			})
			require.NoError(t, err)
			assert.Greater(t, refusals, 1)
			found, _ := byName(got.list)
			assert.Empty(t, cmp.Diff(expected(), found))
		})
	}
}

// TestDelivered pins that what was delivered leaves the outbox, so that a copy of
// an event does not repeat its finding, and that what is left of the record is one
// that an engine goes on with.
func TestDelivered(t *testing.T) {
	store := &baseline.Memory{}
	var got collector
	err := run(store, true, func(batch service.MessageBatch) error {
		for _, m := range batch {
			if err := got.add(m); err != nil {
				return err
			}
		}
		return nil
	})
	require.NoError(t, err)
	found, _ := byName(got.list)
	assert.Empty(t, cmp.Diff(expected(), found))

	engine, err := detect.NewEngine(newSet(t), store, nil)
	require.NoError(t, err)
	events := read(t, trail()...)
	again, err := engine.Process(t.Context(), events)
	require.NoError(t, err, "an engine reads the records")
	assert.Empty(t, again)
	stats := engine.Stats()
	assert.Zero(t, stats.Rejected)

	// The other way round, the processor goes on with an engine's records.
	learnt := &baseline.Memory{}
	engine, err = detect.NewEngine(newSet(t), learnt, nil)
	require.NoError(t, err)
	_, err = engine.Process(t.Context(), events)
	require.NoError(t, err)
	require.NoError(t, engine.Flush(t.Context()))
	p, err := newTestProcessor(t, learnt, "")
	require.NoError(t, err)
	nothing, failed := process(t, p, trail()...)
	assert.Empty(t, nothing)
	assert.Empty(t, failed)
}

// The variables that make the test program a process to be killed: its state, a
// file for what it delivers, and the batch of findings at which it hangs.
const (
	envState, envOut, envHang = "PLUGIN_TEST_STATE", "PLUGIN_TEST_OUT", "PLUGIN_TEST_HANG"
)

func TestMain(m *testing.M) {
	if os.Getenv(envState) == "" {
		os.Exit(m.Run())
	}
	if err := child(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func child() error {
	store, err := customstore.Open(os.Getenv(envState))
	if err != nil {
		return err
	}
	out, err := os.OpenFile(os.Getenv(envOut), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	batches := 0
	return run(store, true, func(batch service.MessageBatch) error {
		if batches++; fmt.Sprint(batches) == os.Getenv(envHang) {
			for _, m := range batch { // what is lost if nobody sees to it
				id, _ := m.MetaGet(metaID)
				fmt.Println("lost", id)
			}
			fmt.Println("hanging")
			select {}
		}
		for _, m := range batch {
			text, err := m.AsBytes()
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(out, "%s\n", text); err != nil {
				return err
			}
		}
		return out.Sync()
	})
}

// TestKilled kills a process between the moment when findings are saved and the
// moment when they are delivered, several times over, and starts it again from the
// beginning of the trail.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	start := func(hang int) *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), envState+"="+filepath.Join(dir, "state"), envOut+"="+filepath.Join(dir, "out.json"),
			fmt.Sprintf("%s=%d", envHang, hang))
		cmd.Stderr = os.Stderr
		return cmd
	}
	lost := make(map[string]bool)
	for round, hang := range []int{1, 2, 1} {
		cmd := start(hang)
		stdout, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		hung := false
		for lines := bufio.NewScanner(stdout); !hung && lines.Scan(); {
			if id, ok := strings.CutPrefix(lines.Text(), "lost "); ok {
				lost[id] = true
			}
			hung = lines.Text() == "hanging"
		}
		require.NoError(t, cmd.Process.Kill())
		assert.Error(t, cmd.Wait())
		require.True(t, hung, "round %d: it ended before", round)
	}
	require.NotEmpty(t, lost)
	require.NoError(t, start(0).Run())
	text, err := os.ReadFile(filepath.Join(dir, "out.json"))
	require.NoError(t, err)
	found, _ := byName(findings(t, text))
	assert.Empty(t, cmp.Diff(expected(), found))
}

// TestExample runs connect with the pipeline beside it, twice, as its README says.
func TestExample(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program")
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "connect")
	out, err := exec.Command("go", "build", "-o", program, "./connect").CombinedOutput()
	require.NoError(t, err, "%s", out)
	pipeline, err := filepath.Abs("connect/pipeline.yaml")
	require.NoError(t, err)
	broken := `{"eventVersion":"1.11"}`
	require.NoError(t, os.WriteFile(filepath.Join(dir, "trail.json"), []byte(strings.Join(append(trail(), broken), "\n")+"\n"), 0o600))
	var first []detect.Finding
	for round := range 2 {
		cmd := exec.Command(program, "-c", pipeline)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		text, err := os.ReadFile(filepath.Join(dir, "findings.json"))
		require.NoError(t, err)
		list := findings(t, text)
		if round == 0 {
			first = list
		}
		assert.Empty(t, cmp.Diff(first, list), "what was found before is not found again")
		text, err = os.ReadFile(filepath.Join(dir, "unread.json"))
		require.NoError(t, err)
		assert.Equal(t, strings.Repeat(broken+"\n", round+1), string(text))
	}
	// The organisation is known here, so there is more than without: but the attack
	// is what the truth of the trail says.
	text, err := os.ReadFile("../../testdata/quickstart/truth.json")
	require.NoError(t, err)
	var attacks []struct {
		Name     string   `json:"name"`
		EventIDs []string `json:"event_ids"`
	}
	require.NoError(t, json.Unmarshal(text, &attacks))
	require.NotEmpty(t, attacks)
	for _, a := range attacks {
		proof := make(map[string]bool)
		for _, id := range a.EventIDs {
			proof[id] = true
		}
		found := 0
		for _, f := range first {
			if f.Severity >= detect.High && proof[f.EventIDs[len(f.EventIDs)-1]] {
				found++
			}
		}
		assert.Positive(t, found, a.Name)
	}
}
