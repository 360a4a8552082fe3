package output

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/cloudtell/cloudtell/detect"
)

// Markdown returns the finding as a section of a document, under a heading of
// the third level: for a ticket, or a chat message. What is said of the rule, such
// as how to respond, is left to a place where it stands once. Text that an
// intruder may have chosen means nothing but itself, is cut to 400 characters,
// and shows characters that cannot be seen by their codes.
func Markdown(f *detect.Finding) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s: %s\n\n", f.Severity, escape(f.Title))
	item := func(label, text string) {
		if text != "" {
			fmt.Fprintf(&b, "- %s: %s\n", label, text)
		}
	}
	item("technique", join(technique(f), labelled("rule", escape(f.Rule))))
	item("who", join(code(f.Principal), labelled("session", code(f.Session)), labelled("key", code(f.AccessKeyID))))
	item("from", join(code(f.SourceAddress), code(f.Region), labelled("account", code(f.AccountID)), code(f.UserAgent)))
	when := moment(f.Time)
	if f.Revision > 0 {
		when += fmt.Sprintf(" to %s, %d reports", moment(lastOf(f)), f.Revision+1)
	}
	item("when", when)
	if !f.Learned.Since.IsZero() {
		item("baseline", f.Learned.String())
	}
	if c, ok := f.Nearest(); ok {
		item("nearest threshold", escape(c.String()))
	}
	var guards []string
	for _, c := range f.Checks {
		if c.Guard && c.Passed {
			guards = append(guards, c.Condition)
		}
	}
	item("ruled out", escape(strings.Join(guards, "; ")))
	item("suppressed", escape(f.Suppressed))
	item("events", code(strings.Join(f.EventIDs, " ")))
	item("id", code(f.ID))
	if len(f.Evidence) > 0 {
		b.WriteString("\n| evidence | observed | expected |\n|---|---|---|\n")
		for _, e := range f.Evidence {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", escape(e.Name), escape(e.Observed), escape(e.Expected))
		}
	}
	return []byte(b.String())
}

func technique(f *detect.Finding) string {
	s := escape(string(f.Technique))
	if name := f.Technique.Name(); name != "" {
		s += " " + name
	}
	if tactic := cmp.Or(f.Tactic.Name(), escape(string(f.Tactic))); tactic != "" {
		s += " (" + tactic + ")"
	}
	return strings.TrimSpace(s)
}

// maxText is the number of characters of one text that people are shown.
const maxText = 400

// clean shows the characters that cannot be seen by their codes, and cuts what
// is long.
func clean(s string) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > maxText {
			return b.String() + "..."
		}
		if unicode.IsPrint(r) && r != unicode.ReplacementChar {
			b.WriteRune(r)
		} else {
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}

var escapes = strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`,
	"<", `\<`, ">", `\>`, "|", `\|`, "&", `\&`, "~", `\~`,
	"://", `\://`, "www.", `www\.`, "@", `\@`) // of these, many readers make links

// escape makes text mean itself in Markdown.
func escape(s string) string { return escapes.Replace(clean(s)) }

// code sets text as code, but not within a table.
func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + strings.ReplaceAll(clean(s), "`", "'") + "`"
}

func labelled(label, text string) string {
	if text == "" {
		return ""
	}
	return label + " " + text
}

// join joins the parts that are not empty.
func join(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }
