package incident

import (
	"fmt"

	"github.com/cloudtell/cloudtell/detect"
)

// A Stage is a step of the way that intruders go in a cloud account. The zero
// value is that of findings which are on none of the steps.
type Stage uint8

// The stages, in the order of the way. The last two often come in either
// order.
const (
	NoStage          Stage = iota
	Access                 // T1078: using somebody's credentials
	Discovery              // T1580: looking at the infrastructure
	StorageDiscovery       // T1619: looking at what is stored
	Credentials            // T1552: taking secrets
	Collection             // T1530: taking data
	stages
)

var stageNames = [stages]string{"none", "access", "discovery", "storage-discovery", "credentials", "collection"}

// String returns the stage in lower case: "storage-discovery".
func (s Stage) String() string {
	if s < stages {
		return stageNames[s]
	}
	return fmt.Sprintf("Stage(%d)", uint8(s))
}

// MarshalText implements [encoding.TextMarshaler] with the form of String.
func (s Stage) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler] for the forms of String.
func (s *Stage) UnmarshalText(text []byte) error {
	for i, name := range stageNames {
		if string(text) == name {
			*s = Stage(i)
			return nil
		}
	}
	return fmt.Errorf("incident: unknown stage %q", text)
}

// words says what a finding of the stage is a sign of.
func (s Stage) words() string {
	switch s {
	case Access:
		return "access with somebody's credentials"
	case Discovery:
		return "looking at the infrastructure"
	case StorageDiscovery:
		return "looking for stored data"
	case Credentials:
		return "taking secrets"
	case Collection:
		return "taking data"
	}
	return "something else"
}

// stageOf places a finding by its technique, or else by its tactic.
func stageOf(technique detect.Technique, tactic detect.Tactic) Stage {
	switch technique.Parent() {
	case "T1078":
		return Access
	case "T1580":
		return Discovery
	case "T1619":
		return StorageDiscovery
	case "T1552":
		return Credentials
	case "T1530":
		return Collection
	}
	switch tactic {
	case detect.InitialAccess:
		return Access
	case detect.Discovery:
		return Discovery
	case detect.CredentialAccess:
		return Credentials
	case detect.Collection:
		return Collection
	}
	return NoStage
}
