//go:build unix && !libdeflate

package main

// libdeflateCase is a case that decompresses with libdeflate: another build of
// this program runs it.
func libdeflateCase(name string, _ func(name string, open opener) benchCase) benchCase {
	return benchCase{name: name, tag: "libdeflate"}
}
