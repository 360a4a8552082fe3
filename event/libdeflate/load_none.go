//go:build !(((linux && !android) || (darwin && !ios)) && (amd64 || arm64) && !faketime)

package libdeflate

import (
	"fmt"
	"runtime"
)

func load() (*library, error) {
	return nil, fmt.Errorf("%w: none for %s/%s", ErrUnavailable, runtime.GOOS, runtime.GOARCH)
}
