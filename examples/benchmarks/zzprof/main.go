package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime/pprof"
	"syscall"
	"time"

	"github.com/cloudtell/cloudtell/event"
)

func main() {
	in, _ := os.Open("/tmp/w/lab/in/0")
	st, _ := in.Stat()
	b, err := syscall.Mmap(int(in.Fd()), 0, int(st.Size()), syscall.PROT_READ, syscall.MAP_PRIVATE)
	if err != nil {
		panic(err)
	}
	f, _ := os.Create("/tmp/w/lab/cpu.prof")
	pprof.StartCPUProfile(f)
	n := 0
	start := time.Now()
	best := time.Hour
	for time.Since(start) < 15*time.Second {
		var u, v syscall.Rusage
		syscall.Getrusage(0, &u)
		m := 0
		for range event.Read(bytes.NewReader(b), nil) {
			m++
		}
		syscall.Getrusage(0, &v)
		d := time.Duration(v.Utime.Nano()+v.Stime.Nano()-u.Utime.Nano()-u.Stime.Nano()) / time.Duration(m)
		best = min(best, d)
		n += m
	}
	pprof.StopCPUProfile()
	fmt.Println("best", best)
}
