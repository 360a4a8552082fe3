//go:build unix && !libdeflate

package main

// libdeflateCase is a case that decompresses with libdeflate: another build of
// this program runs it. One goroutine does the work there, too, but where it has
// the only processor that Go may use, the runtime polls during long calls of C,
// which costs a tenth more CPU time: so it has two.
func libdeflateCase(name string, _ func(name string, open opener) benchCase) benchCase {
	return benchCase{name: name, tag: "libdeflate", cores: 2}
}
