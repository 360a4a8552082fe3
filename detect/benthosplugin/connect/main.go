// Command connect runs pipelines of Redpanda Connect, with its basic components
// and those of cloudtell. The store "folder" keeps what is learnt in the folder
// that CLOUDTELL_STATE names ("state" by default). A program with more components,
// or another store, is this one with other imports:
//
//	go run ./connect -c connect/pipeline.yaml
package main

import (
	"cmp"
	"context"
	"log"
	"os"

	_ "github.com/redpanda-data/benthos/v4/public/components/io"
	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect/benthosplugin"
	"github.com/cloudtell/cloudtell/examples/customstore"
)

func main() {
	folder, err := customstore.Open(cmp.Or(os.Getenv("CLOUDTELL_STATE"), "state"))
	if err != nil {
		log.Fatal(err)
	}
	err = benthosplugin.Register(service.GlobalEnvironment(), &benthosplugin.Options{
		Stores: map[string]baseline.Store{"folder": folder},
	})
	if err != nil {
		log.Fatal(err)
	}
	service.RunCLI(context.Background())
}
