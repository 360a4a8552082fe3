//go:build unix && libdeflate

package main

import "github.com/cloudtell/cloudtell/event/libdeflate"

// libdeflateCase is a case that decompresses with libdeflate. To call a C
// library takes memory, which the other cases must not pay for: so it is in a
// build with a tag.
func libdeflateCase(name string, of func(name string, open opener) benchCase) benchCase {
	open, err := libdeflate.Gzip(nil)
	if err != nil {
		return benchCase{name: name, start: func(string) (func() (result, error), error) { return nil, &errUnavailable{err.Error()} }}
	}
	return of(name, open)
}
