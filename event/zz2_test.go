package event

import (
	"bytes"
	"github.com/cloudtell/cloudtell/examples/account"
	"testing"
)

func BenchmarkDecode(b *testing.B) {
	var bb bytes.Buffer
	for r := range account.New(&account.Options{Days: 1, Attacks: true, Traps: true}).Records() {
		bb.WriteString(r.JSON)
		bb.WriteByte('\n')
	}
	text := bb.String()
	d := decoder{memory: newMemory(64)}
	for b.Loop() {
		for i := 0; i < len(text); {
			k, err := d.decode(text[i:], 64)
			if err != nil {
				b.Fatal(err)
			}
			i += k + 1
		}
	}
}
