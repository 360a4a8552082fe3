package techniques

import (
	"strings"
	"unicode/utf8"
)

// A sensitiveWord is a word that tells of a secret in a parameter's name.
type sensitiveWord struct {
	word string
	// glued says that longer words may end in it: dbpassword.
	glued bool
	place place
}

// A place says where in a name a word tells of a secret. Names are paths, and
// what a folder or the beginning of a word says is often the name of a
// service: /auth/log-level, private-subnet.
type place uint8

const (
	anywhere place = iota
	inLeaf         // in the last part of the path
	atEnd          // as the last word of the name
)

// sensitiveWords are matched with and without a plural s.
var sensitiveWords = []sensitiveWord{
	{"password", true, anywhere},
	{"passwd", true, anywhere},
	{"passphrase", true, anywhere},
	{"pwd", true, anywhere},
	{"secret", true, anywhere},
	{"credential", true, anywhere},
	{"cred", false, anywhere},
	{"keys", false, anywhere},
	{"key", false, inLeaf},
	{"apikey", true, inLeaf},
	{"accesskey", true, inLeaf},
	{"secretkey", true, inLeaf},
	{"privatekey", true, inLeaf},
	{"tokens", false, anywhere},
	{"token", true, inLeaf},
	{"auth", false, atEnd},
	{"private", false, atEnd},
	{"cert", false, atEnd},
	{"certificate", false, atEnd},
	{"pem", false, atEnd},
	{"dsn", false, atEnd},
	{"pass", false, atEnd},
}

// wordsBy are those of them that a word may be, by its last byte.
var wordsBy = byLast(sensitiveWords, func(s sensitiveWord, last string) bool { return endAlike(s.word, last) || endAlike("s", last) })

// descriptions are last words of what is about a secret, not a secret itself:
// token-url, secret-arn, password-policy.
var descriptions = []string{
	"alias", "algorithm", "arn", "audience", "bucket", "count", "days", "disabled", "enabled", "endpoint", "expiration",
	"expiry", "format", "host", "hostname", "hours", "id", "identifier", "interval", "issuer", "length", "level", "limit",
	"manager", "minutes", "mode", "name", "path", "policy", "port", "prefix", "provider", "queue", "region", "role",
	"rotation", "schedule", "seconds", "server", "service", "size", "status", "store", "table", "timeout", "topic", "ttl",
	"type", "uri", "url", "user", "username", "version",
}

// harmlessKeys are words before which a key is none to keep secret.
var harmlessKeys = []string{"foreign", "object", "partition", "public", "sort"}

// referencedSecrets is where Parameter Store shows the secrets of Secrets
// Manager.
const referencedSecrets = "/aws/reference/secretsmanager/"

// sensitiveName returns the word for which the name of a parameter, or a path
// of names, tells of a secret, or "". Words are whole, parted by separators,
// digits or capitals: "key" is in apiKey and in API_KEY_2, not in monkey. Only
// unmistakable ones may be the end of a longer word, as in dbpassword.
func (c *Config) sensitiveName(name string) string {
	if strings.HasPrefix(name, referencedSecrets) {
		return "secretsmanager"
	}
	for name = strings.TrimRight(name, "/"); name != ""; {
		var part string
		part, name, _ = strings.Cut(name, "/")
		if word := c.sensitivePart(part, name == ""); word != "" {
			return word
		}
	}
	return ""
}

func (c *Config) sensitivePart(part string, leaf bool) string {
	var found, before string
	word, rest := nextWord(part)
	for word != "" {
		next, after := nextWord(rest)
		if found == "" {
			found = c.sensitiveWord(word, before, leaf, next == "")
		}
		if next == "" && found != "" && containsFold(descriptions, word) {
			return ""
		}
		before, word, rest = word, next, after
	}
	return found
}

func (c *Config) sensitiveWord(word, before string, leaf, last bool) string {
	for _, s := range wordsBy[word[len(word)-1]] {
		if s.place == inLeaf && !leaf || s.place == atEnd && !(leaf && last) {
			continue
		}
		if !plural(word, s.word, s.glued) {
			continue
		}
		if s.word == "key" && containsFold(harmlessKeys, before) {
			continue
		}
		return s.word
	}
	for _, own := range c.SensitiveNames {
		if plural(word, own, false) {
			return own
		}
	}
	return ""
}

// plural reports whether a word is the wanted one, or its plural; glued, or
// ends in it.
func plural(word, wanted string, glued bool) bool {
	if wanted == "" {
		return false
	}
	same := func(word string) bool {
		if glued && len(word) > len(wanted) {
			word = word[len(word)-len(wanted):]
		}
		return sameWord(word, wanted)
	}
	if n := len(word) - 1; word[n]|0x20 == 's' && same(word[:n]) {
		return true
	}
	return same(word)
}

func containsFold(list []string, word string) bool {
	for _, s := range list {
		if sameWord(s, word) {
			return true
		}
	}
	return false
}

// sameWord is [strings.EqualFold], quick with words whose last letters differ.
func sameWord(a, b string) bool { return endAlike(a, b) && strings.EqualFold(a, b) }

// endAlike reports whether the last letters of two texts may be the same.
func endAlike(a, b string) bool {
	if a == "" || b == "" {
		return a == b
	}
	x, y := a[len(a)-1], b[len(b)-1]
	return x|0x20 == y|0x20 || x|y >= utf8.RuneSelf
}

// byLast returns, for each byte that a text may end in, what of a list fits
// that: most texts need then be compared with few.
func byLast[T any](list []T, fits func(t T, last string) bool) (by [256][]T) {
	for last := range by {
		for _, t := range list {
			if fits(t, string([]byte{byte(last)})) {
				by[last] = append(by[last], t)
			}
		}
	}
	return by
}

// nextWord returns the first word in s and what follows it. A word is a run of
// letters; a capital begins a new one, but for those in a run of capitals:
// dbPassword and DBPassword are both two words.
func nextWord(s string) (word, rest string) {
	start := 0
	for start < len(s) && !isLetter(s[start]) {
		start++
	}
	end := start
	for end < len(s) && isLetter(s[end]) {
		if end > start && isUpper(s[end]) {
			followed := end+1 < len(s) && isLetter(s[end+1]) && !isUpper(s[end+1])
			if !isUpper(s[end-1]) || followed {
				break
			}
		}
		end++
	}
	return s[start:end], s[end:]
}

func isUpper(b byte) bool  { return 'A' <= b && b <= 'Z' }
func isLetter(b byte) bool { return 'a' <= b|0x20 && b|0x20 <= 'z' || b >= 0x80 }
