package coverage_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/coverage"
	"github.com/cloudtell/cloudtell/event"
)

func Example() {
	c, err := coverage.New([]detect.Info{
		{Name: "recon", Technique: "T1580", Needs: detect.ManagementReads},
		{Name: "bulk-read", Technique: "T1530", Needs: detect.S3DataEvents},
	})
	if err != nil {
		panic(err)
	}
	log := `{"eventVersion":"1.11","eventID":"1","eventTime":"2026-01-05T09:00:00Z","eventSource":"ec2.amazonaws.com","eventName":"DescribeInstances",
		"awsRegion":"eu-west-1","readOnly":true,"userIdentity":{"type":"Root","accountId":"111122223333"}}`
	delivered := time.Date(2026, 1, 5, 9, 4, 0, 0, time.UTC)
	for e, err := range event.Read(strings.NewReader(log), nil) {
		if err != nil {
			panic(err)
		}
		c.Observe(e, delivered)
	}
	r := c.Report()
	for _, rule := range r.Rules {
		fmt.Printf("%s: %s (%s)\n", rule.Name, rule.State, rule.Missing)
	}
	fmt.Println("half within", r.Delivery.P50)
	// Output:
	// bulk-read: blind (S3 data events or server access logs)
	// recon: ready ()
	// half within 4m0s
}

// Several goroutines watch, each with a Coverage of its own.
func ExampleCoverage_Merge() {
	all, err := coverage.New([]detect.Info{{Name: "recon", Technique: "T1580", Needs: detect.ManagementReads}})
	if err != nil {
		panic(err)
	}
	one := all.Empty()
	e, err := event.Parse(`{"eventTime":"2026-01-05T09:00:00Z","eventSource":"ec2.amazonaws.com","eventName":"DescribeInstances","readOnly":true,
		"userIdentity":{"type":"Root","accountId":"111122223333"}}`)
	if err != nil {
		panic(err)
	}
	one.Observe(e, time.Time{})
	all.Merge(one)
	fmt.Println(all.Report().Rules[0].State)
	// Output: ready
}

func ExampleReport_Navigator() {
	c, err := coverage.New([]detect.Info{{Name: "recon", Technique: "T1580", Needs: detect.ManagementReads}})
	if err != nil {
		panic(err)
	}
	layer, err := c.Report().Navigator("our account", map[detect.Technique]int{"T1580": 3})
	if err != nil {
		panic(err)
	}
	var read struct {
		Domain     string
		Techniques []struct {
			TechniqueID string
			Score       int
		}
	}
	if err := json.Unmarshal(layer, &read); err != nil {
		panic(err)
	}
	fmt.Println(read.Domain, read.Techniques)
	// Output: enterprise-attack [{T1580 3}]
}
