// Command embed is all it takes to use cloudtell in a program. It reads a log
// from standard input and prints findings as they are made:
//
//	gunzip -c trail/*.json.gz | go run ./examples/embed
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/techniques"
)

func main() {
	if err := watch(context.Background(), os.Stdin, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// watch finds what is in a log whose events are at most 15 minutes out of
// order. For logs that are not, see examples/scan.
func watch(ctx context.Context, logs io.Reader, out io.Writer) error {
	detectors, err := techniques.All(nil)
	if err != nil {
		return err
	}
	set, err := detect.NewSet(detectors, nil)
	if err != nil {
		return err
	}
	engine, err := detect.NewEngine(set, nil, nil)
	if err != nil {
		return err
	}
	for events, err := range event.ReadBatches(logs, nil) {
		if err != nil {
			log.Print(err) // about one record; the next may be fine
			continue
		}
		findings, err := engine.Process(ctx, events)
		if err != nil {
			log.Print(err)
		}
		for _, f := range findings {
			fmt.Fprintf(out, "%s %s: %s (%s)\n", f.Severity, f.Rule, f.Title, f.Principal)
		}
	}
	return nil
}
