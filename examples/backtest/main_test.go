package main

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func output(args ...string) (status int, stdout, stderr string) {
	var out, errs strings.Builder
	status = run(context.Background(), args, &out, &errs)
	return status, out.String(), errs.String()
}

// The small account's attack is found, without false notifications.
func TestRun(t *testing.T) {
	status, out, stderr := output("-small", "-seeds", "2", "-v", "-organisation", "-budget", "0")
	assert.Equal(t, statusDone, status, stderr)
	for _, text := range []string{"1/1", "2/2", "100.0%", "| stolen-key@1 ", "| stolen-key@2 ", "nothing to do"} {
		assert.Contains(t, out, text)
	}
	assert.NotContains(t, out, "missed")
}

func TestThresholds(t *testing.T) {
	status, out, stderr := output("-small", "-thresholds", "userdata-bulk=13")
	assert.Equal(t, statusDone, status, stderr)
	assert.Contains(t, out, "The default thresholds first, then userdata-bulk=13:\nboth find the same attacks")
	assert.Contains(t, out, "| userdata-bulk | 10 -> 13  | 1 -> 0 |", "there were twelve instances")
}

// Without its day, the attack does not happen: there is none to miss.
func TestNoAttack(t *testing.T) {
	status, out, _ := output("-small", "-days", "3")
	assert.Equal(t, statusDone, status)
	assert.Contains(t, out, "0/0")
}

func TestRefuses(t *testing.T) {
	for _, args := range [][]string{
		{"surplus"}, {"-seeds", "0"}, {"-days", "-1"}, {"-thresholds", "x"}, {"-thresholds", "=3"},
		{"-small", "-thresholds", "no-such-rule=3"}, {"-small", "-thresholds", "userdata-bulk=1000"},
	} {
		status, _, stderr := output(args...)
		assert.Equal(t, statusTrouble, status, "%q", args)
		assert.Equal(t, 1, strings.Count(stderr, "\n"), "said once: %s", stderr)
	}
	status, _, stderr := output("-help")
	assert.Equal(t, statusDone, status)
	assert.Contains(t, stderr, "-seeds")

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var out, errs strings.Builder
	assert.Equal(t, statusTrouble, run(ctx, []string{"-small"}, &out, &errs))
}
