package benthosplugin

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBento builds this module against Bento and runs its tests there. All that
// differs is the path of the imports, which an overlay rewrites, and go.mod.
func TestBento(t *testing.T) {
	if testing.Short() {
		t.Skip("builds another host")
	}
	const connect, bento = "github.com/redpanda-data/benthos/v4/public/", "github.com/warpstreamlabs/bento/public/"
	dir := t.TempDir()
	files := make(map[string]string)
	for _, pattern := range []string{"*.go", "connect/*.go"} {
		names, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, names)
		for _, name := range names {
			text, err := os.ReadFile(name)
			require.NoError(t, err)
			from, err := filepath.Abs(name)
			require.NoError(t, err)
			files[from] = filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
			require.NoError(t, os.WriteFile(files[from], []byte(strings.ReplaceAll(string(text), connect, bento)), 0o600))
		}
	}
	overlay := filepath.Join(dir, "overlay.json")
	text, err := json.Marshal(map[string]any{"Replace": files})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(overlay, text, 0o600))

	run := func(args ...string) string {
		cmd := exec.Command("go", append(args, "-modfile=testdata/bento.mod", "-overlay="+overlay, "./...")...)
		cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%v\n%s", args, out)
		return string(out)
	}
	deps := run("list", "-deps")
	require.Contains(t, deps, bento+"service")
	require.NotContains(t, deps, connect)
	// The long tests, one of which would build connect without the overlay, are
	// left out.
	run("test", "-short", "-vet=all")
}
