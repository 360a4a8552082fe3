// Package report writes what was found as one HTML page that needs nothing else:
// no network, no other file. It may be mailed, archived and printed, and opens
// in any browser of the last years. Incidents come first, then who did what
// (principals against techniques), every finding with what it rests on, what the
// logs let the rules see, and what to do.
//
// Much of the text on the page was chosen by whoever made the calls. It is
// escaped by html/template, characters that cannot be seen show as their codes,
// and a Content-Security-Policy lets nothing run but the page's own script, and
// nothing load at all.
package report

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"io"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/coverage"
	"github.com/cloudtell/cloudtell/detect/incident"
)

// A Report is what is to be reported. Every field may be left out.
type Report struct {
	// Title is the page's; the default is "What cloudtell found".
	Title string
	// Scope says in a line what was read: the events, from when to when.
	Scope string
	// Notes are what a reader has to know besides: what could not be read, what
	// was left out.
	Notes []string
	// Incidents are shown in their order, which is that of
	// [incident.Joiner.Incidents]. Their steps lead to the findings that are
	// shown.
	Incidents []incident.Incident
	// Findings are shown the most severe first. A page of some thousands is slow
	// to open: leave out the least severe, and say so in Notes.
	Findings []detect.Finding
	// Coverage is what the rules could see; nil leaves the section out.
	Coverage *coverage.Report
}

var (
	//go:embed report.html
	page string
	//go:embed report.css
	style string
	//go:embed report.js
	script string
)

var pages = template.Must(template.New("report").Funcs(template.FuncMap{
	"show": show, "moment": moment, "day": day, "digits": digits, "name": detect.Technique.Name, "count": count,
}).Parse(page))

// policy allows the page's own style and script, known by their hashes, and an
// empty icon, so that the browser asks nobody for one.
var policy = "default-src 'none'; style-src '" + hash(style) + "'; script-src '" + hash(script) + "'; img-src data:; base-uri 'none'; form-action 'none'"

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// Write writes the page. It is the same for the same report. The error is the
// writer's.
func Write(w io.Writer, r *Report) error {
	return pages.Execute(w, newView(r))
}
