// Package techniques holds the reference detectors: rules for ATT&CK's Valid
// Accounts (T1078), Data from Cloud Storage (T1530), Unsecured Credentials
// (T1552), Cloud Infrastructure Discovery (T1580) and Cloud Storage Object
// Discovery (T1619) in AWS logs.
//
// [All] returns them, ready for [detect.NewSet]; what only the organisation
// knows goes into [Config], all of it optional. README.md in this folder is
// the catalogue, generated from the rules themselves.
//
// # Layout
//
// A rule is one file, named for its technique and itself, with its scenarios
// in testdata under the rule's name, and one line in the list in all.go.
// Features that several rules share are in features.go.
package techniques
