// Package otelmetrics shows what a detection engine does as OpenTelemetry metrics.
// It needs the metric API only; which SDK and exporter they go to is the
// program's choice.
package otelmetrics

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/cloudtell/cloudtell/detect"
)

// Register makes the instruments below on a meter, and observes them with stats
// whenever metrics are collected; [detect.Engine.Stats] is meant. The attributes are
// added to every value: several engines on one meter need some that differ.
//
//	cloudtell.events               counter  {event}    outcome: evaluated, duplicate, late, rejected
//	cloudtell.findings             counter  {finding}
//	cloudtell.findings.suppressed  counter  {finding}  rule
//	cloudtell.profiles             gauge    {profile}  in the cache
//	cloudtell.store.loads          counter  {profile}
//	cloudtell.store.saves          counter  {profile}
//
// The result ends it, which is only needed if the engine ends before the program.
func Register(meter metric.Meter, stats func() detect.Stats, attributes ...attribute.KeyValue) (metric.Registration, error) {
	var errs []error
	counter := func(name, unit, description string) metric.Int64ObservableCounter {
		c, err := meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
		errs = append(errs, err)
		return c
	}
	events := counter("cloudtell.events", "{event}", "Events taken in, by what became of them.")
	findings := counter("cloudtell.findings", "{finding}", "Findings returned, without revisions.")
	suppressed := counter("cloudtell.findings.suppressed", "{finding}", "Findings kept back by a suppression.")
	loads := counter("cloudtell.store.loads", "{profile}", "Profiles read from the store.")
	saves := counter("cloudtell.store.saves", "{profile}", "Profiles written to the store.")
	profiles, err := meter.Int64ObservableGauge("cloudtell.profiles", metric.WithUnit("{profile}"),
		metric.WithDescription("Profiles in the cache."))
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}

	with := func(more ...attribute.KeyValue) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(append(more, attributes...)...))
	}
	outcome := func(name string) metric.MeasurementOption { return with(attribute.String("outcome", name)) }
	all, evaluated, duplicate, late, rejected := with(), outcome("evaluated"), outcome("duplicate"), outcome("late"), outcome("rejected")
	return meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s := stats()
		o.ObserveInt64(events, s.Evaluated, evaluated)
		o.ObserveInt64(events, s.Duplicate, duplicate)
		o.ObserveInt64(events, s.Late, late)
		o.ObserveInt64(events, s.Rejected, rejected)
		o.ObserveInt64(findings, s.Findings, all)
		for rule, n := range s.Suppressed {
			o.ObserveInt64(suppressed, n, with(attribute.String("rule", rule)))
		}
		o.ObserveInt64(profiles, s.Profiles, all)
		o.ObserveInt64(loads, s.Loads, all)
		o.ObserveInt64(saves, s.Saves, all)
		return nil
	}, events, findings, suppressed, profiles, loads, saves)
}
