package sigma_test

import (
	"context"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/sigma"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/event/eventtest"
)

// ruleOf returns a rule with a detection, whose lines are given without the
// indentation of a rule.
func ruleOf(detection string) string {
	return "title: Under test\ntags: [attack.t1078.004]\nlogsource: {product: aws, service: cloudtrail}\ndetection:\n" + indented(detection)
}

func indented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.Trim(text, "\n") + "\n") {
		b.WriteString("    " + line)
	}
	return b.String()
}

func files(texts ...string) fstest.MapFS {
	fsys := make(fstest.MapFS)
	for i, text := range texts {
		fsys["rules/"+string(rune('a'+i))+".yml"] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

func load(t testing.TB, o *sigma.Options, texts ...string) []detect.Detector {
	t.Helper()
	detectors, err := sigma.Load(files(texts...), o)
	require.NoError(t, err)
	require.NotEmpty(t, detectors)
	return detectors
}

func newEngine(t testing.TB, detectors ...detect.Detector) *detect.Engine {
	t.Helper()
	set, err := detect.NewSet(detectors, nil)
	require.NoError(t, err)
	engine, err := detect.NewEngine(set, nil, nil)
	require.NoError(t, err)
	return engine
}

func process(t testing.TB, en *detect.Engine, events ...*event.Event) []detect.Finding {
	t.Helper()
	findings, err := en.Process(context.Background(), events)
	require.NoError(t, err)
	return findings
}

// fires reports whether the rules find something in the one event.
func fires(t testing.TB, detectors []detect.Detector, r eventtest.Record) bool {
	t.Helper()
	return len(process(t, newEngine(t, detectors...), r.Event(t))) > 0
}
