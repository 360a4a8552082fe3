package account

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"go/parser"
	"go/token"
	"hash/maphash"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A stored record, as far as the tests look at it.
type stored struct {
	EventID, EventName, EventTime, RecipientAccountID, RequestID string
	AWSRegion                                                    string
	UserIdentity                                                 struct {
		Type, ARN, AccountID string
		SessionContext       struct{ SessionIssuer struct{ ARN string } }
	}
}

func decode(t *testing.T, record Record) stored {
	t.Helper()
	var s stored
	if err := json.Unmarshal([]byte(record.JSON), &s); err != nil {
		t.Fatalf("%v in %s", err, record.JSON)
	}
	return s
}

// principal normalises an identity in the way that [Attack] promises, from the
// text alone.
func (s *stored) principal() string {
	if s.UserIdentity.AccountID == "ANONYMOUS_PRINCIPAL" {
		return "anonymous"
	}
	issuer := s.UserIdentity.SessionContext.SessionIssuer.ARN
	if issuer == "" {
		return s.UserIdentity.ARN
	}
	name := issuer[strings.LastIndexByte(issuer, '/')+1:]
	key := "arn:aws:iam::" + s.UserIdentity.AccountID + ":role/" + name
	if strings.HasPrefix(name, "AWSReservedSSO_") {
		key += s.UserIdentity.ARN[strings.LastIndexByte(s.UserIdentity.ARN, '/'):]
	}
	return key
}

func digest(records iter.Seq[Record]) string {
	h := sha256.New()
	for r := range records {
		fmt.Fprintln(h, r.Time, r.Region, r.EventID, r.Attack, r.JSON)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

func TestSeedDecides(t *testing.T) {
	for _, tt := range []struct {
		name    string
		options Options
	}{
		{"quiet", Options{Days: 2}},
		{"scaled", Options{Days: 2, Scale: 3}},
		{"small", Options{Small: true, Attacks: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			first, again := New(&tt.options), New(&tt.options)
			want := digest(first.Records())
			if digest(again.Records()) != want {
				t.Error("same seed, other records")
			}
			if diff := cmp.Diff(first.Truth(), again.Truth()); diff != "" {
				t.Errorf("same seed, other truth:\n%s", diff)
			}
			other := tt.options
			other.Seed++
			if digest(New(&other).Records()) == want {
				t.Error("other seed, same records")
			}
		})
	}
}

// Traps come late, and the test above is for few days.
func TestTrapsRepeat(t *testing.T) {
	a := New(&Options{Days: 28, Traps: true})
	for _, trap := range traps {
		for n := range 28 {
			var first, again []Record
			trap.live(a.dayOf(trap.name, n, &first))
			trap.live(a.dayOf(trap.name, n, &again))
			if digest(slices.Values(first)) != digest(slices.Values(again)) {
				t.Errorf("%s differs on day %d", trap.name, n)
			}
		}
	}
}

// Attacks and traps come on top; nothing else changes. What a detector says
// about the rest can be compared.
func TestAttacksComeOnTop(t *testing.T) {
	without := func(yield func(Record) bool) {
		for r := range New(&Options{Small: true, Attacks: true}).Records() {
			if r.Attack == "" && !yield(r) {
				return
			}
		}
	}
	if digest(without) != digest(New(&Options{Small: true}).Records()) {
		t.Error("the records outside the attacks differ")
	}
}

func TestStartAndDays(t *testing.T) {
	a := New(&Options{Start: time.Date(2025, time.March, 3, 17, 4, 0, 0, time.FixedZone("", 3600)), Days: 3})
	var first, last time.Time
	for r := range a.Records() {
		if first.IsZero() {
			first = r.Time
		}
		if r.Time.Before(last) {
			t.Fatalf("%v after %v", r.Time, last)
		}
		last = r.Time
	}
	if got := first.Format(time.DateOnly); got != "2025-03-03" {
		t.Errorf("first day %s", got)
	}
	if got := last.Format(time.DateOnly); got != "2025-03-05" {
		t.Errorf("last day %s", got)
	}
	if truth := New(&Options{Days: 16, Attacks: true}).Truth(); len(truth) != 0 {
		t.Errorf("%d attacks in the first 16 days", len(truth))
	}
}

// The whole account, as it is delivered.
func TestAccount(t *testing.T) {
	a := New(&Options{Seed: 1, Attacks: true, Traps: true})
	type seen struct {
		digest uint64
		times  int
	}
	seed := maphash.MakeSeed()
	var (
		ids                               = map[string]*seen{}
		labelled                          = map[string]map[string]Record{} // by attack
		days                              = map[string]map[string]bool{}   // by principal
		actors                            = map[string]bool{}
		records, pairs, backwards, linked int
	)
	for f := range a.Files() {
		var previous time.Time
		for i, r := range f.Records {
			records++
			if i > 0 {
				pairs++
				if r.Time.Before(previous) {
					backwards++
				}
			}
			previous = r.Time
			if lag := f.Time.Sub(r.Time); lag < 0 || lag > 10*time.Minute+time.Second {
				t.Fatalf("delivered %v after the event", lag)
			}
			sum := maphash.String(seed, r.JSON)
			if s := ids[r.EventID]; s != nil {
				if s.digest != sum {
					t.Fatalf("event %s has two texts", r.EventID)
				}
				s.times++
				continue
			}
			ids[r.EventID] = &seen{digest: sum, times: 1}
			actors[r.Actor] = true
			if !json.Valid([]byte(r.JSON)) {
				t.Fatalf("no JSON: %s", r.JSON)
			}
			if len(r.JSON) > 256<<10 {
				t.Fatalf("record of %d bytes", len(r.JSON))
			}
			if records%8 != 0 && r.Attack == "" {
				continue // decoding all takes long
			}
			s := decode(t, r)
			if s.EventID != r.EventID || s.EventTime != r.Time.Format(time.RFC3339) || s.RecipientAccountID != r.AccountID || s.AWSRegion != r.Region {
				t.Fatalf("%+v is not what %s says", r, r.JSON)
			}
			if strings.Contains(r.JSON, "/aws-service-role/") {
				linked++
			}
			key := s.principal()
			if days[key] == nil {
				days[key] = map[string]bool{}
			}
			if r.Attack == "" {
				days[key][s.EventTime[:10]] = true
				continue
			}
			if labelled[r.Attack] == nil {
				labelled[r.Attack] = map[string]Record{}
			}
			labelled[r.Attack][r.EventID] = r
		}
	}
	if len(ids) < 200_000 {
		t.Errorf("%d events", len(ids))
	}
	if len(days) < 100 {
		t.Errorf("%d principals", len(days))
	}
	if linked == 0 {
		t.Error("no service-linked role")
	}
	for _, s := range ids {
		if s.times > 2 {
			t.Fatalf("an event %d times", s.times)
		}
	}
	if share := float64(records-len(ids)) / float64(records); share < 0.15 || share > 0.25 {
		t.Errorf("%.3f of records are duplicates", share)
	}
	if share := float64(backwards) / float64(pairs); share < 0.07 || share > 0.22 {
		t.Errorf("%.3f of neighbours are in the wrong order", share)
	}
	for _, trap := range traps {
		if !actors[trap.name] {
			t.Errorf("no %s", trap.name)
		}
	}

	truth := a.Truth()
	if want := len(attacks) + len(stories); len(truth) != want {
		t.Errorf("%d attacks of %d", len(truth), want)
	}
	for _, k := range truth {
		principals := k.Principals
		if len(principals) == 0 {
			principals = []string{k.Principal}
		}
		records := labelled[k.Name]
		if len(records) != len(k.EventIDs) || len(records) == 0 {
			t.Errorf("%s: %d events in the log, %d in the truth", k.Name, len(records), len(k.EventIDs))
		}
		events := map[string]int{} // by principal
		byPrincipal := 0
		for _, id := range k.EventIDs {
			r, ok := records[id]
			if !ok {
				t.Errorf("%s: event %s is not in the log", k.Name, id)
				continue
			}
			if r.Time.Before(k.Start) || r.Time.After(k.End) {
				t.Errorf("%s: event at %v", k.Name, r.Time)
			}
			if s := decode(t, r); slices.Contains(principals, s.principal()) {
				byPrincipal++
				events[s.principal()]++
			}
		}
		// A few events may show another identity: a bucket opened, logins that
		// fail, a runner before it has its role. A quarantine is AWS's.
		if k.Name != "key-quarantined" && byPrincipal < len(k.EventIDs)-3 {
			t.Errorf("%s: %d of %d events by %s", k.Name, byPrincipal, len(k.EventIDs), k.Principal)
		}
		for _, principal := range principals {
			before := 0
			for day := range days[principal] {
				if day < k.Start.Format(time.DateOnly) {
					before++
				}
			}
			if before < 10 {
				t.Errorf("%s: %s was active on %d days before", k.Name, principal, before)
			}
		}
		if k.MultiStage && (len(k.Techniques) < 3 || len(events) < 2 || len(events) != len(principals) || principals[0] != k.Principal ||
			k.End.Sub(k.Start) < time.Hour || k.End.Sub(k.Start) > 24*time.Hour || k.Start.Day() != k.End.Day()) {
			t.Errorf("%s: no story of several stages in one day: %v from %v to %v", k.Name, events, k.Start, k.End)
		}
		if k.Start.Before(a.start.AddDate(0, 0, 15)) || len(k.Rules) == 0 || len(k.Techniques) == 0 || k.Story == "" {
			t.Errorf("%s: incomplete: %+v", k.Name, k)
		}
	}
}

// A later stage is made with the credentials that an earlier one was given.
func TestStagesAreLinked(t *testing.T) {
	a := New(&Options{Seed: 3, Attacks: true})
	for i := range a.attacks {
		k := &a.attacks[i]
		given := map[string]bool{}
		used := 0
		for _, r := range a.attack(k, k.day) {
			var s struct {
				UserIdentity     struct{ AccessKeyID, ARN string }
				ResponseElements struct {
					Credentials struct{ AccessKeyID string }
				}
			}
			if err := json.Unmarshal([]byte(r.JSON), &s); err != nil {
				t.Fatal(err)
			}
			if key := s.ResponseElements.Credentials.AccessKeyID; key != "" {
				given[key] = true
			}
			if k.multiStage && strings.Contains(s.UserIdentity.ARN, "assumed-role/"+customersRole.name) {
				if !given[s.UserIdentity.AccessKeyID] {
					t.Errorf("%s: %s was given to nobody", k.name, s.UserIdentity.AccessKeyID)
				}
				used++
			}
		}
		if k.name == "key-to-customer-data" && used < 45 || k.name == "slow-and-patient" && used < 40 {
			t.Errorf("%s: %d events with the role", k.name, used)
		}
	}
}

// What attacks are meant to exceed, they exceed.
func TestAttackSizes(t *testing.T) {
	type size struct {
		Events, APIs, Services, Denied int
		Within                         time.Duration // at most
	}
	want := map[string]size{ // at least
		"stolen-access-key":           {Events: 11, APIs: 11, Services: 6, Within: 5 * time.Minute},
		"customer-data-flood":         {Events: 750, APIs: 2, Within: 6 * time.Minute},
		"user-data-sweep":             {Events: 21, Denied: 10, Within: 2 * time.Minute},
		"function-config-sweep":       {Events: 13, Within: 10 * time.Minute},
		"instance-credentials-stolen": {Events: 27, Within: 10 * time.Minute},
		"bucket-sweep":                {Events: 10, APIs: 2, Within: 10 * time.Minute},
		"denied-recon":                {Events: 26, APIs: 25, Denied: 25, Within: 5 * time.Minute},
		"scripted-enumeration":        {Events: 70, APIs: 70, Services: 20, Within: 4 * time.Minute},
	}
	for _, seed := range []uint64{0, 1, 2, 3} {
		a := New(&Options{Seed: seed, Attacks: true})
		for i := range a.attacks {
			k := &a.attacks[i]
			var got size
			apis, services := map[string]bool{}, map[string]bool{}
			records := a.attack(k, k.day)
			for _, r := range records {
				var s struct{ EventSource, EventName, ErrorCode string }
				if err := json.Unmarshal([]byte(r.JSON), &s); err != nil {
					t.Fatal(err)
				}
				got.Events++
				apis[s.EventSource+":"+s.EventName] = true
				services[s.EventSource] = true
				if s.ErrorCode != "" {
					got.Denied++
				}
			}
			got.APIs, got.Services = len(apis), len(services)
			got.Within = records[len(records)-1].Time.Sub(records[0].Time)
			w, ok := want[k.name]
			if ok && (got.Events < w.Events || got.APIs < w.APIs || got.Services < w.Services || got.Denied < w.Denied || got.Within > w.Within) {
				t.Errorf("seed %d: %s has %+v, want %+v", seed, k.name, got, w)
			}
		}
	}
}

func TestAccessLog(t *testing.T) {
	a := New(&Options{Days: 3})
	i := slices.IndexFunc(attacks, func(k attack) bool { return k.name == "bucket-opened" })
	early := attacks[i]
	early.day = 2
	a.attacks = []attack{early}
	requests := map[string]bool{}
	for r := range a.Records() {
		if strings.Contains(r.JSON, marketing) {
			requests[decode(t, r).RequestID] = true
		}
	}
	field := regexp.MustCompile(`\[[^\]]*\]|"[^"]*"|\S+`)
	var lines, anonymous, late int
	for f := range a.AccessLog() {
		for _, line := range f.Lines {
			lines++
			fields := field.FindAllString(line, -1)
			if len(fields) != 26 {
				t.Fatalf("%d fields: %s", len(fields), line)
			}
			if !requests[fields[5]] {
				t.Errorf("request %s is in no record", fields[5])
			}
			if fields[4] == "-" {
				anonymous++
			}
			at, err := time.Parse("[02/Jan/2006:15:04:05 -0700]", fields[2])
			if err != nil {
				t.Fatal(err)
			}
			if lag := f.Time.Sub(at); lag < 0 || lag > 7*time.Hour {
				t.Errorf("delivered %v after the request", lag)
			} else if lag > 2*time.Hour {
				late++
			}
			if status, err := strconv.Atoi(fields[9]); err != nil || status < 200 || status > 599 {
				t.Errorf("status %s", fields[9])
			}
		}
	}
	if lines != len(requests) || anonymous < 40 || late == 0 {
		t.Errorf("%d lines of %d requests, %d anonymous, %d late", lines, len(requests), anonymous, late)
	}
}

// The data of the README's first look is what the generator writes.
func TestQuickstart(t *testing.T) {
	const command = "go run ./examples/generate -small -seed 1 -out testdata/quickstart"
	want := t.TempDir()
	a := New(&Options{Seed: 1, Small: true, Attacks: true})
	if err := a.WriteTrail(want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(tree(t, want), tree(t, filepath.Join("..", "..", "testdata", "quickstart"))); diff != "" {
		t.Errorf("testdata/quickstart is stale: remove it and run\n\t%s\n%.2000s", command, diff)
	}
}

// tree returns the text of all files below a directory, not compressed.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, ".gz") {
			r, err := gzip.NewReader(bytes.NewReader(data))
			if err != nil {
				return err
			}
			if data, err = io.ReadAll(r); err != nil {
				return err
			}
		}
		name, err := filepath.Rel(dir, path)
		files[filepath.ToSlash(name)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestAppendJSON(t *testing.T) {
	for _, tt := range []struct {
		value any
		want  string
	}{
		{nil, `null`},
		{fields(nil), `null`},
		{fields{}, `{}`},
		{"a\"b\\c\nd é", `"a\"b\\c\u000ad é"`},
		{raw(`{"a":1}`), `{"a":1}`},
		{2356.0, `2356.0`},
		{fields{"b", true, "a", []string{"x", "y"}, "n", 3}, `{"b":true,"a":["x","y"],"n":3}`},
		{[]fields{{"a", 1}, {"a", nil}}, `[{"a":1},{"a":null}]`},
	} {
		got := text(tt.value)
		if got != tt.want {
			t.Errorf("%#v: %s, want %s", tt.value, got, tt.want)
		}
		if !json.Valid([]byte(got)) {
			t.Errorf("%s is no JSON", got)
		}
	}
}

// An oracle must not share the errors of what it judges: the generator imports
// the standard library only.
func TestIndependent(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(files, "account.go") {
		t.Fatal("not in the package's folder")
	}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			if strings.Contains(i.Path.Value, ".") && !strings.HasSuffix(file, "_test.go") {
				t.Errorf("%s imports %s", file, i.Path.Value)
			}
		}
	}
}
