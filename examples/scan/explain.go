package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// asked returns where among events the one is that -explain asks for, or -1.
func (s *scanner) asked(events []*event.Event) int {
	if s.options.explain == "" || s.answered {
		return -1
	}
	return slices.IndexFunc(events, func(e *event.Event) bool { return e.ID == s.options.explain })
}

// explain says why each rule reports an event, or not.
func (s *scanner) explain(ctx context.Context, e *event.Event, w io.Writer) error {
	s.answered = true
	explanations, err := s.engine.Explain(ctx, e)
	s.problem(err)
	if s.options.format == "json" {
		line, err := json.Marshal(struct {
			Event        string               `json:"event"`
			Explanations []detect.Explanation `json:"explanations"`
		}{e.ID, explanations})
		if err != nil {
			return err
		}
		out := bufio.NewWriter(w)
		writeSpelled(out, line)
		return out.Flush()
	}
	return s.printExplanations(w, e, explanations)
}

// printExplanations prints what the rules make of an event, for a person: of
// those that report it all conditions, of the others the one that decided, and
// the names of those that do not look at it.
func (s *scanner) printExplanations(w io.Writer, e *event.Event, explanations []detect.Explanation) error {
	out := bufio.NewWriter(w)
	line := func(text string) { fmt.Fprintln(out, clean(asFlags.Replace(text))) }
	if s.options.format == "markdown" {
		line("```")
	}
	who := e.Principal.Key
	if who == "" {
		who = "nobody"
	}
	line("EVENT " + join(e.ID, e.Service()+":"+e.Operation+" by "+who, moment(e.Time), labelled("from", e.SourceAddress), labelled("error", e.ErrorCode)))
	var reported, silent []detect.Explanation
	others := slices.Clone(s.rules)
	for _, x := range explanations {
		if x.Looked {
			others = slices.DeleteFunc(others, func(rule string) bool { return rule == x.Rule })
		}
		switch {
		case !x.Looked:
		case len(x.Findings) > 0:
			reported = append(reported, x)
		default:
			silent = append(silent, x)
		}
	}
	line("reported by " + count(int64(len(reported)), "rule"))
	for _, x := range reported {
		for text := range strings.Lines(x.String()) {
			line("  " + strings.TrimSuffix(text, "\n"))
		}
	}
	line("looked at without a finding by " + count(int64(len(silent)), "rule") + "; what decided")
	for _, x := range silent {
		decided, _ := x.Missed()
		line("  " + x.Rule + ": " + decided.String())
	}
	line("not looked at by " + count(int64(len(others)), "rule"))
	for _, text := range wrap(strings.Join(others, ", "), 100) {
		line("  " + text)
	}
	if s.options.format == "markdown" {
		line("```")
	}
	line("")
	return out.Flush()
}
