package techniques

import (
	"fmt"
	"strings"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// A fileKind is what the name of an object promises.
type fileKind string

const (
	credentialFile fileKind = "credentials"
	privateKeyFile fileKind = "private key"
	environment    fileKind = "environment file"
	terraformState fileKind = "Terraform state"
	databaseDump   fileKind = "database dump"
	backupFile     fileKind = "backup"
)

// sensitiveEndings say what files are by the end of their key; after a slash
// they stand for whole names. The common ones are Elastic's; ours are the other
// types of keys, the key files that AWS hands out, and tools' password files.
var sensitiveEndings = []sensitiveEnding{
	{"/.aws/credentials", credentialFile},
	{"/.git-credentials", credentialFile},
	{"/.pgpass", credentialFile},
	{"/.netrc", credentialFile},
	{"/.htpasswd", credentialFile},
	{"/.docker/config.json", credentialFile},
	{"/.kube/config", credentialFile},
	{"/rootkey.csv", credentialFile},
	{"accessKeys.csv", credentialFile}, // alice_accessKeys.csv
	{".kdbx", credentialFile},
	{"/id_rsa", privateKeyFile},
	{"/id_dsa", privateKeyFile},
	{"/id_ecdsa", privateKeyFile},
	{"/id_ed25519", privateKeyFile},
	{".pem", privateKeyFile},
	{".ppk", privateKeyFile},
	{".key", privateKeyFile},
	{".p12", privateKeyFile},
	{".pfx", privateKeyFile},
	{".env", environment},
	{".tfstate", terraformState},
	{".tfstate.backup", terraformState},
	{".sql", databaseDump},
	{".dmp", databaseDump},
	{".dump", databaseDump},
	{".bak", backupFile},
}

type sensitiveEnding struct {
	ending string
	kind   fileKind
}

// endingsBy are those that a key may have, by its last byte.
var endingsBy = byLast(sensitiveEndings, func(s sensitiveEnding, last string) bool { return endAlike(s.ending, last) })

// packed are the extensions of compressed or encrypted files, whose name before
// that says what they are.
var packed = []string{".gz", ".bz2", ".xz", ".zst", ".zip", ".7z", ".gpg", ".enc"}

// publicParts are words in the names of .pem and .key files that hold no
// private key.
var publicParts = []string{"ca", "cert", "certs", "certificate", "certificates", "chain", "fullchain", "bundle", "public", "pub"}

// sensitiveFile says what an object is whose key looks like that of a file that
// gives access or holds a whole database; "" if it does not.
func sensitiveFile(key string) fileKind {
	for _, ending := range packed {
		if hasSuffixFold(key, ending) {
			key = key[:len(key)-len(ending)]
			break
		}
	}
	if key == "" {
		return ""
	}
	name := key[strings.LastIndexByte(key, '/')+1:]
	for _, s := range endingsBy[key[len(key)-1]] {
		if !hasSuffixFold(key, s.ending) && !(s.ending[0] == '/' && strings.EqualFold(key, s.ending[1:])) {
			continue
		}
		if s.kind == privateKeyFile && anyWord(name, publicParts) {
			return ""
		}
		return s.kind
	}
	if strings.HasPrefix(name, ".env.") {
		return environment
	}
	var kind fileKind
	before := ""
	for word, rest := nextWord(name); word != ""; word, rest = nextWord(rest) {
		switch {
		case sameWord(word, "key") && sameWord(before, "private"), len(word) == len("privatekey") && sameWord(word, "privatekey"):
			return privateKeyFile
		case containsFold(dumpWords, word):
			kind = databaseDump
		}
		before = word
	}
	return kind
}

// dumpWords are the words of dumps whatever their extension.
var dumpWords = []string{"dump", "mysqldump", "pgdump", "dumpall"}

// anyWord reports whether one of a name's words, as nextWord parts them, is in
// the list.
func anyWord(name string, list []string) bool {
	for word, rest := nextWord(name); word != ""; word, rest = nextWord(rest) {
		if containsFold(list, word) {
			return true
		}
	}
	return false
}

// hasSuffixFold is strings.HasSuffix whatever the capitals of an ASCII suffix.
func hasSuffixFold(s, suffix string) bool {
	return len(s) >= len(suffix) && s[len(s)-1]|0x20 == suffix[len(suffix)-1]|0x20 && strings.EqualFold(s[len(s)-len(suffix):], suffix)
}

// sensitiveFiles remembers the kinds of sensitive files that a principal reads,
// by bucket.
var sensitiveFiles = baseline.FirstSeen("sensitive file read", func(e *event.Event) string {
	kind := sensitiveRead(e)
	if kind == "" {
		return ""
	}
	return e.Bucket() + ": " + string(kind)
}, &baseline.FirstSeenOptions{Cap: 32}).On("s3:GetObject")

// sensitiveRead is sensitiveFile of the object that a principal read.
func sensitiveRead(e *event.Event) fileKind {
	if objectRead(e) == "" {
		return ""
	}
	return fileKind(fileOf.Of(e))
}

// fileOf is sensitiveFile of an event's object.
var fileOf = event.Derive(func(e *event.Event) string { return string(sensitiveFile(e.ObjectKey())) })

func sensitiveKeyRead(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "sensitive-key-read",
		Doc: "A principal reads an object whose key is that of a file with credentials (.aws/credentials, .env, id_rsa, *.pem, *.tfstate) or a whole database (*.sql.gz, *.bak, dump), in a bucket where it never used to. " +
			"Files with credentials are evidence of T1552.001 (Credentials in Files) as well: read on from there. " +
			"Terraform reads its state in every run, so that the state alone is low; another kind in a bucket counts anew. A sensitive bucket or a network new to the principal raises each.",
		Technique: "T1530",
		Tactic:    detect.Collection,
		Severity:  detect.Medium,
		Events:    []string{"s3:GetObject"},
		Uses:      []baseline.Feature{sensitiveFiles, networks},
		Needs:     detect.S3DataEvents,
		Learn:     learn,
		Cold:      detect.Low,
		Quiet:     novelty,
		Benign: []string{
			"A deployment or a new instance fetches its configuration, keys or certificates.",
			"Terraform runs under this principal, or with this state, for the first time.",
			"A restore was tried out, as it should be.",
		},
		Respond: []string{
			"Ask the principal's owner what the file was for.",
			"If unexplained, revoke the principal's sessions and keys, rotate what the file holds, and see who else has read it.",
			"Move credentials out of S3, to Secrets Manager.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		key, kind := objectRead(e), sensitiveRead(e)
		if !p.Require("the principal itself read a file with credentials or a dump, by its name", kind != "") ||
			p.Excuse("the bucket is meant to be public", c.publicBucket(e.Bucket())) {
			return
		}
		n := sensitiveFiles.In(p)
		if p.Excuse("the principal reads such files of the bucket habitually", !n.New) {
			return
		}
		severity := detect.Medium
		switch kind {
		case terraformState, databaseDump, backupFile:
			severity = detect.Low
		}
		if c.sensitiveBucket(e.Bucket()) {
			severity = raised(severity, 1)
		}
		if newNetwork(c, p) {
			severity = raised(severity, 1)
		}
		severity = surprise(n, person(e, severity))
		if p.Excuse("ever new files of the kind are usual for the principal", severity == detect.Silent) {
			return
		}
		p.ReportWith(severity, subjectOf(sensitiveFiles.Age(p), n.Value), func() (string, []detect.Evidence) {
			return fmt.Sprintf("%s read from %s: %s", kind, e.Bucket(), shown(key)), placed(c, p, detect.Evidence{
				Name:     "object whose key tells what it holds",
				Observed: fmt.Sprintf("%s/%s, from %s with %s", e.Bucket(), shown(key), source(e), clip(e.UserAgent)),
				Expected: usualReads(n, sensitiveFiles.Age(p)),
			})
		})
	})
}
