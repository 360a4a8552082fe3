package event

import (
	"bytes"
	"fmt"
	"github.com/cloudtell/cloudtell/examples/account"
	"syscall"
	"testing"
	"time"
)

func TestZZ(t *testing.T) {
	var b bytes.Buffer
	n := 0
	for r := range account.New(&account.Options{Days: 3, Attacks: true, Traps: true}).Records() {
		b.WriteString(r.JSON)
		b.WriteByte('\n')
		n++
	}
	m := func(name string, f func()) {
		best := time.Hour
		for range 30 {
			var u, v syscall.Rusage
			syscall.Getrusage(0, &u)
			f()
			syscall.Getrusage(0, &v)
			best = min(best, time.Duration(v.Utime.Nano()+v.Stime.Nano()-u.Utime.Nano()-u.Stime.Nano())/time.Duration(n))
		}
		fmt.Println(name, best)
	}
	m("window", func() {
		w := newWindow(bytes.NewReader(b.Bytes()), 0, false)
		for w.more() {
			w.pos = len(w.text)
		}
	})
	text := b.String()
	d := decoder{memory: newMemory(64)}
	m("decode", func() {
		for i := 0; i < len(text); {
			k, err := d.decode(text[i:], 64)
			if err != nil {
				t.Fatal(err)
			}
			i += k + 1
		}
	})
	m("read", func() {
		for range Read(bytes.NewReader(b.Bytes()), nil) {
		}
	})
}
