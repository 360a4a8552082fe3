// Generate writes the logs of an AWS account that does not exist, in the
// layout of a CloudTrail bucket, with attacks in them and the truth beside
// them in truth.json:
//
//	go run ./examples/generate -out /tmp/account
//
// Package account says what is in them.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/cloudtell/cloudtell/examples/account"
)

func main() {
	switch err := run(os.Args[1:]); {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	var o account.Options
	flags := flag.NewFlagSet("generate", flag.ContinueOnError)
	out := flags.String("out", "", "write below this `directory`")
	start := flags.String("start", "2026-01-05", "first `day`")
	accessLog := flags.Bool("accesslog", false, "also write the S3 server access log of one bucket")
	flags.Uint64Var(&o.Seed, "seed", 1, "choose the account: the same seed gives the same bytes")
	flags.IntVar(&o.Days, "days", 0, "number of days (default 35, or 17 with -small)")
	flags.IntVar(&o.Scale, "scale", 1, "multiply the people and the small workloads")
	flags.BoolVar(&o.Attacks, "attacks", true, "with attacks")
	flags.BoolVar(&o.Traps, "traps", true, "with honest behaviour that looks like an attack")
	flags.BoolVar(&o.Small, "small", false, "four principals and one attack only")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *out == "" || flags.NArg() > 0 {
		return errors.New("usage: generate -out directory [options]; -help lists them")
	}
	var err error
	if o.Start, err = time.Parse(time.DateOnly, *start); err != nil {
		return fmt.Errorf("-start: %w", err)
	}
	a := account.New(&o)
	if err := a.WriteTrail(*out); err != nil {
		return err
	}
	if *accessLog {
		return a.WriteAccessLog(*out)
	}
	return nil
}
