package otelmetrics_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/otelmetrics"
	"github.com/cloudtell/cloudtell/event"
)

// values collects what a reader sees, by name and attributes. Counters are marked
// with their total, as monotonic and cumulative sums are.
func values(t *testing.T, reader *sdk.ManualReader) map[string]int64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &all))
	got := make(map[string]int64)
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			var points []metricdata.DataPoint[int64]
			kind := "gauge"
			switch d := m.Data.(type) {
			case metricdata.Sum[int64]:
				require.True(t, d.IsMonotonic)
				points, kind = d.DataPoints, "counter"
			case metricdata.Gauge[int64]:
				points = d.DataPoints
			}
			assert.NotEmpty(t, m.Description)
			for _, p := range points {
				got[fmt.Sprintf("%s %s %s %s", m.Name, kind, m.Unit, p.Attributes.Encoded(attribute.DefaultEncoder()))] = p.Value
			}
		}
	}
	return got
}

func TestRegister(t *testing.T) {
	reader := sdk.NewManualReader()
	meter := sdk.NewMeterProvider(sdk.WithReader(reader)).Meter("test")
	stats := detect.Stats{
		Events: 10, Evaluated: 4, Duplicate: 3, Late: 2, Rejected: 1, Findings: 5,
		Suppressed: map[string]int64{"root-use": 6, "error-spike": 7}, Profiles: 8, Loads: 9, Saves: 11,
	}
	registration, err := otelmetrics.Register(meter, func() detect.Stats { return stats }, attribute.String("engine", "a"))
	require.NoError(t, err)
	_, err = otelmetrics.Register(meter, func() detect.Stats { return detect.Stats{Evaluated: 99} }, attribute.String("engine", "b"))
	require.NoError(t, err)
	want := map[string]int64{
		"cloudtell.events counter {event} engine=a,outcome=evaluated":               4,
		"cloudtell.events counter {event} engine=a,outcome=duplicate":               3,
		"cloudtell.events counter {event} engine=a,outcome=late":                    2,
		"cloudtell.events counter {event} engine=a,outcome=rejected":                1,
		"cloudtell.findings counter {finding} engine=a":                             5,
		"cloudtell.findings.suppressed counter {finding} engine=a,rule=root-use":    6,
		"cloudtell.findings.suppressed counter {finding} engine=a,rule=error-spike": 7,
		"cloudtell.profiles gauge {profile} engine=a":                               8,
		"cloudtell.store.loads counter {profile} engine=a":                          9,
		"cloudtell.store.saves counter {profile} engine=a":                          11,
		"cloudtell.events counter {event} engine=b,outcome=evaluated":               99,
		"cloudtell.events counter {event} engine=b,outcome=duplicate":               0,
		"cloudtell.events counter {event} engine=b,outcome=late":                    0,
		"cloudtell.events counter {event} engine=b,outcome=rejected":                0,
		"cloudtell.findings counter {finding} engine=b":                             0,
		"cloudtell.profiles gauge {profile} engine=b":                               0,
		"cloudtell.store.loads counter {profile} engine=b":                          0,
		"cloudtell.store.saves counter {profile} engine=b":                          0,
	}
	assert.Equal(t, want, values(t, reader))

	stats.Late, stats.Evaluated = 5, 14
	want["cloudtell.events counter {event} engine=a,outcome=late"] = 5
	want["cloudtell.events counter {event} engine=a,outcome=evaluated"] = 14
	assert.Equal(t, want, values(t, reader), "values are those of the moment")

	require.NoError(t, registration.Unregister())
	stats.Late = 77
	assert.NotContains(t, values(t, reader), "cloudtell.events counter {event} engine=a,outcome=late")
}

// TestEngine observes an engine at work, and its outcomes add up.
func TestEngine(t *testing.T) {
	set, err := detect.NewSet([]detect.Detector{detect.New(detect.Info{
		Name: "any-call", Doc: "Somebody called.", Technique: "T1078", Severity: detect.Low,
	}, func(p *detect.Pass) { p.Report("", "somebody called") })}, nil)
	require.NoError(t, err)
	engine, err := detect.NewEngine(set, nil, nil)
	require.NoError(t, err)
	reader := sdk.NewManualReader()
	meter := sdk.NewMeterProvider(sdk.WithReader(reader)).Meter("test")
	_, err = otelmetrics.Register(meter, engine.Stats)
	require.NoError(t, err)
	e, err := event.Parse(`{"eventVersion":"1.11","eventID":"e1","eventTime":"2026-01-21T03:12:44Z","eventSource":"iam.amazonaws.com","eventName":"ListUsers",
		"userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/alice","accountId":"111122223333","userName":"alice"}}`)
	require.NoError(t, err)
	_, err = engine.Process(t.Context(), []*event.Event{e, e})
	require.NoError(t, err)
	require.NoError(t, engine.Flush(t.Context()))
	got := values(t, reader)
	assert.Equal(t, int64(1), got["cloudtell.events counter {event} outcome=evaluated"])
	assert.Equal(t, int64(1), got["cloudtell.events counter {event} outcome=duplicate"])
	assert.Equal(t, int64(1), got["cloudtell.findings counter {finding} "])
	assert.Equal(t, int64(1), got["cloudtell.profiles gauge {profile} "])
	assert.Equal(t, int64(1), got["cloudtell.store.saves counter {profile} "])
}

// A meter that makes no counters.
type broken struct{ noop.Meter }

func (broken) Int64ObservableCounter(string, ...metric.Int64ObservableCounterOption) (metric.Int64ObservableCounter, error) {
	return nil, errors.New("no counters")
}

func TestRegisterFails(t *testing.T) {
	_, err := otelmetrics.Register(broken{}, func() detect.Stats { return detect.Stats{} })
	assert.ErrorContains(t, err, "no counters")
}

func ExampleRegister() {
	engine := newEngine()
	reader := sdk.NewManualReader() // or one that exports, such as OTLP's
	meters := sdk.NewMeterProvider(sdk.WithReader(reader))
	defer meters.Shutdown(context.Background())
	if _, err := otelmetrics.Register(meters.Meter("detection"), engine.Stats); err != nil {
		panic(err)
	}

	var all metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &all); err != nil {
		panic(err)
	}
	for _, m := range all.ScopeMetrics[0].Metrics {
		fmt.Println(m.Name, m.Unit)
	}
	// Output:
	// cloudtell.events {event}
	// cloudtell.findings {finding}
	// cloudtell.store.loads {profile}
	// cloudtell.store.saves {profile}
	// cloudtell.profiles {profile}
}

func newEngine() *detect.Engine {
	set, err := detect.NewSet(nil, nil)
	if err != nil {
		panic(err)
	}
	engine, err := detect.NewEngine(set, nil, nil)
	if err != nil {
		panic(err)
	}
	return engine
}
