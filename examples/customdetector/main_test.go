package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/detecttest"
)

func TestScenarios(t *testing.T) {
	detecttest.Run(t, os.DirFS("testdata"), func([]byte) ([]detect.Detector, error) {
		return []detect.Detector{newRegion}, nil
	})
}

// TestBesideTheOthers runs the command on a scenario's log.
func TestBesideTheOthers(t *testing.T) {
	text, err := os.ReadFile("testdata/new-region.txt")
	require.NoError(t, err)
	scenario, err := detecttest.Parse("new-region.txt", string(text))
	require.NoError(t, err)
	logs := strings.Join(scenario.Cases[0].Records(), "\n")
	var out bytes.Buffer
	require.NoError(t, run(context.Background(), strings.NewReader(logs), &out))
	assert.Equal(t, 1, strings.Count(out.String(), `"rule":"new-region"`))
}
