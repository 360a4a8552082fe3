package awstrail_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/event/awstrail"
	"github.com/cloudtell/cloudtell/event/eventtest"
)

// The examples talk to a server on a loopback port. In a program, clients come
// from cloudtrail.NewFromConfig and its like.

func ExampleInspect() {
	aws := startServer()
	defer aws.Close()
	aws.addTrail("eu-west-1", "arn:aws:cloudtrail:eu-west-1:111122223333:trail/main", managementOnly, nil)

	rules := []detect.Info{ // or those of a detect.Set
		{Name: "discovery", Technique: "T1580", Needs: detect.ManagementReads},
		{Name: "bulk-read", Technique: "T1530", Needs: detect.S3DataEvents, Events: []string{"s3:GetObject"}},
	}
	readiness, err := awstrail.Inspect(context.Background(), aws.cloudtrail(), nil, rules)
	if err != nil {
		fmt.Println(err)
	}
	fmt.Print(readiness)
	// Output:
	// trail main: logs management events, all regions, with digests, last delivery 2026-01-05T09:00:00Z
	//
	// TECHNIQUE  RULE       STATE  MISSING
	// T1530      bulk-read  blind  S3 data events or server access logs
	// T1580      discovery  ready
	//
	// - No trail logs S3 data events, which server access logs could replace. Rules that wait for that: 1.
}

func ExampleHistory() {
	aws := startServer()
	defer aws.Close()
	at := eventtest.Start
	aws.history = map[string][]historyEvent{
		"eu-west-1": {call(at, "eu-west-1", 1), call(at.Add(2*time.Hour), "eu-west-1", 2)},
		"us-east-1": {call(at.Add(time.Hour), "us-east-1", 1)},
	}

	to := at.AddDate(0, 0, 1) // in a program, a quarter of an hour ago
	options := &awstrail.HistoryOptions{Regions: []string{"eu-west-1", "us-east-1"}, CallsPerSecond: 100}
	for e, err := range awstrail.History(context.Background(), aws.cloudtrail(), time.Time{}, to, options) {
		if failed := (*awstrail.RegionError)(nil); errors.As(err, &failed) {
			fmt.Println("go on with", failed.Region, "from", failed.From)
			continue
		} else if err != nil {
			fmt.Println(err) // about one record
			continue
		}
		fmt.Println(e.Time.Format(time.RFC3339), e.Region, e.Operation)
	}
	// Output:
	// 2026-01-05T09:00:00Z eu-west-1 DescribeInstances
	// 2026-01-05T10:00:00Z us-east-1 DescribeInstances
	// 2026-01-05T11:00:00Z eu-west-1 DescribeInstances
}

func ExampleList() {
	aws := startServer()
	defer aws.Close()
	aws.objects = map[string]map[string][]byte{"trail": {
		logKey:    []byte(`{"Records":[` + eventtest.Record{Call: "ec2:DescribeInstances"}.JSON() + `]}`),
		digestKey: []byte(`{}`),
	}}
	ctx := context.Background()
	for file, err := range awstrail.List(ctx, aws.s3(), "trail", nil) {
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(file.Account, file.Region, file.Delivered.Format(time.RFC3339))
		for e, err := range awstrail.Read(ctx, aws.s3(), file, nil) {
			if err != nil {
				fmt.Println(err)
				continue
			}
			fmt.Println(e.Time.Format(time.RFC3339), e.Operation)
		}
	}
	// Output:
	// 111122223333 eu-west-1 2026-01-05T09:00:00Z
	// 2026-01-05T09:00:00Z DescribeInstances
}

func ExampleReceive() {
	aws := startServer()
	defer aws.Close()
	aws.objects = map[string]map[string][]byte{"trail": {logKey: []byte(eventtest.Record{Call: "ec2:DescribeInstances"}.JSON())}}
	aws.queue = [][]string{{sns(s3Records(s3Record("ObjectCreated:Put", "trail", logKey)))}}
	queue := aws.URL + "/111122223333/trail-logs"

	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	consume := func(e *event.Event) { fmt.Println(e.Time.Format(time.RFC3339), e.Operation) }
	for delivery, err := range awstrail.Receive(ctx, aws.sqs(), queue, &awstrail.ReceiveOptions{Buckets: []string{"trail"}}) {
		if err != nil {
			fmt.Println(err)
			continue
		}
		whole := true
		for _, file := range delivery.Files {
			for e, err := range awstrail.Read(ctx, aws.s3(), file, nil) {
				if bad := (*event.DecodeError)(nil); errors.As(err, &bad) {
					fmt.Println(err) // about one record, which will not get better
				} else if err != nil {
					whole = false
				} else {
					consume(e)
				}
			}
		}
		// In a program, after Engine.Flush. What was not read to its end comes again.
		if whole {
			if err := delivery.Done(ctx); err != nil {
				fmt.Println(err)
			}
		}
		stop()
	}
	// Output: 2026-01-05T09:00:00Z DescribeInstances
}

func ExampleParseNotification() {
	files, err := awstrail.ParseNotification(`{"s3Bucket":"trail","s3ObjectKey":["` + logKey + `","` + digestKey + `"]}`)
	fmt.Println(files[0].Region, len(files), err)
	// Output: eu-west-1 1 <nil>
}
