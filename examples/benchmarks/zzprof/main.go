package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime/pprof"
	"time"

	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/examples/account"
)

func main() {
	var b bytes.Buffer
	for r := range account.New(&account.Options{Days: 3, Attacks: true, Traps: true}).Records() {
		b.WriteString(r.JSON)
		b.WriteByte('\n')
	}
	f, _ := os.Create("/tmp/w/lab/cpu.prof")
	pprof.StartCPUProfile(f)
	n := 0
	start := time.Now()
	for time.Since(start) < 5*time.Second {
		for range event.Read(bytes.NewReader(b.Bytes()), nil) {
			n++
		}
	}
	pprof.StopCPUProfile()
	fmt.Println(time.Since(start) / time.Duration(n))
}
