package outputcheck

import (
	"bytes"
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/coverage"
	"github.com/cloudtell/cloudtell/detect/incident"
	"github.com/cloudtell/cloudtell/detect/report"
)

// shots is where to leave pictures of the page for somebody to look at. The
// README's is one of them:
//
//	go test ./examples/outputcheck -run TestPage -shots /tmp && cp /tmp/light.png examples/scan/report.png
var shots = flag.String("shots", "", "write screenshots of the report to this directory")

// maxPage is the size that the report of the generator's account may have.
const maxPage = 2_000_000

// accountReport is the report of the generated account, as the scan command
// writes it: of the small one with -short.
var accountReport = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "outputcheck")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	generate := []string{"run", "github.com/cloudtell/cloudtell/examples/generate", "-out", filepath.Join(dir, "logs")}
	if testing.Short() {
		generate = append(generate, "-small")
	}
	scan := []string{"run", "github.com/cloudtell/cloudtell/examples/scan", "-quiet", "-format", "html", "-o", filepath.Join(dir, "report.html"), filepath.Join(dir, "logs")}
	for _, args := range [][]string{generate, scan} {
		cmd := exec.Command("go", args...)
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			return "", err
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "report.html"))
	return string(text), err
})

// A tab is a page in a browser, and what the browser has to say about it.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string
	requests   []string
}

// open opens a page in a headless Chromium of its own.
func open(t *testing.T, html string) *tab {
	t.Helper()
	browser := need(t, "chromium")
	file := filepath.Join(t.TempDir(), "report.html")
	require.NoError(t, os.WriteFile(file, []byte(html), 0o644))
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(browser), chromedp.NoSandbox, chromedp.WindowSize(1280, 1000),
		chromedp.WSURLReadTimeout(time.Minute))
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	p := &tab{t: t, ctx: ctx}
	require.NoError(t, chromedp.Listen(ctx, func(event any) {
		p.mu.Lock()
		defer p.mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventConsoleAPICalled:
			p.complaints = append(p.complaints, "console "+string(e.Type))
		case *runtime.EventExceptionThrown:
			p.complaints = append(p.complaints, "exception "+e.ExceptionDetails.Text)
		case *log.EventEntryAdded:
			p.complaints = append(p.complaints, string(e.Entry.Level)+": "+e.Entry.Text)
		case *page.EventJavascriptDialogOpening:
			p.complaints = append(p.complaints, "dialog "+e.Message)
		case *network.EventRequestWillBeSent:
			p.requests = append(p.requests, e.Request.URL)
		}
	}))
	call(p, network.Enable, network.EnableParams{})
	p.run(chromedp.Navigate("file://" + file))
	return p
}

// call sends the browser a command of its protocol.
func call[P, R any](p *tab, command cdp.Command[P, R], params P) R {
	p.t.Helper()
	result, err := chromedp.Call(p.ctx, command, params)
	require.NoError(p.t, err)
	return result
}

// media has the page shown in another way: on another medium, or with another
// preference.
func (p *tab) media(medium, scheme string) {
	p.t.Helper()
	params := emulation.SetEmulatedMediaParams{Media: medium}
	if scheme != "" {
		params.Features = []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}
	}
	call(p, emulation.SetEmulatedMedia, params)
}

func (p *tab) run(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	require.NoError(p.t, chromedp.Do(p.ctx, actions...))
}

// do runs a statement in the page.
func (p *tab) do(statement string) { eval[bool](p, "(() => { "+statement+"; return true })()") }

// click clicks what a selector finds first, and lets the page react.
func (p *tab) click(selector string) {
	p.t.Helper()
	p.do("document.querySelector(" + strconv.Quote(selector) + ").click()")
	p.run(chromedp.Sleep(50 * time.Millisecond))
}

// keys types, and lets the page react.
func (p *tab) keys(keys string) {
	p.t.Helper()
	p.run(chromedp.KeyEvent(keys), chromedp.Sleep(50*time.Millisecond))
}

// search types into the search field.
func (p *tab) search(text string) {
	p.t.Helper()
	p.do(`document.getElementById("q").focus()`)
	p.keys(text)
}

// eval returns what an expression is in the page.
func eval[T any](p *tab, expression string) T {
	p.t.Helper()
	value, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression))
	require.NoError(p.t, err)
	return value
}

// quiet fails the test if the browser complained, or asked for anything but the
// page.
func (p *tab) quiet() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	assert.Empty(p.t, p.complaints)
	for _, url := range p.requests {
		assert.Regexp(p.t, `^(file:///.*/report\.html|data:,)`, url)
	}
}

func (p *tab) shoot(name string) {
	p.t.Helper()
	if *shots == "" {
		return
	}
	p.run(chromedp.Sleep(300 * time.Millisecond))
	png, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	require.NoError(p.t, err)
	require.NoError(p.t, os.WriteFile(filepath.Join(*shots, name+".png"), png, 0o644))
}

const (
	visible = `[...document.querySelectorAll("details.finding")].filter(f => f.checkVisibility()).length`
	all     = `document.querySelectorAll("details.finding").length`
	shown   = `document.getElementById("shown").value`
	active  = `document.activeElement.closest("details")?.id ?? document.activeElement.id`
)

func TestPage(t *testing.T) {
	need(t, "chromium")
	html, err := accountReport()
	require.NoError(t, err)
	assert.Less(t, len(html), maxPage)
	p := open(t, html)

	require.Equal(t, "What cloudtell found", eval[string](p, "document.title"))
	total := eval[int](p, all)
	require.Greater(t, total, 3)
	require.Greater(t, eval[int](p, `document.querySelectorAll("details.incident").length`), 0)
	assert.Equal(t, total, eval[int](p, visible))
	for _, section := range []string{"incidents", "who", "findings", "coverage", "respond"} {
		assert.Greater(t, eval[float64](p, `document.getElementById("`+section+`").offsetHeight`), 50.0, section)
	}
	assert.Equal(t, 0, eval[int](p, `[...document.querySelectorAll("nav a, .steps a, .facts a[href^='#']")].filter(a => !document.getElementById(decodeURIComponent(a.hash.slice(1)))).length`), "links that lead nowhere")
	ids := eval[[]string](p, `[...document.querySelectorAll("[id]")].map(e => e.id)`)
	seen := make(map[string]bool)
	for _, id := range ids {
		assert.False(t, seen[id], "two elements have the id %s", id)
		seen[id] = true
	}
	p.shoot("light")

	t.Run("filters", func(t *testing.T) {
		p.do(`const s = document.getElementById("severity"); s.value = "4"; s.dispatchEvent(new Event("input", {bubbles: true}))`)
		severe := eval[int](p, `document.querySelectorAll(".finding.s-high, .finding.s-critical").length`)
		assert.Equal(t, severe, eval[int](p, visible))
		assert.Less(t, severe, total)
		assert.Contains(t, eval[string](p, shown), " of ")

		p.click("#filter button[type=reset]")
		assert.Equal(t, total, eval[int](p, visible))

		title := eval[string](p, `document.querySelector(".finding .what").textContent`)
		p.search(title)
		n := eval[int](p, visible)
		assert.Greater(t, n, 0)
		assert.Less(t, n, total)
		p.search(" no-such-thing")
		assert.Equal(t, 0, eval[int](p, visible))
		p.keys(kb.Escape)
		assert.Equal(t, total, eval[int](p, visible))

		// A number of the heat map is how many findings it shows.
		number := eval[int](p, `Number(document.querySelector(".heat button").textContent)`)
		p.click(".heat button")
		assert.Equal(t, number, eval[int](p, visible))
		assert.Less(t, number, total)
		p.shoot("filtered")
		p.keys(kb.Escape)
	})

	t.Run("keyboard", func(t *testing.T) {
		p.keys("j")
		assert.Equal(t, "f1", eval[string](p, active))
		p.keys("jjk")
		assert.Equal(t, "f2", eval[string](p, active))
		p.keys(kb.Enter)
		assert.True(t, eval[bool](p, `document.getElementById("f2").open`))
		p.shoot("finding")
		assert.True(t, eval[bool](p, `!document.body.dispatchEvent(new KeyboardEvent("keydown", {key: "/", bubbles: true, cancelable: true}))`), "the key itself is not typed")
		p.keys("j")
		assert.Equal(t, "q", eval[string](p, active), "a key is a letter in the search field")
		assert.Equal(t, "j", eval[string](p, `document.getElementById("q").value`))
		p.keys(kb.Escape)
		// Whoever cannot use a mouse reaches every control.
		assert.Equal(t, 0, eval[int](p, `document.querySelectorAll("[tabindex='-1'], [onclick]").length`))
	})

	t.Run("link", func(t *testing.T) {
		// A step of an incident leads to its finding, even if a filter hides that.
		p.search("no-such-thing")
		id := eval[string](p, `document.querySelector(".steps a").hash.slice(1)`)
		p.click(".steps a")
		assert.True(t, eval[bool](p, `document.getElementById("`+id+`").open`))
		assert.True(t, eval[bool](p, `document.getElementById("`+id+`").checkVisibility()`))
	})

	t.Run("dark", func(t *testing.T) {
		const background = `getComputedStyle(document.body).backgroundColor`
		light := eval[string](p, background)
		p.media("", "dark")
		assert.NotEqual(t, light, eval[string](p, background))
		for _, of := range []string{"incidents", "who", "findings", "coverage"} {
			p.do(`document.getElementById("` + of + `").scrollIntoView()`)
			p.shoot("dark-" + of)
		}
	})

	t.Run("contrast", func(t *testing.T) {
		// WCAG AA asks for 4.5 between text and what is behind it.
		for _, scheme := range []string{"light", "dark"} {
			p.media("", scheme)
			assert.Empty(t, eval[[]string](p, poorContrast), scheme)
		}
	})

	t.Run("paper", func(t *testing.T) {
		p.do(`for (const d of document.querySelectorAll("details")) d.open = false`)
		p.media("print", "")
		assert.Equal(t, "none", eval[string](p, `getComputedStyle(document.querySelector("nav")).display`))
		assert.Equal(t, "rgb(255, 255, 255)", eval[string](p, `getComputedStyle(document.body).backgroundColor`))
		p.do(`addEventListener("beforeprint", () => window.openOnPaper = document.querySelectorAll(".finding[open]").length)`)
		pdf, err := chromedp.Run(p.ctx, chromedp.PrintToPDF())
		require.NoError(t, err)
		assert.True(t, bytes.HasPrefix(pdf, []byte("%PDF")))
		assert.Regexp(t, "^[1-9]", eval[string](p, `String(window.openOnPaper)`), "what matters is open on paper, whatever it is on the screen")
		assert.Equal(t, 0, eval[int](p, `document.querySelectorAll("details[open]").length`), "and is closed again")
		if *shots != "" {
			require.NoError(t, os.WriteFile(filepath.Join(*shots, "paper.pdf"), pdf, 0o644))
		}
		p.do(`scrollTo(0, 0)`)
		p.shoot("paper")
	})

	t.Run("narrow", func(t *testing.T) {
		p.media("", "")
		p.run(chromedp.EmulateViewport(390, 844))
		p.do(`scrollTo(0, 0)`)
		assert.LessOrEqual(t, eval[float64](p, `document.documentElement.scrollWidth`), 391.0, "nothing is wider than a telephone")
		p.shoot("narrow")
	})
	p.quiet()
}

// poorContrast lists texts that are hard to read.
const poorContrast = `(() => {
	const context = Object.assign(document.createElement("canvas"), {width: 1, height: 1}).getContext("2d", {willReadFrequently: true});
	const rgba = (colour) => {
		context.clearRect(0, 0, 1, 1);
		context.fillStyle = colour;
		context.fillRect(0, 0, 1, 1);
		return context.getImageData(0, 0, 1, 1).data;
	};
	const luminance = (c) => [0.2126, 0.7152, 0.0722].reduce((sum, w, i) => {
		const v = c[i] / 255;
		return sum + w * (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
	}, 0);
	const behind = (e) => {
		for (; e; e = e.parentElement) {
			const c = rgba(getComputedStyle(e).backgroundColor);
			if (c[3] > 200) return c;
		}
		return rgba("canvas");
	};
	const poor = new Set();
	for (const e of document.querySelectorAll("h1, h2, p, a, th, td, .badge, .aside, .way b, button, li, dt, code, label, figcaption, .note")) {
		if (!e.checkVisibility() || !e.textContent.trim()) continue;
		const [a, b] = [luminance(rgba(getComputedStyle(e).color)), luminance(behind(e))].sort((x, y) => y - x);
		const ratio = (a + 0.05) / (b + 0.05);
		if (ratio < 4.5) poor.add(e.tagName + "." + e.className + " in " + e.closest("[class]")?.className + " " + ratio.toFixed(1));
	}
	return [...poor];
})()`

// TestHostilePage gives every text that a caller may choose the worst content.
func TestHostilePage(t *testing.T) {
	const evil = `"'></summary></details><img src=x onerror="alert(1)"><script>alert(2)</script>{{.}}` + "`${alert(3)}`\u202e\x1b[2J\x00</title></style>"
	at := time.Date(2026, 1, 25, 12, 0, 0, 0, time.UTC)
	var fs []detect.Finding
	for i, id := range []string{"a", "b", "javascript:alert(4)//"} {
		fs = append(fs, detect.Finding{
			ID: evil + id, Rule: evil + id, Technique: detect.Technique("T1552" + evil), Tactic: detect.CredentialAccess, Severity: detect.High, Title: evil,
			Principal: evil, PrincipalName: evil, Session: evil, AccessKeyID: evil, Subject: evil, AccountID: evil, Region: evil, SourceAddress: evil, UserAgent: evil,
			Time: at.Add(time.Duration(i) * time.Hour), EventIDs: []string{evil}, Evidence: []detect.Evidence{{Name: evil, Observed: evil, Expected: evil}},
			Checks: []detect.Check{{Condition: evil, Passed: true}, {Condition: evil, Observed: 3, Threshold: 2}},
			Benign: []string{evil}, Respond: []string{evil}, Mitigations: []string{evil}, Suppressed: "",
		})
	}
	joiner, err := incident.NewJoiner(nil)
	require.NoError(t, err)
	for _, f := range fs {
		joiner.Add(f)
	}
	var b bytes.Buffer
	require.NoError(t, report.Write(&b, &report.Report{
		Title: evil, Scope: evil, Notes: []string{evil}, Incidents: joiner.Incidents(), Findings: fs,
		Coverage: &coverage.Report{
			Logging: []coverage.Logging{{Kind: evil, Seen: true}}, Rules: []coverage.Rule{{Name: evil, State: coverage.State(evil), Missing: evil}},
			Techniques: []coverage.Technique{{ID: evil, Name: evil, State: coverage.State(evil), Rules: 1}}, Advice: []string{evil},
		},
	}))
	p := open(t, b.String())
	assert.Equal(t, 3, eval[int](p, visible))
	assert.Equal(t, 1, eval[int](p, `document.querySelectorAll("script").length`))
	assert.Equal(t, 0, eval[int](p, `document.querySelectorAll("img, iframe, object, [onerror], main style").length`))
	assert.Equal(t, 0, eval[int](p, `[...document.links].filter(a => a.protocol !== "file:" && a.hostname !== "attack.mitre.org").length`))
	assert.Contains(t, eval[string](p, `document.querySelector(".finding .what").textContent`), `\u202e\x1b[2J\x00`)
	p.click(".heat button")
	assert.Equal(t, 3, eval[int](p, visible))
	p.quiet()

	// The policy is what stops a mistake in all that: the page's own script runs,
	// another does not.
	p.do(`document.body.append(Object.assign(document.createElement("script"), {textContent: "window.planted = true"}))`)
	assert.False(t, eval[bool](p, `"planted" in window`))
	p.mu.Lock()
	assert.Contains(t, strings.Join(p.complaints, "\n"), "Content Security Policy")
	p.mu.Unlock()
}
