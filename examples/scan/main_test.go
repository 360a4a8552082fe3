package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/examples/account"
)

// command runs the command as a shell would.
type command struct {
	stdin  io.Reader
	stdout string
	stderr string
	status int
}

func (c *command) run(args ...string) *command {
	var stdout, stderr bytes.Buffer
	c.status = run(context.Background(), args, c.stdin, &stdout, &stderr)
	c.stdout, c.stderr = stdout.String(), stderr.String()
	return c
}

func scanned(args ...string) *command { return (&command{}).run(args...) }

// findings decodes the output of -format json.
func (c *command) findings(t *testing.T) []detect.Finding {
	t.Helper()
	var list []detect.Finding
	for line := range strings.Lines(c.stdout) {
		var f detect.Finding
		require.NoError(t, json.Unmarshal([]byte(line), &f))
		list = append(list, f)
	}
	return list
}

func ids(findings []detect.Finding) []string {
	var list []string
	for _, f := range findings {
		list = append(list, f.ID)
	}
	slices.Sort(list)
	return list
}

// small is an account with one attack on its last day, the seventeenth.
func small() *account.Account {
	return account.New(&account.Options{Seed: 5, Small: true, Attacks: true})
}

// trail writes the files of an account for which name gives a name.
func trail(t *testing.T, a *account.Account, name func(n int, f account.File) string) string {
	t.Helper()
	dir := t.TempDir()
	n := 0
	for f := range a.Files() {
		n++
		path := name(n, f)
		if path == "" {
			continue
		}
		path = filepath.Join(dir, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, compress(t, records(f)), 0o600))
	}
	return dir
}

func asDelivered(_ int, f account.File) string { return f.Path }

func records(f account.File) string {
	var list []string
	for _, r := range f.Records {
		list = append(list, r.JSON)
	}
	return `{"Records":[` + strings.Join(list, ",") + `]}`
}

func compress(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.Bytes()
}

// TestSameFindings is the promise of the command: what it prints does not
// depend on how the same events lie in files, nor on how it goes about it.
func TestSameFindings(t *testing.T) {
	a := small()
	dir := trail(t, a, asDelivered)
	want := scanned("-quiet", dir)
	require.Equal(t, statusDone, want.status, want.stderr)
	require.Empty(t, want.stderr)
	require.Contains(t, want.stdout, "HIGH", "the test needs findings")
	require.Contains(t, want.stdout, "user/alex")

	twice := t.TempDir()
	require.NoError(t, os.CopyFS(filepath.Join(twice, "b", "one"), os.DirFS(dir)))
	require.NoError(t, os.CopyFS(filepath.Join(twice, "a", "two"), os.DirFS(dir)))

	lines := t.TempDir()
	var text strings.Builder
	for r := range a.Records() {
		text.WriteString(r.JSON + "\n")
	}
	require.NoError(t, os.WriteFile(filepath.Join(lines, "all.ndjson"), []byte(text.String()), 0o600))

	var named []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if !d.IsDir() {
			named = append(named, path)
		}
		return err
	}))
	slices.Reverse(named)

	base := make(map[string]string)
	for _, format := range []string{"text", "json", "markdown"} {
		base[format] = scanned("-quiet", "-format", format, dir).stdout
	}
	tests := []struct {
		name string
		args []string
	}{
		{"on one shard", []string{"-shards", "1", dir}},
		{"on eight shards", []string{"-shards", "8", dir}},
		{"spilled to disk", []string{"-memory", "1", dir}},
		{"with names in reverse order", []string{trail(t, a, func(n int, _ account.File) string { return fmt.Sprintf("%06d", 999999-n) })}},
		{"with names in no order", []string{trail(t, a, func(n int, _ account.File) string { return fmt.Sprintf("%03d-%d", n*7919%1000, n) })}},
		{"with every file twice", []string{twice}},
		{"the folder twice", []string{dir, dir}},
		{"as one file of lines", []string{lines}},
		{"lines spilled to disk", []string{"-memory", "1", lines}},
		{"each file named, the last first", named},
		{"lines beside some of the files", append(named[:len(named)/2:len(named)/2], lines)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tmp := t.TempDir()
			t.Setenv("TMPDIR", tmp)
			for format, want := range base {
				got := scanned(append([]string{"-quiet", "-format", format}, test.args...)...)
				assert.Equal(t, statusDone, got.status, got.stderr)
				assert.Equal(t, want, got.stdout)
			}
			empty(t, tmp)
		})
	}
}

// empty checks that a folder for temporary files is empty.
func empty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, left, "temporary files are left")
}

// closedPipe is standard output whose reader has gone, as with "scan … | head".
type closedPipe struct{}

func (closedPipe) Write([]byte) (int, error) {
	return 0, &os.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.EPIPE}
}

func TestClosedPipe(t *testing.T) {
	var stderr bytes.Buffer
	status := run(context.Background(), []string{"-quiet", trail(t, small(), asDelivered)}, nil, closedPipe{}, &stderr)
	assert.Equal(t, statusTrouble, status)
	assert.Empty(t, stderr.String())
}

// TestDisk pins that an input that fits in memory does not touch the disk, and
// that a disk that fails is an error.
func TestDisk(t *testing.T) {
	dir := trail(t, small(), asDelivered)
	inNoOrder := trail(t, small(), func(n int, _ account.File) string { return fmt.Sprint(n) })
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "absent"))
	assert.Equal(t, statusDone, scanned("-memory", "4", dir).status, "it is read in order")
	assert.Equal(t, statusDone, scanned(inNoOrder).status)
	c := scanned("-memory", "4", inNoOrder)
	assert.Equal(t, statusTrouble, c.status)
	assert.Contains(t, c.stderr, "absent")
	assert.Empty(t, c.stdout)
}

// quarantine is a record that is a critical finding by itself.
func quarantine(id, at string) string {
	return `{"eventVersion":"1.11","eventID":"` + id + `","eventTime":"` + at + `","eventSource":"iam.amazonaws.com",
		"eventName":"AttachUserPolicy","awsRegion":"us-east-1","recipientAccountId":"111122223333","sourceIPAddress":"AWS Internal",
		"userIdentity":{"type":"AWSService","invokedBy":"support.amazonaws.com"},
		"requestParameters":{"userName":"alice","policyArn":"arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV2"}}`
}

var found = quarantine("6f1c2a52-3c1f-4ed0-9a5b-0d6b1f0f8f51", "2026-01-21T03:12:44Z")

// write writes files into a new folder.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	return dir
}

func TestInputs(t *testing.T) {
	zipped := string(compress(t, found+strings.Repeat(" ", 100_000)+found))
	digest := `{"awsAccountId":"111122223333","digestStartTime":"2026-01-21T03:00:00Z","logFiles":[]}`
	accessLine := `79a5 logs [21/Jan/2026:03:12:00 +0000] 192.0.2.3 - 3E57427F3EXAMPLE REST.GET.OBJECT a.txt "GET /logs/a.txt HTTP/1.1" 200 - 5 5 7 7 "-" "curl/8.0" - abc - - - logs.s3.amazonaws.com TLSv1.3 - -` + "\n"
	tests := []struct {
		name    string
		files   map[string]string
		status  int
		records int      // that were read
		says    []string // on standard error
	}{
		{"a log", map[string]string{"a.json": found}, statusDone, 1, []string{"read 1 record from 1 file"}},
		{"folders", map[string]string{"a/b/c/x": found, "d/y": found}, statusDone, 2, []string{"2 files: 1 evaluated, 1 duplicate"}},
		{"compressed", map[string]string{"a.gz": zipped}, statusDone, 2, nil},
		{"compressed, with another name", map[string]string{"a.txt": zipped}, statusDone, 2, nil},
		{"an access log beside a trail", map[string]string{"a": found, "b": accessLine}, statusDone, 2, []string{"2 evaluated"}},
		{"an empty file", map[string]string{"a": ""}, statusDone, 0, []string{"1 file"}},
		{"an empty log", map[string]string{"a": `{"Records":[]}`}, statusDone, 0, []string{"1 file"}},
		{"files that are no logs", map[string]string{"a": found, "truth.json": `{"story":"x"}`, "README.md": "# Logs\n\nSome text.\n", "c.png": "\x89PNG\r\n\x1a\n\x00\x00"},
			statusDone, 1, []string{"skipped 3 paths", "truth.json", "README.md", "c.png"}},
		{"folders that hold no events", map[string]string{"AWSLogs/1/CloudTrail-Digest/x": digest, "AWSLogs/1/CloudTrail-Insight/x": found,
			"AWSLogs/1/CloudTrail-Aggregated/x": found, ".git/x": found, "AWSLogs/1/CloudTrail/x": found},
			statusDone, 1, []string{"skipped 4 paths", "CloudTrail-Digest, not CloudTrail events", ".git, a hidden folder"}},
		{"nothing", nil, statusTrouble, 0, []string{"no log was read"}},
		{"no log", map[string]string{"truth.json": `{"story":"x"}`}, statusTrouble, 0, []string{"skipped 1 path", "no log was read"}},
		{"a bad record among good ones", map[string]string{"a": found + "\n{\"eventVersion\":oops}\n" + found}, statusDone, 2,
			[]string{"1 record could not be read", "a, record 1, at byte"}},
		{"a record from the future", map[string]string{"a": found + quarantine("b", "2199-01-01T00:00:00Z")}, statusDone, 1,
			[]string{"1 record could not be read", "record 1"}},
		{"nothing but bad records", map[string]string{"a": quarantine("b", "2199-01-01T00:00:00Z")}, statusTrouble, 0, []string{"no log was read"}},
		{"a truncated file", map[string]string{"a": found, "b.gz": zipped[:len(zipped)*3/4]}, statusTrouble, 2, []string{"1 path could not be read", "b.gz, "}},
		{"a damaged file", map[string]string{"a": found, "b.gz": zipped[:len(zipped)-8] + "12345678"}, statusTrouble, 3, []string{"1 path could not be read", "checksum"}},
		{"a file cut to its first bytes", map[string]string{"a": found, "b.gz": zipped[:5]}, statusTrouble, 1, []string{"1 path could not be read"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := write(t, test.files)
			c := scanned("-fail-on", "silent", dir)
			assert.Equal(t, test.status, c.status, c.stderr)
			assert.Contains(t, c.stderr, "read "+count(int64(test.records), "record")+" from")
			for _, says := range test.says {
				assert.Contains(t, c.stderr, says)
			}
			if test.records > 0 {
				assert.Contains(t, c.stdout, "aws-quarantined-key")
			} else {
				assert.Contains(t, c.stdout, "no findings")
			}
		})
	}
}

func TestPaths(t *testing.T) {
	dir := write(t, map[string]string{"logs/a.json": found})
	require.NoError(t, os.Symlink(filepath.Join(dir, "logs"), filepath.Join(dir, "link")))
	require.NoError(t, os.Symlink("absent", filepath.Join(dir, "dangling")))
	tests := []struct {
		path   string
		status int
		says   string
	}{
		{"logs/a.json", statusDone, "read 1 record from 1 file"},
		{"logs", statusDone, "read 1 record from 1 file"},
		{"link", statusDone, "read 1 record from 1 file"},
		{"link/a.json", statusDone, "read 1 record from 1 file"},
		{"absent", statusTrouble, "absent, no such file"},
		{".", statusTrouble, "dangling, no such file"},
		{".", statusTrouble, "link, a symbolic link to a folder"},
	}
	for _, test := range tests {
		c := scanned(filepath.Join(dir, test.path))
		assert.Equal(t, test.status, c.status, "%s: %s", test.path, c.stderr)
		assert.Contains(t, c.stderr, test.says, test.path)
	}
}

func TestStandardInput(t *testing.T) {
	tests := []struct {
		name, text string
		findings   int
		status     int
	}{
		{"plain", found, 1, statusDone},
		{"compressed", string(compress(t, found)), 1, statusDone},
		{"empty", "", 0, statusDone},
		{"truncated", string(compress(t, found))[:40], 0, statusTrouble},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := (&command{stdin: strings.NewReader(test.text)}).run("-format", "json", "-")
			assert.Equal(t, test.status, c.status, c.stderr)
			assert.Len(t, c.findings(t), test.findings)
		})
	}
	t.Run("fails", func(t *testing.T) {
		c := (&command{stdin: io.MultiReader(strings.NewReader(found+"\n"), iotest.ErrReader(errors.New("line noise")))}).run("-")
		assert.Equal(t, statusTrouble, c.status)
		assert.Contains(t, c.stderr, "line noise")
		assert.Contains(t, c.stdout, "aws-quarantined-key", "what came before is used")
	})
	t.Run("beside files", func(t *testing.T) {
		c := (&command{stdin: strings.NewReader(found)}).run("-", write(t, map[string]string{"a": found}))
		assert.Contains(t, c.stderr, "read 2 records from 2 files: 1 evaluated, 1 duplicate")
	})
}

func TestBadUse(t *testing.T) {
	log := write(t, map[string]string{"a": found})
	broken := file(t, "baseline", "this is no baseline at all")
	tests := []struct {
		name, says string
		args       []string
	}{
		{"no path", "nothing to scan", nil},
		{"flag", "-frobnicate", []string{"-frobnicate", log}},
		{"rule", `no rule "nonsense"`, []string{"-rules", "nonsense", log}},
		{"config", "everyone a scanner", []string{"-scanners", "*", log}},
		{"suppression of no rule", `no rule "nonsense"`, []string{"-suppressions",
			file(t, "s", `[{"rule":"nonsense","reason":"r","expires":"2027-01-01T00:00:00Z"}]`), log}},
		{"suppression without end", "expiry", []string{"-suppressions", file(t, "s", `[{"rule":"aws-quarantined-key","reason":"r"}]`), log}},
		{"damaged baseline", broken, []string{"-baseline", broken, log}},
		{"baseline in no folder", "absent", []string{"-baseline", filepath.Join(log, "absent", "b"), log}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := scanned(test.args...)
			assert.Equal(t, statusTrouble, c.status)
			assert.Contains(t, c.stderr, test.says)
		})
	}
	help := scanned("-h")
	assert.Equal(t, statusDone, help.status)
	assert.Contains(t, help.stdout, "Usage: scan")
	assert.Empty(t, help.stderr)
}

func TestStatusOfFindings(t *testing.T) {
	log := write(t, map[string]string{"a": found})
	tests := []struct {
		name   string
		args   []string
		status int
	}{
		{"no flag", nil, statusDone},
		{"at the severity", []string{"-fail-on", "critical"}, statusFound},
		{"above the severity", []string{"-fail-on", "low"}, statusFound},
		{"not printed", []string{"-fail-on", "low", "-rules", "aws-quarantined-key", "-min-severity", "critical"}, statusFound},
		{"of another rule", []string{"-fail-on", "low", "-rules", "userdata-bulk"}, statusDone},
		{"trouble counts more", []string{"-fail-on", "low", "absent"}, statusTrouble},
		{"suppressed", []string{"-fail-on", "low", "-suppressions", file(t, "s",
			`[{"rule":"aws-*","subject":"alice","reason":"a drill","expires":"2027-01-01T00:00:00Z"}]`)}, statusDone},
		{"suppressed until the day before", []string{"-fail-on", "low", "-suppressions", file(t, "s",
			`[{"rule":"aws-*","subject":"alice","reason":"a drill","expires":"2026-01-20T00:00:00Z"}]`)}, statusFound},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := scanned(append(test.args, log)...)
			assert.Equal(t, test.status, c.status, c.stderr)
			if test.name == "suppressed" {
				assert.Contains(t, c.stdout, "suppressed  aws-quarantined-key 1")
			}
		})
	}
}

func TestMinSeverity(t *testing.T) {
	dir := trail(t, small(), asDelivered)
	all := scanned("-format", "json", dir).findings(t)
	some := scanned("-format", "json", "-min-severity", "high", dir).findings(t)
	want := slices.DeleteFunc(slices.Clone(all), func(f detect.Finding) bool { return f.Severity < detect.High })
	require.NotEmpty(t, some)
	require.Less(t, len(some), len(all))
	assert.Equal(t, want, some)
}

// TestBaseline scans an account day by day, with a baseline in between, and
// compares with a single scan: the same findings, to the last revision.
func TestBaseline(t *testing.T) {
	days := make(map[string]string)
	for r := range small().Records() {
		days[r.Time.Format("2006-01-02")] += r.JSON + "\n"
	}
	dir := write(t, days)
	single := make(map[string]detect.Finding)
	for _, f := range scanned("-format", "json", dir).findings(t) {
		single[f.ID] = f
	}
	require.NotEmpty(t, single)

	learnt := filepath.Join(t.TempDir(), "learnt")
	split := make(map[string]detect.Finding)
	for _, day := range slices.Sorted(maps.Keys(days)) {
		c := scanned("-format", "json", "-baseline", learnt, filepath.Join(dir, day))
		require.Equal(t, statusDone, c.status, c.stderr)
		for _, f := range c.findings(t) {
			split[f.ID] = f
		}
	}
	assert.Equal(t, single, split)

	t.Run("again", func(t *testing.T) {
		c := scanned("-format", "json", "-baseline", learnt, dir)
		assert.Subset(t, slices.Collect(maps.Keys(single)), ids(c.findings(t)), "events learnt before are not new findings")
		assert.Contains(t, c.stderr, "late are events")
	})
	t.Run("without", func(t *testing.T) {
		last := slices.Max(slices.Collect(maps.Keys(days)))
		c := scanned("-format", "json", filepath.Join(dir, last))
		assert.NotEqual(t, len(single), len(c.findings(t)), "the baseline makes a difference")
	})
	t.Run("only of some rules", func(t *testing.T) {
		// Rules that are not asked for learn all the same, so the next scan may
		// ask for others.
		learnt := filepath.Join(t.TempDir(), "learnt")
		sorted := slices.Sorted(maps.Keys(days))
		split := make(map[string]detect.Finding)
		for i, day := range sorted {
			rule := "aws-quarantined-key"
			if i == len(sorted)-1 {
				rule = "bucket-sweep"
			}
			for _, f := range scanned("-format", "json", "-rules", rule, "-baseline", learnt, filepath.Join(dir, day)).findings(t) {
				split[f.ID] = f
			}
		}
		want := maps.Clone(single)
		maps.DeleteFunc(want, func(_ string, f detect.Finding) bool { return f.Rule != "bucket-sweep" })
		require.NotEmpty(t, want)
		assert.Equal(t, want, split)
	})
}

// TestBaselineIsKept pins that a scan that fails leaves the old baseline.
func TestBaselineIsKept(t *testing.T) {
	log := write(t, map[string]string{"a": found})
	learnt := filepath.Join(t.TempDir(), "learnt")
	require.Equal(t, statusDone, scanned("-baseline", learnt, log).status)
	before, err := os.ReadFile(learnt)
	require.NoError(t, err)

	later := write(t, map[string]string{"a": quarantine("b", "2026-02-21T03:12:44Z")})
	var stderr bytes.Buffer
	status := run(context.Background(), []string{"-baseline", learnt, later}, nil, broken{}, &stderr)
	assert.Equal(t, statusTrouble, status, "the findings could not be written")
	after, err := os.ReadFile(learnt)
	require.NoError(t, err)
	assert.Equal(t, before, after)
}

// TestWarm pins that history changes findings as a baseline does, without
// findings of its own.
func TestWarm(t *testing.T) {
	days := make(map[string]string)
	for r := range small().Records() {
		days[r.Time.Format("2006-01-02")] += r.JSON + "\n"
	}
	sorted := slices.Sorted(maps.Keys(days))
	last := sorted[len(sorted)-1]
	lastDay := write(t, map[string]string{last: days[last]})
	delete(days, last)
	history := write(t, days)

	c := scanned("-format", "json", "-warm", history, lastDay)
	require.Equal(t, statusDone, c.status, c.stderr)
	require.NotEmpty(t, c.findings(t))
	var want []string
	for _, f := range scanned("-format", "json", history, lastDay).findings(t) {
		if f.Time.Format("2006-01-02") == last {
			want = append(want, f.ID)
		}
	}
	slices.Sort(want)
	assert.Equal(t, want, ids(c.findings(t)))
	assert.NotEqual(t, want, ids(scanned("-format", "json", lastDay).findings(t)), "history makes a difference")
	assert.Equal(t, statusTrouble, scanned("-warm", history, t.TempDir()).status, "history alone is nothing to scan")
}

// TestConfigReachesRules pins that what the flags say changes findings.
func TestConfigReachesRules(t *testing.T) {
	dir := trail(t, small(), asDelivered)
	rule := func(name string, args ...string) int {
		n := 0
		for _, f := range scanned(append(args, "-format", "json", dir)...).findings(t) {
			if f.Rule == name {
				n++
			}
		}
		return n
	}
	attacker := "192.0.2.77"
	require.Contains(t, scanned(dir).stdout, attacker)
	assert.Zero(t, rule("malicious-ip"))
	assert.Positive(t, rule("malicious-ip", "-bad-addresses", file(t, "bad", attacker+" seen before")))
	assert.Positive(t, rule("userdata-bulk"))
	assert.Zero(t, rule("userdata-bulk", "-scanners", "arn:aws:iam::111122223333:user/alex"))
	assert.Positive(t, rule("userdata-bulk", "-scanners", "arn:aws:iam::111122223333:user/alex 203.0.113.0/24"))
	assert.Zero(t, rule("userdata-bulk", "-config", file(t, "c", `{"scanners":[{"principal":"arn:aws:iam::111122223333:user/alex"}]}`)))
}

// TestInterrupted pins that an interrupted scan ends soon, even while it waits
// for standard input, prints no findings and leaves no files.
func TestInterrupted(t *testing.T) {
	t.Run("at once", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		interrupted(t, ctx, strings.NewReader(found), "-")
	})
	t.Run("while it waits", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		interrupted(t, ctx, &stuck{cancel: cancel, release: t.Context().Done()}, "-")
	})
	t.Run("with files written", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		var text strings.Builder
		for r := range small().Records() {
			text.WriteString(r.JSON + "\n")
		}
		stdin := io.MultiReader(strings.NewReader(text.String()), &stuck{cancel: cancel, release: t.Context().Done()})
		interrupted(t, ctx, stdin, "-memory", "1", "-")
	})
}

func interrupted(t *testing.T, ctx context.Context, stdin io.Reader, args ...string) {
	t.Helper()
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	learnt := filepath.Join(t.TempDir(), "learnt")
	var stdout, stderr bytes.Buffer
	status := run(ctx, append([]string{"-baseline", learnt}, args...), stdin, &stdout, &stderr)
	assert.Equal(t, statusTrouble, status)
	assert.Equal(t, "scan: interrupted\n", stderr.String())
	assert.Empty(t, stdout.String())
	assert.NoFileExists(t, learnt)
	empty(t, tmp)
}

// stuck is an input that never comes: the user loses patience and interrupts.
type stuck struct {
	cancel  context.CancelFunc
	release <-chan struct{} // the end of the test
}

func (s *stuck) Read([]byte) (int, error) {
	s.cancel()
	<-s.release
	return 0, io.EOF
}

func TestProgress(t *testing.T) {
	var p progress
	p.files.Store(12)
	p.records.Store(34567)
	assert.Equal(t, "read 34,567 records in 12 files", p.String())
	p.evaluated.Store(4096)
	p.clock.Store(noon.Unix())
	assert.Equal(t, "read 34,567 records in 12 files; evaluated 4,096, at 2026-01-21 12:00:00", p.String())

	var b bytes.Buffer
	stop := p.show(&b)
	stop()
	stop()
	assert.True(t, strings.HasSuffix(b.String(), "\r\x1b[K"), "the line is wiped")
	assert.False(t, isTerminal(&b))
	f, err := os.Open(file(t, "f", ""))
	require.NoError(t, err)
	defer f.Close()
	assert.False(t, isTerminal(f))
}

// TestProblems pins that what goes wrong in detection is said, and is a status.
func TestProblems(t *testing.T) {
	o := &options{format: "text", quiet: true}
	set, err := o.newSet()
	require.NoError(t, err)
	engine, err := detect.NewEngine(set, nil, nil)
	require.NoError(t, err)
	s := &scanner{options: o, engine: engine, intake: &intake{reading: reading{files: 1}}}
	r := newReport(o, nil, emptyJoiner(t), io.Discard)
	var stderr bytes.Buffer
	s.problem(nil)
	assert.Equal(t, statusDone, s.conclude(r, &stderr))
	assert.Empty(t, stderr.String())
	for range 3 {
		s.problem(errors.Join(errors.New("one\x1b[2J"), errors.New("two")))
	}
	assert.Equal(t, statusTrouble, s.conclude(r, &stderr))
	assert.Equal(t, "detection had problems\n  one\\x1b[2J\n  two\n  and 4 more\n", stderr.String())
}

func TestNotes(t *testing.T) {
	var n notes
	for i := range 1000 {
		n.add(fmt.Sprintf("%03d", (i*7+3)%1000), "")
	}
	n.add("000", "")
	assert.Equal(t, 1001, n.total)
	require.Len(t, n.first(), maxNotes)
	for i, note := range n.first() {
		assert.Equal(t, fmt.Sprintf("%03d", i), note.name, "the first by name, in whatever order they came")
	}
	assert.LessOrEqual(t, cap(n.kept), 8*maxNotes)
}

// TestCorpus scans real logs, where there are any.
func TestCorpus(t *testing.T) {
	corpus := filepath.Join("..", "..", "..", "shared", "corpus")
	if _, err := os.Stat(corpus); err != nil {
		t.Skip("no real logs here: ", err)
	}
	t.Run("two quiet days", func(t *testing.T) {
		c := scanned("-fail-on", "high", filepath.Join(corpus, "background-trail"))
		assert.Equal(t, statusDone, c.status, c.stdout)
		assert.Contains(t, c.stderr, "duplicate, 0 late, 0 rejected")
	})
	t.Run("user data downloaded", func(t *testing.T) {
		c := scanned("-fail-on", "high", "-format", "json", filepath.Join(corpus, "simulated-attacks", "aws.discovery.ec2-download-user-data.json"))
		assert.Equal(t, statusFound, c.status, c.stdout)
		i := slices.IndexFunc(c.findings(t), func(f detect.Finding) bool { return f.Rule == "userdata-bulk" })
		require.GreaterOrEqual(t, i, 0)
		assert.Len(t, c.findings(t)[i].EventIDs, 15)
	})
}

// TestLag pins that records delivered within the lag come out in order, and
// those delivered later after what has come out already.
func TestLag(t *testing.T) {
	files := make(map[string]string)
	for i := range 3 * maxJob { // more than is read at once
		at := noon.Add(time.Duration(i) * time.Hour)
		files[at.Add(5*time.Minute).Format("1_CloudTrail_eu-west-1_20060102T1504Z_x.json")] = quarantine(fmt.Sprintf("%02d", i), at.Format(time.RFC3339))
	}
	last := noon.Add(3 * maxJob * time.Hour)
	files[last.Format("1_CloudTrail_eu-west-1_20060102T1504Z_x.json")] = quarantine("late", noon.Add(90*time.Minute).Format(time.RFC3339))
	dir := write(t, files)
	for lag, want := range map[time.Duration]int{time.Hour: 2 * maxJob, 100 * time.Hour: 2} {
		s := newSorter(1 << 20)
		var ids []string
		take := func(before int64) error {
			for {
				e, ok, err := s.next(before)
				if err != nil || !ok {
					return err
				}
				ids = append(ids, e.event.ID)
			}
		}
		in := &intake{lag: lag}
		require.NoError(t, in.read(t.Context(), []string{dir}, func(b *batch) error { return s.add(t.Context(), b) }, take))
		require.NoError(t, take(allTime))
		require.Len(t, ids, 3*maxJob+1)
		at := slices.Index(ids, "late")
		if lag > last.Sub(noon) {
			assert.Equal(t, want, at)
		} else {
			assert.GreaterOrEqual(t, at, want)
		}
		rest := slices.Delete(ids, at, at+1)
		assert.True(t, slices.IsSorted(rest))
	}
}

// TestLargeFilesAreLetGo pins that of files with many records, one job's too,
// not much more than one is in memory at a time.
func TestLargeFilesAreLetGo(t *testing.T) {
	const each = 5*maxEntries + 1
	files := make(map[string]string)
	for i := range 2 * maxJob {
		at := noon.Add(time.Duration(i) * time.Hour)
		var text strings.Builder
		for n := range each {
			text.WriteString(quarantine(fmt.Sprint(i, "-", n), at.Add(time.Duration(each-n)*time.Second).Format(time.RFC3339)))
		}
		files[at.Add(5*time.Minute).Format("1_CloudTrail_eu-west-1_20060102T1504Z_x.json")] = text.String()
	}
	var held []int64
	most, bound := 0, int64(math.MinInt64)
	add := func(b *batch) error {
		for _, e := range b.entries {
			require.GreaterOrEqual(t, e.at, bound, "nothing comes from before what was said to be complete")
			held = append(held, e.at)
		}
		most = max(most, len(held))
		return nil
	}
	complete := func(before int64) error {
		bound = max(bound, before)
		held = slices.DeleteFunc(held, func(at int64) bool { return at < bound })
		return nil
	}
	in := &intake{lag: 10 * time.Minute}
	require.NoError(t, in.read(t.Context(), []string{write(t, files)}, add, complete))
	assert.Equal(t, int64(2*maxJob*each), in.reading.records)
	assert.LessOrEqual(t, most, each)
}

// TestListingEnds pins that the end of the context ends the listing of folders
// too, of which there may be very many.
func TestListingEnds(t *testing.T) {
	dir := write(t, map[string]string{"1_CloudTrail_eu-west-1_20260105T0900Z_x.json": quarantine("a", noon.Format(time.RFC3339))})
	require.NoError(t, os.Symlink("absent", filepath.Join(dir, "2")))
	for _, listed := range []bool{true, false} {
		ctx, cancel := context.WithCancel(t.Context())
		if !listed {
			cancel()
		}
		in := new(intake)
		err := in.read(ctx, []string{dir}, func(*batch) error { return nil }, func(int64) error { return nil })
		assert.Equal(t, listed, err == nil)
		assert.Equal(t, listed, in.reading.failed.total == 1, "the symbolic link behind the first file was found")
		cancel()
	}
}
