package jsonscan

import (
	"encoding/json"
	"strings"
	"testing"
)

func FuzzJSONScan(f *testing.F) {
	for _, s := range []string{`{"a":1,"\u0061":[true,null,-0.5e+3]}`, `"\ud83d\ude00\ud800x\xff"`, `[[[[]]]]`, `{"a":}`, `01`, `-`, ` {"a" : {"b":"c"} } x`, `"`, `tru`, "\"\x01\"", `[1,]`, `{,}`, `1e`, `1.`, "\"a\xffb\"", `{"a":1 "b":2}`} {
		f.Add(s, "a")
	}
	f.Fuzz(func(t *testing.T, s, name string) {
		err := Valid(s, MaxDepth)
		if valid := json.Valid([]byte(s)); valid != (err == nil) {
			t.Fatalf("Valid(%q) = %v, encoding/json says %v", s, err, valid)
		}
		var text string
		if json.Unmarshal([]byte(s), &text) == nil && !strings.HasPrefix(strings.TrimLeft(s, " \t\r\n"), "n") {
			if got := Text(s); got != text {
				t.Fatalf("Text(%q) = %q, want %q", s, got, text)
			}
		}
		var object map[string]json.RawMessage
		if json.Unmarshal([]byte(s), &object) != nil {
			object = nil
		}
		for key, want := range object {
			if got := Member(s, key); got != string(want) {
				t.Fatalf("Member(%q, %q) = %q, want %q", s, key, got, want)
			}
		}
		if got := Member(s, name); got != string(object[name]) {
			t.Fatalf("Member(%q, %q) = %q, want %q", s, name, got, object[name])
		}
	})
}
