package incident_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/incident"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/event/eventtest"
)

func checksummed(body []byte) []byte {
	return binary.BigEndian.AppendUint32(body[:len(body):len(body)], crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
}

// hostile is a finding with as much text as it can have, all of it different.
func hostile(i int) detect.Finding {
	long := func(what string) string { return fmt.Sprint(what, i, strings.Repeat("\xff\u202e\n", 100)) }
	return detect.Finding{
		ID: long("id"), Revision: i, Rule: long("rule"), Technique: detect.Technique(long("technique")), Tactic: detect.Tactic(long("tactic")),
		Severity: detect.Severity(i), Title: long("title"), Principal: long("principal"), PrincipalName: long("name"), Session: long("session"),
		AccessKeyID: long("key"), Subject: long("subject"), AccountID: long("account"), Region: long("region"), SourceAddress: long("source"),
		UserAgent: long("agent"), Time: time.Unix(1<<40+int64(i), 0), First: time.Unix(-int64(i), 0), Last: time.Unix(1<<50, 0),
		Learned: detect.Learned{Since: time.Unix(-1<<40, 0)}, Respond: []string{long("respond")}, AboutSource: true,
	}
}

// 50,000 hostile findings and links take no more room than they may, in memory
// and in the record, and no more time than as many harmless ones.
func TestBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const maxFindings, maxLinks = 1000, 2000
	j := joiner(t, &incident.Options{MaxFindings: maxFindings, MaxLinks: maxLinks})
	template := assume(t, eventtest.User(account, "alice"), at(0), "deploy", "s", "ASIAEXAMPLE")
	for i := range 50_000 {
		j.Add(hostile(i))
		e := *template
		e.Time = e.Time.Add(time.Duration(i) * time.Second)
		e.Response = event.Raw(fmt.Sprintf(`{"credentials":{"accessKeyId":"ASIA%d%s"},"assumedRoleUser":{"arn":"arn:aws:sts::1:assumed-role/%s/%d"}}`,
			i, strings.Repeat("x", 400), strings.Repeat("y", 400), i))
		j.Observe(&e)
	}
	b := save(t, j)
	assert.Greater(t, len(b), maxFindings*2000, "the flood came through")
	assert.LessOrEqual(t, len(b), maxFindings*4096+maxLinks*1100)
	incidents := j.Incidents()
	n := 0
	for _, in := range incidents {
		n += len(in.Timeline)
		assert.Less(t, len(in.Summary), 4000)
	}
	assert.Equal(t, maxFindings, n)
	assert.False(t, incidents[0].Last.Before(incidents[0].First))

	less := joiner(t, &incident.Options{MaxFindings: 10, MaxLinks: 10})
	require.NoError(t, less.UnmarshalBinary(b))
	assert.Less(t, len(save(t, less)), 10*5000)
}

// The worst that findings can share: everything with everything, in time that
// grows with their number, not its square.
func TestManyJoined(t *testing.T) {
	const n = 20_000
	j := joiner(t, &incident.Options{MaxFindings: n, MaxLinks: n})
	template := assume(t, eventtest.User(account, "alice"), at(0), "deploy", "s", "ASIAEXAMPLE")
	for i := range n {
		f := found(fmt.Sprint(i), "T1530", detect.Low, role("deploy"), at(0).Add(time.Duration(i)*time.Second))
		f.AccessKeyID, f.SourceAddress, f.AboutSource = "ASIAEXAMPLE", "203.0.113.9", i%2 == 0
		j.Add(f)
		e := *template
		e.Time = e.Time.Add(time.Duration(i) * time.Second)
		j.Observe(&e)
	}
	in := j.Incidents()
	require.Len(t, in, 1)
	assert.Len(t, in[0].Timeline, n)
	assert.Equal(t, []string{user("alice")}, in[0].Issuers)
}

func TestBrokenRecords(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	good := save(t, run(t, nil, random(t, rng, 30, 0)))
	body := good[:len(good)-4]
	one := joiner(t, nil)
	one.Add(found("a", "T1580", detect.Low, user("alice"), at(0)))
	single := save(t, one)
	single = single[:len(single)-4]
	// A finding's record, between the counts.
	finding := single[4 : len(single)-1]
	with := func(parts ...[]byte) []byte {
		b := []byte("ci\x01")
		for _, p := range parts {
			b = append(b, p...)
		}
		return checksummed(b)
	}
	severity := func(s byte) []byte {
		b := append([]byte(nil), finding...)
		// revision, severity, then three times of 6 bytes and the flags
		b[len(b)-1-3*6-1] = s
		return b
	}
	other := append([]byte(nil), severity(46)...)
	other[1] = 'b'
	backwards := append([]byte(nil), finding...)
	backwards[len(backwards)-1-12] |= 0x7f // First, in its lowest bits
	backwards[len(backwards)-1-6] &= 0x80  // Last
	flip := append([]byte(nil), good...)
	flip[len(flip)/2] ^= 1
	huge := binary.AppendUvarint(nil, 1<<62)

	tests := []struct {
		name   string
		record []byte
		want   error
	}{
		{"a byte", []byte("c"), incident.ErrCorrupt},
		{"another kind of record", append([]byte("ct"), good[2:]...), incident.ErrCorrupt},
		{"a later version", append([]byte("ci\x02"), good[3:]...), incident.ErrVersion},
		{"a bit flipped", flip, incident.ErrCorrupt},
		{"cut", good[:len(good)-1], incident.ErrCorrupt},
		{"cut, with a checksum", checksummed(body[:len(body)-1]), incident.ErrCorrupt},
		{"more than a record", checksummed(append(body[:len(body):len(body)], 0)), incident.ErrCorrupt},
		{"nothing but the head", with(), incident.ErrCorrupt},
		{"a count near 2^64", with(huge), incident.ErrCorrupt},
		{"a count that the bytes cannot hold", with([]byte{2}, finding, []byte{0}), incident.ErrCorrupt},
		{"a finding twice", with([]byte{2}, finding, finding, []byte{0}), incident.ErrCorrupt},
		{"a finding without an ID", with([]byte{1, 0}, finding[2:], []byte{0}), incident.ErrCorrupt},
		{"a text longer than is kept", with([]byte{1}, binary.AppendUvarint(nil, 257), []byte(strings.Repeat("x", 257)), finding[2:], []byte{0}), incident.ErrCorrupt},
		{"a text of a length near 2^64", with([]byte{1}, huge, finding[2:], []byte{0}), incident.ErrCorrupt},
		{"a silent finding", with([]byte{1}, severity(0), []byte{0}), incident.ErrCorrupt},
		{"a severity that is none", with([]byte{1}, severity(6), []byte{0}), incident.ErrCorrupt},
		{"a severity that is none, after another finding", with([]byte{2}, finding, other, []byte{0}), incident.ErrCorrupt},
		{"a finding that ends before it begins", with([]byte{1}, backwards, []byte{0}), incident.ErrCorrupt},
		{"flags unknown", with([]byte{1}, finding[:len(finding)-1], []byte{8, 0}), incident.ErrCorrupt},
		{"a link of nothing", with([]byte{0, 1, 0, 0, 0, 0, 0}), incident.ErrCorrupt},
		{"a link twice", with([]byte{0, 2, 1, 1, 'k', 0, 0, 0, 1, 1, 'k', 0, 0, 0}), incident.ErrCorrupt},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			j := joiner(t, nil)
			require.NoError(t, j.UnmarshalBinary(good))
			require.ErrorIs(t, j.UnmarshalBinary(tt.record), tt.want)
			assert.Equal(t, good, save(t, j), "refused, but changed")
		})
	}
	// What the rows are made of is in order.
	j := joiner(t, nil)
	require.NoError(t, j.UnmarshalBinary(with([]byte{1}, severity(2), []byte{0})))
	require.NoError(t, j.UnmarshalBinary(with([]byte{0, 1, 1, 1, 'k', 0, 0, 0})))
	// No bytes are an empty memory.
	require.NoError(t, j.UnmarshalBinary(nil))
	assert.Empty(t, j.Incidents())
	assert.Equal(t, save(t, joiner(t, nil)), save(t, j))
}

func TestRecordIsAppended(t *testing.T) {
	j := joiner(t, nil)
	j.Add(hostile(3))
	b, err := j.AppendBinary([]byte("before"))
	require.NoError(t, err)
	assert.Equal(t, "before"+string(save(t, j)), string(b))
}

// Whatever the bytes, they are refused and change nothing, or make a memory
// that has the same record again, and goes on.
func FuzzUnmarshalBinary(f *testing.F) {
	for seed := range uint64(3) {
		record := save(f, run(f, nil, random(f, rand.New(rand.NewPCG(seed, 4)), int(seed*20), 0)))
		f.Add(record)
		f.Add(record[:len(record)-4])
	}
	before := save(f, run(f, nil, random(f, rand.New(rand.NewPCG(9, 9)), 10, 0)))
	f.Fuzz(func(t *testing.T, data []byte) {
		// The checksum must not be all that protects the decoder.
		for _, record := range [][]byte{data, checksummed(data)} {
			j := joiner(t, &incident.Options{MaxFindings: 20, MaxLinks: 20})
			require.NoError(t, j.UnmarshalBinary(before))
			if err := j.UnmarshalBinary(record); err != nil {
				require.True(t, errors.Is(err, incident.ErrCorrupt) || errors.Is(err, incident.ErrVersion))
				require.Equal(t, before, save(t, j), "refused, but changed")
				continue
			}
			want, b := text(t, j.Incidents()), save(t, j)
			again := joiner(t, nil)
			require.NoError(t, again.UnmarshalBinary(b))
			require.Equal(t, b, save(t, again))
			require.Equal(t, want, text(t, again.Incidents()))
			for _, in := range random(t, rand.New(rand.NewPCG(7, 7)), 5, 0) {
				in.into(j)
			}
			j.Incidents()
		}
	})
}
