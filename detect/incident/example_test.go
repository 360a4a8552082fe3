package incident_test

import (
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/incident"
	"github.com/cloudtell/cloudtell/event"
)

// Somebody uses alice's key from an unusual place, assumes a role with it, and
// empties a bucket as that role. No finding alone says so.
func Example() {
	joiner, err := incident.NewJoiner(nil)
	if err != nil {
		log.Fatal(err)
	}
	// Normally these come from a log and from an engine's Process.
	for e, err := range event.Read(strings.NewReader(assumeRole), nil) {
		if err != nil {
			log.Fatal(err)
		}
		joiner.Observe(e)
	}
	night := time.Date(2026, 3, 2, 1, 12, 0, 0, time.UTC)
	for _, f := range []detect.Finding{
		{ID: "1", Rule: "first-seen-source-ip", Technique: "T1078.004", Severity: detect.Low, Title: "credentials used from 203.0.113.9 for the first time",
			Principal: "arn:aws:iam::111122223333:user/alice", PrincipalName: "alice", AccessKeyID: "AKIAEXAMPLEALICE", AccountID: "111122223333",
			SourceAddress: "203.0.113.9", Time: night},
		{ID: "2", Rule: "list-then-get", Technique: "T1530", Severity: detect.Medium, Title: "listed storage, then read 480 objects of backups within an hour",
			Principal: "arn:aws:iam::111122223333:role/restore", PrincipalName: "restore", AccessKeyID: "ASIAEXAMPLERESTORE", AccountID: "111122223333",
			Subject: "backups", SourceAddress: "198.51.100.77", Time: night.Add(130 * time.Minute),
			Learned: detect.Learned{Mature: true, Since: night.AddDate(0, -3, 0)},
			Respond: []string{"Ask the principal's owner; if unexplained, revoke the principal's sessions and keys."}},
	} {
		joiner.Add(f)
	}
	for _, in := range joiner.Incidents() {
		fmt.Println(in.Severity, in.Score, in.Title)
		for sentence := range strings.SplitAfterSeq(in.Summary, ". ") {
			fmt.Println(strings.TrimSpace(sentence))
		}
	}
	// Output:
	// medium 17 alice and 1 more: from access to collection, 2 findings
	// alice and restore (access keys AKIAEXAMPLEALICE and ASIAEXAMPLERESTORE) in account 111122223333 were seen from 198.51.100.77 and 203.0.113.9 on 2026-03-02 between 01:12 and 03:22 UTC, for 2 hours 10 minutes.
	// In the order of an intrusion there is 1 sign of access with somebody's credentials, then 1 sign of taking data.
	// restore had its credentials by way of alice.
	// The worst finding, of medium severity, says "listed storage, then read 480 objects of backups within an hour" (rule list-then-get).
	// At stake is backups.
	// What is normal was learnt since 2025-12-02.
	// First thing to do: Ask the principal's owner; if unexplained, revoke the principal's sessions and keys.
}

// What a Joiner remembers outlives the process as a record of bytes.
func ExampleJoiner_UnmarshalBinary() {
	joiner, err := incident.NewJoiner(nil)
	if err != nil {
		log.Fatal(err)
	}
	joiner.Add(detect.Finding{ID: "1", Rule: "root-use", Technique: "T1078.004", Severity: detect.Medium, Title: "root was used",
		Principal: "arn:aws:iam::111122223333:root", PrincipalName: "root", Time: time.Date(2026, 3, 2, 1, 12, 0, 0, time.UTC)})
	record, err := joiner.AppendBinary(nil)
	if err != nil {
		log.Fatal(err)
	}
	restarted, err := incident.NewJoiner(&incident.Options{Gap: 12 * time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	if err := restarted.UnmarshalBinary(record); err != nil {
		log.Fatal(err)
	}
	for _, in := range restarted.Incidents() {
		fmt.Println(in.Severity, in.Title)
	}
	// Output: medium root: root was used
}

const assumeRole = `{"eventID": "e1", "eventTime": "2026-03-02T01:20:00Z", "eventSource": "sts.amazonaws.com", "eventName": "AssumeRole",
"userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/alice", "accountId": "111122223333", "userName": "alice", "accessKeyId": "AKIAEXAMPLEALICE"},
"responseElements": {"credentials": {"accessKeyId": "ASIAEXAMPLERESTORE"},
"assumedRoleUser": {"arn": "arn:aws:sts::111122223333:assumed-role/restore/alice"}}}`
