// Command customdetector runs a detector of your own beside those of package
// techniques. It reads a log from standard input and prints findings as JSON,
// one a line.
//
// The detector is newRegion, below; testdata/new-region.txt says in scenarios
// what it does, and main_test.go plays them.
package main

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"os"
	"strings"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/techniques"
)

// regions remembers the AWS regions that a principal works in: what AWS does on
// its behalf is no habit of it.
var regions = baseline.FirstSeen("region", func(e *event.Event) string {
	if e.ViaService() {
		return ""
	}
	return e.Region
}, nil)

var newRegion = detect.New(detect.Info{
	Name:      "new-region",
	Doc:       "A principal works in an AWS region that it does not use. Attackers hide workloads where nobody looks.",
	Technique: "T1535",
	Tactic:    "TA0005",
	Severity:  detect.Medium,
	Uses:      []baseline.Feature{regions},
	Learn:     14 * baseline.Day,
}, func(p *detect.Pass) {
	region := regions.In(p)
	if !p.Require("the region is new to the principal", region.New) {
		return
	}
	p.Report(region.Value, "first call in "+region.Value, detect.Evidence{
		Name: "region", Observed: region.Value, Expected: strings.Join(region.Examples(5), ", "),
	})
})

func main() {
	if err := run(context.Background(), os.Stdin, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, logs io.Reader, out io.Writer) error {
	detectors, err := techniques.All(nil)
	if err != nil {
		return err
	}
	set, err := detect.NewSet(append(detectors, newRegion), nil)
	if err != nil {
		return err
	}
	engine, err := detect.NewEngine(set, nil, nil)
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(out)
	for e, err := range event.Read(logs, nil) {
		if err != nil {
			log.Print(err)
			continue
		}
		findings, err := engine.Process(ctx, []*event.Event{e})
		if err != nil {
			log.Print(err)
		}
		for _, f := range findings {
			if err := encoder.Encode(f); err != nil {
				return err
			}
		}
	}
	return nil
}
