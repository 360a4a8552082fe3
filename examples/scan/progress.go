package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// progress counts what a scan has done so far and shows it on one line of a
// terminal.
type progress struct {
	files, records, evaluated atomic.Int64
	clock                     atomic.Int64 // time of the latest event evaluated, Unix seconds
}

// redraw is the time between two lines of progress.
const redraw = 200 * time.Millisecond

// show draws the line on w until the function it returns is called, which wipes
// it.
func (p *progress) show(w io.Writer) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		ticker := time.NewTicker(redraw)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				fmt.Fprintf(w, "\r\x1b[K%s", p)
			case <-done:
				fmt.Fprint(w, "\r\x1b[K")
				return
			}
		}
	})
	return sync.OnceFunc(func() {
		close(done)
		wg.Wait()
	})
}

// String returns the line.
func (p *progress) String() string {
	s := fmt.Sprintf("read %s records in %s files", digits(p.records.Load()), digits(p.files.Load()))
	if n := p.evaluated.Load(); n > 0 {
		s += fmt.Sprintf("; evaluated %s, at %s", digits(n), time.Unix(p.clock.Load(), 0).UTC().Format(time.DateTime))
	}
	return s
}

// isTerminal reports whether w is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
