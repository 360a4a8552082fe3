package guides

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A block is a code block of a document.
type block struct {
	file string // from the root of the repository
	line int    // of its fence, or of its first line
	lang string // the word behind the opening fence; "" if indented
	text []string
	// here says that the paragraph before the block says "in this folder".
	here bool
	// output is what the block that follows, of language "output", says is
	// printed.
	output []string
}

// dir is the folder in which a reader would be.
func (b *block) dir() string {
	if b.here {
		return filepath.Dir(b.file)
	}
	return "."
}

// command begins what a reader would type though it is not marked as sh.
var command = regexp.MustCompile(`^([A-Z_]+=\S+ )*(go [a-z]|git |scan |docker |curl |\$ )`)

// isCommands reports whether a reader is meant to type the block's lines.
func (b *block) isCommands() bool {
	switch b.lang {
	case "sh", "bash", "shell", "console":
		return true
	case "":
		return len(b.text) > 0 && command.MatchString(b.text[0])
	}
	return false
}

// blocks returns the code blocks of a document, fenced and indented ones.
func blocks(root, file string) ([]*block, error) {
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		return nil, err
	}
	var found []*block
	var paragraph string // the one above
	lines := strings.Split(string(text), "\n")
	for i := 0; i < len(lines); i++ {
		lang, fenced := strings.CutPrefix(strings.TrimSpace(lines[i]), "```")
		indented := strings.HasPrefix(lines[i], "    ") && (i == 0 || lines[i-1] == "")
		if !fenced && !indented {
			if i > 0 && lines[i-1] == "" && lines[i] != "" {
				paragraph = ""
			}
			paragraph += lines[i] + " "
			continue
		}
		b := &block{file: file, line: i + 1, lang: lang, here: strings.Contains(strings.ToLower(paragraph), "in this folder")}
		if fenced {
			for i++; i < len(lines) && strings.TrimSpace(lines[i]) != "```"; i++ {
				b.text = append(b.text, lines[i])
			}
		} else {
			b.lang = ""
			for ; i < len(lines) && strings.HasPrefix(lines[i], "    "); i++ {
				b.text = append(b.text, lines[i][4:])
			}
			i--
		}
		if b.lang == "output" && len(found) > 0 {
			found[len(found)-1].output = b.text
		}
		found, paragraph = append(found, b), ""
	}
	return found, nil
}

// commands returns the commands of a block: a line each, but for those that go
// on behind a backslash, without comments.
func (b *block) commands() []string {
	var commands []string
	var sofar string
	for _, line := range b.text {
		if i := comment.FindStringIndex(line); i != nil {
			line = line[:i[0]]
		}
		line = strings.TrimSpace(line)
		sofar += line
		if rest, goesOn := strings.CutSuffix(sofar, `\`); goesOn {
			sofar = rest
			continue
		}
		if sofar != "" {
			commands = append(commands, sofar)
		}
		sofar = ""
	}
	return commands
}

// comment is a comment of the shell, if no string before it holds a #.
var comment = regexp.MustCompile(`(^|\s+)#`)

func TestBlocks(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "sub"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "sub", "a.md"), []byte("Text.\n\n```sh\ngo version # why\ngo \\\n  env\n\n# nothing\n```\n\n"+
		"```output\ngo version\n```\n\nIn this\nfolder:\n\n    go vet ./...\n\nmore text\n    that goes on\n\n1. list\n\n   ```go\n   x := 1\n   ```\n"), 0o644))
	found, err := blocks(dir, "sub/a.md")
	require.NoError(t, err)
	require.Len(t, found, 4)
	typed, output, indented, code := found[0], found[1], found[2], found[3]
	assert.True(t, typed.isCommands())
	assert.Equal(t, []string{"go version", "go env"}, typed.commands())
	assert.Equal(t, []string{"go version"}, typed.output)
	assert.Equal(t, ".", typed.dir())
	assert.False(t, output.isCommands())
	assert.True(t, indented.isCommands())
	assert.Equal(t, []string{"go vet ./..."}, indented.commands())
	assert.Equal(t, "sub", indented.dir())
	assert.Equal(t, "go", code.lang)
	assert.False(t, code.isCommands())
}
