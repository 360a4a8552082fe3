package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/worker"
	"github.com/cloudtell/cloudtell/detect/worker/workertest"
)

// A router writes to a queue, a worker reads from it. The queue here is in
// memory; natsengine and kafkaengine have others.
func Example() {
	info := detect.Info{
		Name: "root-call", Doc: "The root user made a call.", Technique: "T1078", Tactic: detect.InitialAccess, Severity: detect.High,
	}
	set, err := detect.NewSet([]detect.Detector{detect.New(info, func(p *detect.Pass) {
		if p.Require("the root user made the call", p.Event.Identity.Type == "Root") {
			p.Report(p.Event.Name, "root called "+p.Event.Name)
		}
	})}, nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx, queue, store := context.Background(), workertest.NewMemory(4), &baseline.Memory{}

	router, err := worker.NewRouter(set, queue, 4, nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := router.Route(ctx, "trail.json", []byte(`{"Records":[{
		"eventTime": "2026-01-05T09:00:00Z", "eventSource": "iam.amazonaws.com", "eventName": "CreateAccessKey",
		"userIdentity": {"type": "Root", "arn": "arn:aws:iam::111122223333:root", "accountId": "111122223333"}
	}]}`)); err != nil {
		log.Fatal(err)
	}

	w, err := worker.New(set, queue.Source(100), store, queue, nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := w.Run(ctx); err != nil { // until the queue is empty
		log.Fatal(err)
	}
	for _, a := range queue.Alerts() {
		var f detect.Finding
		if err := json.Unmarshal(a.Data, &f); err != nil {
			log.Fatal(err)
		}
		fmt.Println(f.Severity, f.Title, a.ID == f.ID)
	}
	// Output: high root called CreateAccessKey true
}
