package news_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/cloudtell/cloudtell/detect/internal/news"
)

func TestList(t *testing.T) {
	tests := []struct{ name, added, want string }{ // letter: finding; number: revision; !: raised
		{"first ones", "a0 b0", "a0 b0"},
		{"of others the last", "a0 a1 a2 a3", "a0 a3"},
		{"without the first", "a4 a5", "a5"},
		{"raising ones", "a0 a1 a2! a3 a4", "a0 a2! a4"},
		{"raising at once", "a0 a1! a2!", "a0 a1! a2!"},
		{"among others", "a0 b0 a1 b1 a2", "a0 b0 a2 b1"},
	}
	var l news.List[string]
	for _, tt := range tests {
		for _, f := range strings.Fields(tt.added) {
			var revision int
			fmt.Sscan(strings.TrimRight(f[1:], "!"), &revision)
			l.Add(f, f[:1], revision, strings.HasSuffix(f, "!"))
		}
		assert.Equal(t, strings.Fields(tt.want), l.Findings, tt.name)
		l.Reset()
		assert.Empty(t, l.Findings)
	}
}
