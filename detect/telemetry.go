package detect

import "strings"

// Telemetry is a set of kinds of logging that an account has switched on or
// not.
type Telemetry uint8

// The kinds of logging that rules need. They can be combined with |.
const (
	// ManagementReads are CloudTrail's read-only management events. An
	// EventBridge rule does not deliver them unless its state is
	// ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS.
	ManagementReads Telemetry = 1 << iota
	// ManagementWrites are CloudTrail's other management events, sign-ins
	// among them.
	ManagementWrites
	// S3DataEvents are CloudTrail's data events of S3 objects, or S3 server
	// access logs.
	S3DataEvents
	// OtherDataEvents are CloudTrail's data events of other resources.
	OtherDataEvents
	// NetworkEvents are CloudTrail's network activity events of VPC endpoints.
	NetworkEvents

	// ManagementEvents are both kinds of management events.
	ManagementEvents = ManagementReads | ManagementWrites
)

var telemetryNames = [...]string{
	"read-only management events",
	"management events that write",
	"S3 data events or server access logs",
	"data events of other services",
	"network activity events",
}

// String names the kinds: "read-only management events and S3 data events or
// server access logs".
func (t Telemetry) String() string {
	var names []string
	if t&ManagementEvents == ManagementEvents {
		names, t = append(names, "management events"), t&^ManagementEvents
	}
	for i, name := range telemetryNames {
		if t&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, " and ")
}

// Kinds returns the set's kinds one by one.
func (t Telemetry) Kinds() []Telemetry {
	var kinds []Telemetry
	for i := range telemetryNames {
		if k := Telemetry(1) << i; t&k != 0 {
			kinds = append(kinds, k)
		}
	}
	return kinds
}
