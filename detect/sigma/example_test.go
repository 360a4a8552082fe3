package sigma_test

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/sigma"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/techniques"
)

// A folder of Sigma rules runs beside the rules of package techniques, in one
// set.
func Example() {
	detectors, err := techniques.All(nil)
	if err != nil {
		panic(err)
	}
	rules, err := sigma.Load(os.DirFS("testdata/rules"), &sigma.Options{
		Placeholders: map[string][]string{"company_networks": {"198.51.100.0/24"}},
	})
	if err != nil { // says which rules were refused, and why; rules has the others
		fmt.Println(err)
	}
	set, err := detect.NewSet(append(detectors, rules...), nil)
	if err != nil {
		panic(err)
	}
	engine, err := detect.NewEngine(set, nil, nil)
	if err != nil {
		panic(err)
	}
	trail := `{"eventVersion":"1.11","eventID":"1","eventTime":"2026-01-05T09:00:00Z","eventSource":"iam.amazonaws.com","eventName":"CreateAccessKey",
		"awsRegion":"us-east-1","sourceIPAddress":"203.0.113.9","userAgent":"Pacu/1.6","requestParameters":{"userName":"backup"},
		"userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/alice","accountId":"111122223333","accessKeyId":"AKIAEXAMPLE","userName":"alice"}}`
	for e, err := range event.Read(strings.NewReader(trail), nil) {
		if err != nil {
			panic(err)
		}
		findings, err := engine.Process(context.Background(), []*event.Event{e})
		if err != nil {
			panic(err)
		}
		for _, f := range findings {
			fmt.Printf("%s %s %s, by %s\n", f.Severity, f.Technique, f.Title, f.PrincipalName)
		}
	}
	// Output:
	// high T1059.009 Tool of Attackers: iam:CreateAccessKey, by alice
	// high T1098.001 Access Key Made for Another User: iam:CreateAccessKey, by alice
	// low T1078.004 Long-Lived Key Used From Outside: iam:CreateAccessKey, by alice
	// medium T1078.004 calls with a tool that names itself Pacu/1.6, by alice
}

// What cannot be kept to is refused by name and place, and takes no other rule
// with it.
func ExampleLoad_refused() {
	rules, err := sigma.Load(os.DirFS("testdata/refused"), nil)
	fmt.Println(len(rules), "rule")
	fmt.Println(err)
	// Output:
	// 1 rule
	// two_rules.yml:7:16: rule "Role Assumed Many Times": condition: not supported: an aggregation after |, which Sigma has replaced by correlation rules (at character 11)
	// two_rules.yml:23:41: rule "Group Names": modifier re: not supported: (?!: invalid or unsupported Perl syntax; regular expressions are those of RE2
}
