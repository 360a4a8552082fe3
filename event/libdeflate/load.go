//go:build ((linux && !android) || (darwin && !ios)) && (amd64 || arm64) && !faketime

package libdeflate

import (
	"fmt"
	"runtime"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"
)

// load loads the library, once.
var load = sync.OnceValues(func() (*library, error) { return open(names()) })

// names are those of the library's first ABI, which all versions so far have.
func names() []string {
	if runtime.GOOS == "darwin" {
		const name = "libdeflate.0.dylib"
		return []string{name, "/opt/homebrew/lib/" + name, "/usr/local/lib/" + name, "/opt/local/lib/" + name}
	}
	return []string{"libdeflate.so.0"}
}

// open loads the library under the first of its names that is there. It is
// never unloaded.
func open(names []string) (*library, error) {
	// Why a library cannot be loaded is told to the thread that has tried.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var missing error
	for _, name := range names {
		handle, err := purego.Dlopen(name, purego.RTLD_NOW|purego.RTLD_LOCAL)
		if err == nil {
			return functions(handle)
		}
		if missing == nil {
			missing = err
		}
	}
	return nil, fmt.Errorf("%w: %w", ErrUnavailable, missing)
}

func functions(handle uintptr) (*library, error) {
	var alloc, free, gunzip uintptr
	for name, f := range map[string]*uintptr{
		"libdeflate_alloc_decompressor": &alloc,
		"libdeflate_free_decompressor":  &free,
		"libdeflate_gzip_decompress_ex": &gunzip,
	} {
		var err error
		if *f, err = purego.Dlsym(handle, name); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
	return &library{
		alloc: func() uintptr {
			d, _, _ := purego.SyscallN(alloc)
			return d
		},
		free: func(d uintptr) { purego.SyscallN(free, d) },
		gunzip: func(d uintptr, in, out []byte, used, written *uintptr) uintptr {
			result, _, _ := purego.SyscallN(gunzip, d,
				uintptr(unsafe.Pointer(unsafe.SliceData(in))), uintptr(len(in)),
				uintptr(unsafe.Pointer(unsafe.SliceData(out))), uintptr(len(out)),
				uintptr(unsafe.Pointer(used)), uintptr(unsafe.Pointer(written)))
			return uintptr(uint32(result)) // a C enum: what is above is undefined
		},
	}, nil
}
