package detect_test

import (
	"bytes"
	"context"
	"encoding/json"
	"expvar"
	"fmt"
	"log/slog"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// An engine's counts need no adapter for expvar and slog. For OpenTelemetry there is
// the module otelmetrics.
func ExampleEngine_Stats() {
	engine := engineOf(newRegion)
	counts := expvar.Func(func() any { return engine.Stats() }) // for expvar.Publish

	engine.Process(context.Background(), []*event.Event{call(1, "eu-west-1"), call(1, "eu-west-1")})
	fmt.Println(counts)
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	logger.Info("detection", "stats", engine.Stats())
	// Output:
	// {"events":2,"evaluated":1,"duplicate":1,"late":0,"rejected":0,"findings":0,"profiles":1,"loads":1,"saves":0}
	// level=INFO msg=detection stats.events=2 stats.evaluated=1 stats.duplicate=1 stats.late=0 stats.rejected=0 stats.findings=0 stats.profiles=1 stats.loads=1 stats.saves=0
}

func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// TestStatsForms pins that what is logged is what JSON has: nothing is left out.
func TestStatsForms(t *testing.T) {
	for _, stats := range []detect.Stats{{}, {
		Events: 10, Evaluated: 4, Duplicate: 3, Late: 2, Rejected: 1, Findings: 5,
		Suppressed: map[string]int64{"root-use": 6, "error-spike": 7}, Profiles: 8, Loads: 9, Saves: 11,
	}} {
		want, err := json.Marshal(stats)
		require.NoError(t, err)
		var logged bytes.Buffer
		slog.New(slog.NewJSONHandler(&logged, nil)).Info("detection", "stats", stats)
		var line struct{ Stats json.RawMessage }
		require.NoError(t, json.Unmarshal(logged.Bytes(), &line))
		assert.JSONEq(t, string(want), string(line.Stats))
	}
}
