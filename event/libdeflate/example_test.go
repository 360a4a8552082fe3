package libdeflate_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"log"

	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/event/eventtest"
	"github.com/cloudtell/cloudtell/event/libdeflate"
)

// Without the library, open stays nil, and event.Read takes compress/gzip.
func ExampleGzip() {
	open, err := libdeflate.Gzip(nil)
	if err != nil && !errors.Is(err, libdeflate.ErrUnavailable) {
		log.Fatal(err)
	}
	options := &event.ReadOptions{Gzip: open} // for all files

	for e, err := range event.Read(file(), options) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Name)
	}
	// Output:
	// GetObject
	// ListBuckets
}

// file returns a file as CloudTrail delivers it.
func file() io.Reader {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	fmt.Fprintf(z, `{"Records":[%s,%s]}`, eventtest.Record{Call: "s3:GetObject"}.JSON(), eventtest.Record{Call: "s3:ListBuckets"}.JSON())
	if err := z.Close(); err != nil {
		log.Fatal(err)
	}
	return &b
}
