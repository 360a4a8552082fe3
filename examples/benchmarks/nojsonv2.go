//go:build unix && !goexperiment.jsonv2

package main

// jsonV2Cases are the cases that need GOEXPERIMENT=jsonv2: another build of this
// program runs them.
func jsonV2Cases(splitter) []benchCase {
	return []benchCase{{name: "encoding/json/v2", experiment: "jsonv2"}}
}
