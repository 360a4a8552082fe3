//go:build unix && !goexperiment.jsonv2

package main

func jsonV2Cases(splitter) []benchCase { return nil }
