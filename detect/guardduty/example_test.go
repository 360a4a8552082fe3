package guardduty_test

import (
	"errors"
	"fmt"
	"log"
	"strings"

	"github.com/cloudtell/cloudtell/detect/guardduty"
	"github.com/cloudtell/cloudtell/event"
)

// A file of GuardDuty's export, read as any other log.
func Example() {
	export := `{"schemaVersion": "2.0", "id": "16afba5c", "type": "Recon:IAMUser/MaliciousIPCaller.Custom", "severity": 5,
	"accountId": "111122223333", "region": "eu-west-1", "partition": "aws", "title": "ListAccessKeys was called from a listed address",
	"resource": {"resourceType": "AccessKey", "accessKeyDetails": {"userType": "IAMUser", "userName": "alice", "principalId": "AIDAEXAMPLE"}},
	"service": {"serviceName": "guardduty", "count": 3, "eventFirstSeen": "2026-01-25T12:00:00Z", "eventLastSeen": "2026-01-25T12:20:00Z"}}`
	for _, err := range event.Read(strings.NewReader(export), nil) {
		var d *event.DecodeError
		if !errors.As(err, &d) || !errors.Is(err, event.ErrGuardDuty) {
			continue
		}
		f, err := guardduty.Parse([]byte(d.Text))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s, %s: %s\n", f.Severity, f.Technique, f.Title)
		fmt.Println("by", f.Principal)
	}
	// Output:
	// medium, T1580: ListAccessKeys was called from a listed address
	// by arn:aws:iam::111122223333:user/alice
}

func ExampleClassify() {
	for _, t := range []string{"Exfiltration:S3/AnomalousBehavior", "Policy:IAMUser/RootCredentialUsage"} {
		technique, tactic := guardduty.Classify(t)
		fmt.Printf("%s: %q %q\n", t, technique, tactic)
	}
	// Output:
	// Exfiltration:S3/AnomalousBehavior: "T1530" "TA0009"
	// Policy:IAMUser/RootCredentialUsage: "" ""
}
