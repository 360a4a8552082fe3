// Command scan reads AWS logs from files, folders or standard input, in any
// order and of any size, and prints what cloudtell finds in them:
//
//	go run ./examples/scan testdata/quickstart
//	go run ./examples/scan -format json -baseline learnt /var/log/aws | jq .title
//	go run ./examples/scan -format html -o report.html testdata/quickstart
//	aws s3 cp s3://trail/file.json.gz - | go run ./examples/scan -
//
// Run it with -h for its flags. Its parts, in the order they work: config.go
// reads the command line, inputs.go reads logs, in the order that deliveries.go
// finds, merge.go puts their events in order, scan.go runs the detectors,
// explain.go asks them why, report.go gathers what they find, and formats.go and
// printers.go print it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// The exit statuses.
const (
	statusDone    = 0
	statusFound   = 1 // as -fail-on says
	statusTrouble = 2
)

func main() {
	// Whatever ends the scan, temporary files are removed: an interruption is an
	// error of the context, a closed pipe an error of writing. A second
	// interruption ends the process at once.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is main without the process.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	o, err := parseOptions(args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return statusDone
	}
	status := statusDone
	if err == nil {
		status, err = scan(ctx, o, stdin, stdout, stderr)
	}
	if ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	if err != nil {
		if !errors.Is(err, syscall.EPIPE) { // whoever read has seen enough
			fmt.Fprintln(stderr, "scan:", clean(err.Error()))
		}
		return statusTrouble
	}
	return status
}
