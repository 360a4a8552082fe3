package account

import (
	"fmt"
	"strconv"
)

// fields is a JSON object: member names and values in turn, kept in order so
// that the text never varies.
type fields []any

// raw is JSON text, written as it is.
type raw string

// appendJSON appends a value as JSON. A float64 keeps its decimal point even
// when it is whole, as S3 writes byte counts.
func appendJSON(b []byte, value any) []byte {
	switch v := value.(type) {
	case nil:
		return append(b, "null"...)
	case string:
		return appendString(b, v)
	case raw:
		return append(b, v...)
	case bool:
		return strconv.AppendBool(b, v)
	case int:
		return strconv.AppendInt(b, int64(v), 10)
	case float64:
		return strconv.AppendFloat(b, v, 'f', 1, 64)
	case []string:
		return appendArray(b, v)
	case []fields:
		return appendArray(b, v)
	case fields:
		if v == nil {
			return append(b, "null"...)
		}
		b = append(b, '{')
		for i := 0; i+1 < len(v); i += 2 {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(b, v[i].(string))
			b = append(b, ':')
			b = appendJSON(b, v[i+1])
		}
		return append(b, '}')
	}
	panic(fmt.Sprintf("account: no JSON for %T", value))
}

func appendArray[T any](b []byte, items []T) []byte {
	b = append(b, '[')
	for i, item := range items {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSON(b, item)
	}
	return append(b, ']')
}

// appendString appends a JSON string. The generator's texts are valid UTF-8.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	done := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[done:i]...)
		done = i + 1
		if c < ' ' {
			b = fmt.Appendf(b, `\u%04x`, c)
		} else {
			b = append(b, '\\', c)
		}
	}
	return append(append(b, s[done:]...), '"')
}

// text returns a value as JSON.
func text(value any) string { return string(appendJSON(make([]byte, 0, 2048), value)) }
