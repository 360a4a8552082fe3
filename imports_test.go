package cloudtell_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "github.com/cloudtell/cloudtell"

// core lists the layers from the bottom up: a package may import its own layer
// and those before it. The test kits are part of their layer.
var core = []string{"event", "baseline", "detect", "techniques", "examples"}

// TestImports pins that the core needs nothing but the standard library, and
// that its layers import each other in one direction only.
func TestImports(t *testing.T) {
	// Reading go.mod makes the test's cached result depend on it; go list alone
	// would not.
	_, err := os.ReadFile("go.mod")
	require.NoError(t, err)

	layer := func(path string) int {
		rest := strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
		for i, name := range core {
			if rest == name || strings.HasPrefix(rest, name+"/") {
				return i
			}
		}
		return -1 // the root package
	}
	standard := regexp.MustCompile(`^[^./]+(/|$)`)
	for _, name := range core {
		for _, line := range goList(t, "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, "./"+name+"/...") {
			fields := strings.Fields(line)
			for _, imported := range fields[1:] {
				if strings.HasPrefix(imported, module) {
					assert.LessOrEqual(t, layer(imported), layer(fields[0]), "%s imports %s, which is a layer above it", fields[0], imported)
				}
			}
		}
		for _, dep := range goList(t, "-deps", "./"+name+"/...") {
			if !strings.HasPrefix(dep, module) && !strings.HasPrefix(dep, "vendor/") {
				assert.Regexp(t, standard, dep, "%s needs %s, which is not in the standard library", name, dep)
			}
		}
	}
}

func goList(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Env = append(os.Environ(), "GOWORK=off")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// TestNoClock pins that the core reads no wall clock: time is an argument.
// Commands and tests may.
func TestNoClock(t *testing.T) {
	clock := regexp.MustCompile(`\btime\.(Now|Since|Until|After|Tick|NewTimer|NewTicker|Sleep)\(`)
	for _, name := range core[:4] {
		for _, dir := range goList(t, "-f", "{{$d := .Dir}}{{range .GoFiles}}{{$d}}/{{.}}\n{{end}}", "./"+name+"/...") {
			for file := range strings.FieldsSeq(dir) {
				text, err := os.ReadFile(file)
				require.NoError(t, err)
				assert.NotRegexp(t, clock, string(text), file)
			}
		}
	}
}
