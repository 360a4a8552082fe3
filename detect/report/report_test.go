package report_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/coverage"
	"github.com/cloudtell/cloudtell/detect/incident"
	"github.com/cloudtell/cloudtell/detect/report"
)

// The page in a browser is tested in examples/outputcheck.

var noon = time.Date(2026, 1, 25, 12, 0, 0, 0, time.UTC)

func finding(i int, severity detect.Severity) detect.Finding {
	at := noon.Add(time.Duration(i) * time.Hour)
	return detect.Finding{
		ID: fmt.Sprint("id-", i), Rule: fmt.Sprint("rule-", i%3), Technique: "T1552.005", Tactic: detect.CredentialAccess, Severity: severity,
		Title: fmt.Sprint("title ", i), Principal: fmt.Sprint("arn:aws:iam::111122223333:user/u", i%5), PrincipalName: fmt.Sprint("u", i%5), AccessKeyID: "AKIAIOSFODNN7EXAMPLE",
		Time: at, First: at, Last: at.Add(time.Minute), EventIDs: []string{"e1"}, Evidence: []detect.Evidence{{Name: "calls", Observed: "7", Expected: "2"}},
		Checks:  []detect.Check{{Condition: "calls", Passed: true, Observed: 7, Threshold: 5}, {Condition: "a service made the call", Passed: true, Guard: true}},
		Learned: detect.Learned{Mature: true, Since: noon.AddDate(0, 0, -20), Days: 9, Events: 99}, Respond: []string{"Ask."},
	}
}

func page(t *testing.T, r *report.Report) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, report.Write(&b, r))
	return b.String()
}

func whole(t *testing.T) *report.Report {
	r := &report.Report{Scope: "9 events", Notes: []string{"one file could not be read"}, Coverage: &coverage.Report{Advice: []string{"Log it."}}}
	joiner, err := incident.NewJoiner(nil)
	require.NoError(t, err)
	for i := range 30 {
		f := finding(i, detect.Severity(1+i%5))
		joiner.Add(f)
		if i != 7 { // an incident may name findings that are not shown
			r.Findings = append(r.Findings, f)
		}
	}
	r.Incidents = joiner.Incidents()
	return r
}

func TestPage(t *testing.T) {
	html := page(t, whole(t))
	assert.Equal(t, html, page(t, whole(t)), "the same report gives the same page")
	assert.Equal(t, 29, strings.Count(html, `<details class="finding`))
	assert.Equal(t, 1, strings.Count(html, `<details class="incident`))
	assert.Less(t, strings.Index(html, `id="incidents"`), strings.Index(html, `id="findings"`))
	severities := regexp.MustCompile(`<details class="finding s-(\w+)"`).FindAllStringSubmatch(html, -1)
	assert.Equal(t, "critical", severities[0][1])
	assert.Equal(t, "info", severities[28][1])
	for _, part := range []string{"one file could not be read", "9 events", "Log it.", "<b>7</b> of at least 5", "no: does not excuse it", "learnt from 99 events", "title 7</td>", "What cloudtell found"} {
		assert.Contains(t, html, part)
	}
	for _, target := range regexp.MustCompile(`href="#([^"]+)"`).FindAllStringSubmatch(html, -1) {
		assert.Contains(t, html, `id="`+target[1]+`"`)
	}
	assert.NotContains(t, html, "ZgotmplZ", "what html/template refuses to write")
	for _, link := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(html, -1) {
		assert.Regexp(t, `^(#|data:,$|https://attack\.mitre\.org/techniques/)`, link[1])
	}
	body := html[strings.Index(html, "<body>"):strings.Index(html, "<script>")]
	assert.NotRegexp(t, ` (style|on\w+)=`, body, "the policy would not let it work")
}

// TestPolicy pins that what the policy allows is what the page has.
func TestPolicy(t *testing.T) {
	html := page(t, whole(t))
	policy := regexp.MustCompile(`http-equiv="Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(html)
	require.NotNil(t, policy)
	assert.Contains(t, policy[1], "default-src &#39;none&#39;")
	for _, element := range []string{"style", "script"} {
		contents := regexp.MustCompile(`(?s)<`+element+`>(.*?)</`+element+`>`).FindAllStringSubmatch(html, -1)
		require.Len(t, contents, 1)
		sum := sha256.Sum256([]byte(contents[0][1]))
		assert.Contains(t, strings.ReplaceAll(policy[1], "&#43;", "+"), element+"-src &#39;sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"&#39;")
	}
}

func TestEmpty(t *testing.T) {
	html := page(t, &report.Report{Title: "Nothing"})
	assert.Contains(t, html, "<title>Nothing</title>")
	assert.Equal(t, 2, strings.Count(html, "Nothing was found."))
	assert.NotContains(t, html, `id="coverage"`)
	assert.NotContains(t, html, "NaN")
}

// A finding from elsewhere may lack almost everything.
func TestBare(t *testing.T) {
	html := page(t, &report.Report{Findings: []detect.Finding{{ID: "x", Rule: "guardduty/Policy:IAMUser/RootCredentialUsage", Severity: detect.Low, Title: "t", Time: noon}}})
	assert.Contains(t, html, "unknown")
	assert.NotContains(t, html, "0001-01-01")
}

// The numbers of principals and steps are bounded; the page says what is left
// out.
func TestBounds(t *testing.T) {
	r := &report.Report{}
	joiner, err := incident.NewJoiner(nil)
	require.NoError(t, err)
	for i := range 300 {
		f := finding(i, detect.Low)
		joiner.Add(f)
		f.Principal = fmt.Sprint("p", i)
		r.Findings = append(r.Findings, f)
	}
	r.Incidents = joiner.Incidents()
	html := page(t, r)
	assert.Contains(t, html, "And 240 more principals of less concern.")
	assert.Contains(t, html, "And 100 more findings.")
}

func TestWriterFails(t *testing.T) {
	full := errors.New("full")
	assert.ErrorIs(t, report.Write(writer{iotest.ErrReader(full)}, whole(t)), full)
}

type writer struct {
	r interface{ Read([]byte) (int, error) }
}

func (w writer) Write(p []byte) (int, error) { return w.r.Read(p) }
