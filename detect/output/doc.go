// Package output writes findings in the forms that other systems read:
//
//   - [JSON]: the finding as it is, one a line
//   - [OCSF]: an OCSF Detection Finding, which Security Lake and most SIEMs read
//   - [ASFF]: an AWS Security Hub finding; [Batches] makes the requests
//   - [ECS]: an alert in the Elastic Common Schema
//   - [Markdown]: for a ticket or a chat message
//
// A layer of the ATT&CK Navigator is what a report of package coverage makes.
//
// Each of the formats of machines puts what it has a place for where its readers
// look for it, and carries the whole finding besides, so that none loses
// evidence: [Read] gives it back. So a person's verdict can return from whatever
// system the finding was shown in; see [detect.Engine.Judge].
//
// All functions may be called from any number of goroutines, read no clock, and
// give the same bytes for the same finding and options.
package output

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/cloudtell/cloudtell/detect"
)

// Options configures the formats. Nil, and the zero value of every field, mean
// the defaults.
type Options struct {
	// OCSF is the version of the OCSF schema: [OCSF16], the default, or [OCSF11]
	// for readers that know none of the later attributes, such as the sources of
	// Security Lake.
	OCSF OCSFVersion
	// Time is when the finding was made, or sent: what the formats call its
	// creation or update as opposed to that of the activity. Security Hub takes an
	// update only if it is later than what it has. The default is the time of the
	// last event that the finding stands for, which is the same in every replay.
	Time time.Time
	// AccountID is the AWS account of findings that name none: 12 digits. Security
	// Hub needs one, and takes findings only from the account that they name.
	AccountID string
	// Region is the AWS region of the Security Hub that findings are sent to. The
	// default is the finding's own.
	Region string
}

func (o *Options) orDefault(f *detect.Finding) Options {
	var d Options
	if o != nil {
		d = *o
	}
	if d.Time.IsZero() {
		d.Time = lastOf(f)
	}
	if d.OCSF == "" {
		d.OCSF = OCSF16
	}
	return d
}

// JSON returns the finding as one line of JSON, without the line's end.
func JSON(f *detect.Finding) ([]byte, error) { return json.Marshal(f) }

// firstOf and lastOf span the finding's events. A finding of another origin may
// lack them.
func firstOf(f *detect.Finding) time.Time {
	if f.First.IsZero() {
		return f.Time
	}
	return f.First
}

func lastOf(f *detect.Finding) time.Time {
	if f.Last.IsZero() {
		return f.Time
	}
	return f.Last
}

// carried is the finding as the formats carry it, and under what name.
type carried struct {
	Cloudtell carriedFinding `json:"cloudtell"`
}

type carriedFinding struct {
	Finding       *detect.Finding `json:"finding"`
	ATTACKVersion string          `json:"attack_version,omitempty"`
}

func carry(f *detect.Finding) carried { return carried{carriedFinding{f, detect.ATTACKVersion}} }

// subName is the name of a sub-technique alone, without its parent's.
func subName(t detect.Technique) string { return strings.TrimPrefix(t.Name(), t.Parent().Name()+": ") }

// details says in words what the finding rests on, a line for each evidence.
func details(f *detect.Finding) string {
	var b []byte
	for _, e := range f.Evidence {
		if len(b) > 0 {
			b = append(b, '\n')
		}
		b = append(b, e.Name+": "+e.Observed...)
		if e.Expected != "" {
			b = append(b, " (expected: "+e.Expected+")"...)
		}
	}
	return string(b)
}
