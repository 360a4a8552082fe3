package sigma

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// The bounds of a file. The rules of the public collection about CloudTrail have
// some two thousand bytes, and nest five deep.
const (
	maxFile     = 1 << 20  // bytes
	maxDocument = 64 << 10 // bytes; the parser takes time by the square of the number of keys
	maxNested   = 16       // brackets, or entries begun on one line
	maxIndent   = 128      // columns
)

type node = ast.Node

// A document is one document of a YAML file.
type document struct {
	text string
	line int // of its first line in the file, from 0
}

// documents splits a file into its documents, so that one that is no YAML does
// not take the others with it.
func documents(text string) []document {
	var docs []document
	start, first, line := 0, 0, 0
	add := func(end int) {
		if strings.TrimSpace(text[start:end]) != "" {
			docs = append(docs, document{text[start:end], first})
		}
	}
	for at := 0; at < len(text); line++ {
		end := len(text)
		if n := strings.IndexByte(text[at:], '\n'); n >= 0 {
			end = at + n + 1
		}
		if rest, ok := strings.CutPrefix(text[at:end], "---"); ok && (rest == "" || strings.ContainsAny(rest[:1], " \t\r\n")) {
			add(at)
			start, first = at+len("---"), line
		}
		at = end
	}
	add(len(text))
	return docs
}

// parse returns the document's root; nil if there is nothing but comments. What
// makes YAML dangerous or hard to read is refused before it is parsed: aliases,
// tags, merges, deep nesting.
func (d *document) parse() (root node, err error) {
	if len(d.text) > maxDocument {
		return nil, &fault{element: "YAML", err: fmt.Errorf("%w: a document of %d bytes, over %d", ErrUnsupported, len(d.text), maxDocument)}
	}
	if !utf8.ValidString(d.text) {
		return nil, &fault{element: "YAML", err: fmt.Errorf("%w: not UTF-8", ErrInvalid)}
	}
	tokens := lexer.Tokenize(d.text)
	if f := guard(tokens); f != nil {
		return nil, f
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		f := &fault{element: "YAML", err: fmt.Errorf("%w: no YAML", ErrInvalid)}
		if y := yaml.Error(nil); errors.As(err, &y) { // Error would print the whole text
			f.err = fmt.Errorf("%w: %s", ErrInvalid, firstLine(y.GetMessage()))
			f.line, f.column = place(y.GetToken())
		}
		return nil, f
	}
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if root != nil {
			return nil, invalid(doc.Body, "YAML", "two documents without a line of --- between them")
		}
		root = doc.Body
	}
	return root, nil
}

func guard(tokens token.Tokens) *fault {
	open, entries, line := 0, 0, 0
	for _, t := range tokens {
		refuse := func(what string) *fault {
			f := &fault{element: "YAML", err: fmt.Errorf("%w: %s", ErrUnsupported, what)}
			f.line, f.column = place(t)
			return f
		}
		if t.Position.Line != line {
			line, entries = t.Position.Line, 0
			if t.Position.Column > maxIndent && t.Type != token.CommentType {
				return refuse("a line is indented too far")
			}
		}
		switch t.Type {
		case token.AliasType:
			return refuse("an alias; a text that begins with * must be quoted")
		case token.AnchorType:
			return refuse("an anchor; a text that begins with & must be quoted")
		case token.TagType:
			return refuse("a tag; a text that begins with ! must be quoted")
		case token.MergeKeyType:
			return refuse("a merge")
		case token.MappingKeyType:
			return refuse("a key after ?")
		case token.DirectiveType:
			return refuse("a directive")
		case token.MappingStartType, token.SequenceStartType:
			open++
		case token.MappingEndType, token.SequenceEndType:
			open--
		case token.SequenceEntryType:
			entries++
		}
		if open > maxNested || entries > maxNested {
			return refuse("values are nested too deeply")
		}
	}
	return nil
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}

func place(t *token.Token) (line, column int) {
	if t == nil || t.Position == nil {
		return 0, 0
	}
	return t.Position.Line, t.Position.Column
}

func position(n node) (line, column int) {
	if n == nil {
		return 0, 0
	}
	if v, ok := n.(*ast.MappingNode); ok && len(v.Values) > 0 {
		n = v.Values[0].Key
	} else if v, ok := n.(*ast.MappingValueNode); ok {
		n = v.Key
	}
	return place(n.GetToken())
}

// A pair is a member of a mapping.
type pair struct {
	key   string
	at    node // the key
	value node
}

// pairs returns a mapping's members; false if the node is none.
func pairs(n node) ([]pair, bool) {
	var list []pair
	add := func(v *ast.MappingValueNode) { list = append(list, pair{scalarText(v.Key), v.Key, v.Value}) }
	switch n := n.(type) {
	case *ast.MappingNode:
		for _, v := range n.Values {
			add(v)
		}
	case *ast.MappingValueNode:
		add(n)
	default:
		return nil, false
	}
	return list, true
}

// items returns a sequence's elements; for another node, the node itself.
func items(n node) []node {
	if s, ok := n.(*ast.SequenceNode); ok {
		return s.Values
	}
	return []node{n}
}

func isSequence(n node) bool {
	_, ok := n.(*ast.SequenceNode)
	return ok
}

func isNull(n node) bool {
	_, ok := n.(*ast.NullNode)
	return n == nil || ok
}

// scalarText returns a scalar as it is written, a string as it is meant.
func scalarText(n node) string {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value
	case *ast.LiteralNode:
		return n.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode, *ast.NullNode:
		return n.GetToken().Value
	}
	return ""
}

// isScalar reports whether the node is a scalar other than null.
func isScalar(n node) bool {
	switch n.(type) {
	case *ast.StringNode, *ast.LiteralNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return true
	}
	return false
}

// number returns a number that is written without quotes.
func number(n node) (float64, bool) {
	switch n := n.(type) {
	case *ast.IntegerNode:
		switch v := n.Value.(type) {
		case int64:
			return float64(v), true
		case uint64:
			return float64(v), true
		}
	case *ast.FloatNode:
		return n.Value, true
	}
	return 0, false
}

// texts reads a text or a list of texts.
func texts(p pair) ([]string, error) {
	if isNull(p.value) {
		return nil, nil
	}
	var list []string
	for _, n := range items(p.value) {
		if !isScalar(n) {
			return nil, invalid(p.at, p.key, "neither a text nor a list of texts")
		}
		list = append(list, strings.TrimSpace(scalarText(n)))
	}
	return list, nil
}

// text reads a text.
func text(p pair) (string, error) {
	if isSequence(p.value) {
		return "", invalid(p.at, p.key, "a list, not a text")
	}
	list, err := texts(p)
	if err != nil || len(list) == 0 {
		return "", err
	}
	return list[0], nil
}
