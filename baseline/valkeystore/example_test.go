package valkeystore_test

import (
	"context"
	"log"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/cloudtell/cloudtell/baseline/valkeystore"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/techniques"
)

// Several workers share what they have learnt, and a restart forgets nothing.
func Example() {
	ctx := context.Background()
	store, err := valkeystore.Open(ctx, valkey.MustParseURL("redis://127.0.0.1:6379"), &valkeystore.Options{TTL: 180 * 24 * time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	detectors, err := techniques.All(nil)
	if err != nil {
		log.Fatal(err)
	}
	set, err := detect.NewSet(detectors, nil)
	if err != nil {
		log.Fatal(err)
	}
	engine, err := detect.NewEngine(set, store, nil)
	if err != nil {
		log.Fatal(err)
	}
	// … engine.Process, and after every few thousand events:
	if err := engine.Flush(ctx); err != nil {
		log.Print(err) // nothing is lost: flush again
	}
}
