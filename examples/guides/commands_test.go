package guides

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const root = "../.."

// An exception is a command that is not run as it is written.
type exception struct {
	command string // the whole command, without its comment
	instead string // what is run in its place; "" for nothing
	why     string
}

// exceptions lists all commands of all documents that are not run as they are
// written. Each must stand in a document.
var exceptions = []exception{
	{"go test work", "", "it runs this test; .ci/run runs it"},
	{"go install github.com/cloudtell/cloudtell/examples/scan@latest", "go install ./examples/scan",
		"what is published is not what is here"},
	{"go run ./examples/backtest -seeds 5", "go run ./examples/backtest -small -seeds 2", "five accounts of full size take minutes"},
	{"go run ./examples/backtest -seeds 5 -organisation", "go run ./examples/backtest -small -seeds 2 -organisation", "likewise"},
	{"go run ./examples/generate -out /tmp/account -accesslog", `go run ./examples/generate -out "$TMPDIR/account" -small`, "380,000 events"},
	{"go run ./examples/benchmarks decode", "go run ./examples/benchmarks -rounds 1 -days 1 -case cloudtell decode", "nine rounds take minutes"},
	{"go run ./examples/benchmarks gzip", "go run ./examples/benchmarks -rounds 1 -days 1 -case cloudtell gzip", "likewise"},
	{"go run ./examples/benchmarks all", "", "half an hour; the module's own tests run its cases on a small log"},
	{"go run ./examples/benchmarks detect", "", "likewise"},
	{"go run ./examples/benchmarks grow", "", "likewise"},
	{"go run ./examples/benchmarks scan", "", "likewise"},
	{"go run ./examples/benchmarks memory", "", "likewise"},
	{"go run ./examples/benchmarks duckdb", "", "likewise"},
	{"go run ./examples/storebench engine", "go run ./examples/storebench -days 1 -rounds 1 engine", "five rounds take minutes"},
	{"go run ./examples/storebench engine queues", "", "likewise; each of the two runs here alone"},
	{"go run ./examples/storebench records", "go run ./examples/storebench -records 1000 -batches 1 records", "likewise"},
	{"go run ./examples/storebench -records 1000000 records", "", "9 GB of records"},
	{"go run ./examples/cluster matrix", "", "three minutes; the module's test runs it in its short form"},
	{"go run ./examples/cluster bench", "", "likewise"},
	{"go test ./examples/outputcheck", "", "go test work runs it; it needs a browser and npm"},
	{"go test ./examples/outputcheck -run TestPage -args -shots /tmp", "", "likewise"},
	{"AWS_PROFILE=audit AWS_REGION=eu-west-1 go run ./event/awstrail/readiness", "go vet ./event/awstrail/readiness", "it needs an account"},
	{"GOOS=linux GOARCH=arm64 CGO_ENABLED=0 go build -tags lambda.norpc -o bootstrap . && zip function.zip bootstrap",
		"go build -tags lambda.norpc -o bootstrap .", "for the machine that it runs on: another one's standard library would be compiled, and zip need not be installed"},
	{"go test -run XX -bench . ./detect/sigma", "go test -run XX -bench . -benchtime 1x ./detect/sigma", "the numbers are of no interest here"},
}

// TestCommands runs what the documents tell a reader to type, block by block, in
// a copy of the repository: every line of every block marked sh, and of the
// other blocks that begin with the go command. A block runs in the root of the
// repository, or in the document's folder if the paragraph before it says "in
// this folder". A block marked output that follows says what is printed, among
// other things; "…" stands for anything.
func TestCommands(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles and runs programs")
	}
	there := stage(t)
	bin, tmp := t.TempDir(), shared(t)
	env := append(os.Environ(), "GOBIN="+bin, "PATH="+bin+string(filepath.ListSeparator)+os.Getenv("PATH"), "TMPDIR="+tmp)
	excused := map[string]bool{}
	for _, file := range documents(t) {
		found, err := blocks(root, file)
		require.NoError(t, err)
		for _, b := range found {
			if !b.isCommands() {
				continue
			}
			script := []string{"set -ex"}
			for _, c := range b.commands() {
				if i := slices.IndexFunc(exceptions, func(x exception) bool { return x.command == c }); i >= 0 {
					excused[c] = true
					c = exceptions[i].instead
				}
				script = append(script, c)
			}
			t.Run(file+":"+strconv.Itoa(b.line), func(t *testing.T) {
				cmd := exec.CommandContext(t.Context(), "sh", "-c", strings.Join(script, "\n"))
				cmd.Dir, cmd.Env = filepath.Join(there, b.dir()), env
				var trace strings.Builder
				cmd.Stderr = &trace
				out, err := cmd.Output()
				require.NoError(t, err, "%s\n%s", trace.String(), out)
				printed(t, b.output, string(out))
			})
		}
	}
	for _, x := range exceptions {
		assert.True(t, excused[x.command], "no document has the command %q", x.command)
	}
}

// stage copies the repository as git would hand it out, with what is not yet
// committed, and lays beside it what commands take for granted: logs of the
// reader's own, in history and trail.
func stage(t *testing.T) string {
	there := filepath.Join(t.TempDir(), "cloudtell")
	for _, file := range files(t) {
		text, err := os.ReadFile(filepath.Join(root, file))
		if os.IsNotExist(err) { // deleted, and not yet committed
			continue
		}
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(there, file)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(there, file), text, 0o644))
	}
	trail := filepath.Join(there, "testdata", "quickstart")
	require.NoError(t, filepath.WalkDir(trail, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".gz" {
			return err
		}
		folder := "history"
		if strings.Contains(path, "20260121T") { // the day of the attack
			folder = "trail"
		}
		if err := os.MkdirAll(filepath.Join(there, folder), 0o755); err != nil {
			return err
		}
		return os.Link(path, filepath.Join(there, folder, filepath.Base(path)))
	}))
	return there
}

// shared returns a temporary folder that other users may enter: PostgreSQL runs
// as one if the test runs as root.
func shared(t *testing.T) string {
	dir, err := os.MkdirTemp("", "commands")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	return dir
}

// printed checks that lines are printed, in this order, each whole but for
// spaces around it.
func printed(t *testing.T, lines []string, out string) {
	t.Helper()
	for _, line := range lines {
		parts := strings.Split(strings.TrimSpace(line), "…")
		for i, part := range parts {
			parts[i] = regexp.QuoteMeta(part)
		}
		at := regexp.MustCompile(`(?m)^\s*` + strings.Join(parts, ".*") + `\s*$`).FindStringIndex(out)
		if !assert.NotNil(t, at, "not printed, or not here:\n%s\nin what is left of the output:\n%s", line, out) {
			return
		}
		out = out[at[1]:]
	}
}

// files returns the files that git tracks, and those that it could.
func files(t *testing.T) []string {
	cmd := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil && os.Getenv("CI") != "true" {
		t.Skip("not in a clone: ", err)
	}
	require.NoError(t, err)
	return strings.Split(strings.TrimRight(string(out), "\x00"), "\x00")
}

func documents(t *testing.T) []string {
	return slices.DeleteFunc(files(t), func(file string) bool { return filepath.Ext(file) != ".md" })
}

// TestQuotations pins that Go code in the guides stands in a Go file of the
// repository, where it is compiled, line by line but for the indentation.
func TestQuotations(t *testing.T) {
	var code strings.Builder
	for _, file := range files(t) {
		if filepath.Ext(file) == ".go" {
			text, err := os.ReadFile(filepath.Join(root, file))
			require.NoError(t, err)
			code.WriteString(flat(strings.Split(string(text), "\n")))
		}
	}
	quotations := 0
	for _, file := range documents(t) {
		if filepath.Dir(file) != "examples/guides" {
			continue
		}
		found, err := blocks(root, file)
		require.NoError(t, err)
		for _, b := range found {
			if b.lang == "go" {
				quotations++
				assert.True(t, strings.Contains(code.String(), flat(b.text)), "%s:%d: no Go file has this code", file, b.line)
			}
		}
	}
	assert.NotZero(t, quotations)
}

// flat returns lines without their indentation, and without empty ones.
func flat(lines []string) string {
	b := []byte("\n")
	for _, line := range lines {
		if line = strings.TrimSpace(line); line != "" {
			b = append(append(b, line...), '\n')
		}
	}
	return string(b)
}

// TestLinks pins that links within the repository lead to something.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	for _, file := range documents(t) {
		text, err := os.ReadFile(filepath.Join(root, file))
		require.NoError(t, err)
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			_, err := os.Stat(filepath.Join(root, filepath.Dir(file), m[1]))
			assert.NoError(t, err, "%s links to %s", file, m[1])
		}
	}
}
