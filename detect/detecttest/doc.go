// Package detecttest tests detectors.
//
// [Run] plays scenario files: plain text that says which calls principals make
// and which findings a rule must report, so that people who read no Go can
// check a rule and add to its cases. README.md specifies the language.
//
// [TestDetector] holds detectors to the laws that every detector keeps,
// whatever it looks for.
//
// [TestOutage] takes a store away from an engine, and holds both to what is
// promised of that.
package detecttest
