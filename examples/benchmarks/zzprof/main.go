package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime/pprof"
	"syscall"
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
	best := time.Hour
	for time.Since(start) < 6*time.Second {
		var u, v syscall.Rusage
		syscall.Getrusage(0, &u)
		m := 0
		for range event.Read(bytes.NewReader(b.Bytes()), nil) {
			m++
		}
		syscall.Getrusage(0, &v)
		d := time.Duration(v.Utime.Nano() + v.Stime.Nano() - u.Utime.Nano() - u.Stime.Nano()) / time.Duration(m)
		best = min(best, d)
		n += m
	}
	pprof.StopCPUProfile()
	fmt.Println("best", best)
}
