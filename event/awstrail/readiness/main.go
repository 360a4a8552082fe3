// Command readiness asks an AWS account's trails what they log, and prints which
// rules can fire on that:
//
//	AWS_PROFILE=audit go run ./event/awstrail/readiness -regions eu-west-1,us-east-1
//
// It takes credentials and region as the AWS command line does, and needs the
// permissions cloudtrail:DescribeTrails, GetTrailStatus and GetEventSelectors.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event/awstrail"
	"github.com/cloudtell/cloudtell/techniques"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "readiness:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("readiness", flag.ContinueOnError)
	regions := flags.String("regions", "", "ask for the trails of these regions, with commas between (default the configured one)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	aws, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	detectors, err := techniques.All(nil)
	if err != nil {
		return err
	}
	set, err := detect.NewSet(detectors, nil)
	if err != nil {
		return err
	}
	named := strings.FieldsFunc(*regions, func(r rune) bool { return r == ',' })
	readiness, err := awstrail.Inspect(ctx, cloudtrail.NewFromConfig(aws), named, set.Infos())
	if readiness != nil {
		fmt.Fprint(out, readiness)
	}
	return err
}
