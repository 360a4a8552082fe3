// Generate writes the logs of an AWS account that does not exist, in the
// layout of a CloudTrail bucket, with attacks in them and the truth beside
// them in truth.json:
//
//	go run ./examples/generate -out /tmp/account
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/cloudtell/cloudtell/examples/account"
)

func main() {
	out := flag.String("out", "", "write into this `directory`")
	seed := flag.Uint64("seed", 1, "the account: the same seed gives the same bytes")
	days := flag.Int("days", 0, "number of days (default 35, or 17 with -small)")
	start := flag.String("start", "2026-01-05", "first `day`")
	scale := flag.Int("scale", 1, "multiply people and small workloads")
	attacks := flag.Bool("attacks", true, "with attacks")
	traps := flag.Bool("traps", true, "with honest behaviour that looks like an attack")
	small := flag.Bool("small", false, "four principals and one attack only")
	accessLog := flag.Bool("accesslog", false, "also write the S3 server access log of one bucket")
	flag.Parse()

	first, err := time.Parse(time.DateOnly, *start)
	if err == nil && *out == "" {
		err = fmt.Errorf("-out is missing")
	}
	if err == nil {
		a := account.New(&account.Options{
			Seed: *seed, Start: first, Days: *days, Scale: *scale, Attacks: *attacks, Traps: *traps, Small: *small,
		})
		err = a.WriteTrail(*out)
		if err == nil && *accessLog {
			err = a.WriteAccessLog(*out)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}
