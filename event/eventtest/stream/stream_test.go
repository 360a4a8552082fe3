package stream

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/event"
)

func newRand() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

func events(t *testing.T, n int) []*event.Event {
	t.Helper()
	var list []*event.Event
	for i := range n {
		at := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC).Add(time.Duration(i) * time.Minute)
		e, err := event.Parse(fmt.Sprintf(`{"eventVersion":"1.11","eventID":%q,"eventTime":%q,"eventSource":"s3.amazonaws.com",
			"eventName":"GetObject","awsRegion":"us-east-1","sourceIPAddress":"198.51.100.7","userAgent":"[aws-cli/2]",
			"userIdentity":{"type":"IAMUser","principalId":"AIDAEXAMPLE","arn":"arn:aws:iam::111122223333:user/alice",
				"accountId":"111122223333","accessKeyId":"AKIAEXAMPLE","userName":"alice"},
			"requestParameters":{"bucketName":"data","key":"k%d","tags":["a","b"]},"recipientAccountId":"111122223333",
			"eventCategory":"Data","managementEvent":false,"readOnly":true}`, newID(fmt.Sprint(i)), at.Format(time.RFC3339), i))
		require.NoError(t, err)
		list = append(list, e)
	}
	return list
}

func principal(e *event.Event) string { return e.Principal.Key }

func TestRecombine(t *testing.T) {
	given := events(t, 30)
	got := Recombine(newRand(), given)
	assert.Len(t, got, 120)
	assert.Equal(t, got, Recombine(newRand(), given), "the same in every run")
	ids := make(map[string]bool)
	for i, e := range got {
		ids[e.ID] = true
		if i > 0 {
			assert.False(t, e.Time.Before(got[i-1].Time), "in the order of time")
		}
	}
	assert.Len(t, ids, len(got))
}

func TestShuffle(t *testing.T) {
	given := events(t, 200)
	got := Shuffle(newRand(), given, 15*time.Minute)
	assert.ElementsMatch(t, given, got)
	var latest time.Time
	disorder := 0
	for _, e := range got {
		if e.Time.Before(latest) {
			disorder++
			assert.LessOrEqual(t, latest.Sub(e.Time), 15*time.Minute)
		} else {
			latest = e.Time
		}
	}
	assert.Greater(t, disorder, 20)
}

func TestDuplicate(t *testing.T) {
	given := events(t, 200)
	got := Duplicate(newRand(), given)
	assert.Greater(t, len(got), 240)
	seen := make(map[string]*event.Event)
	for _, e := range got {
		if first := seen[e.ID]; first != nil {
			assert.Equal(t, first.Time, e.Time)
			assert.NotEqual(t, first.Region, e.Region)
			continue
		}
		seen[e.ID] = e
	}
	assert.Len(t, seen, 200, "each comes, and the copies come after it")
}

func TestAmongOthers(t *testing.T) {
	given := events(t, 50)
	got := AmongOthers(newRand(), given)
	count := make(map[string]int)
	for _, e := range got {
		count[principal(e)]++
		assert.Equal(t, "GetObject", e.Name)
	}
	assert.Len(t, count, 4, "three others")
	assert.Equal(t, 50, count[principal(given[0])])
}

func TestFlood(t *testing.T) {
	given := events(t, 10)
	f := NewFlood(principal, given)
	require.NotNil(t, f)
	texts, agents, keys, addresses := make(map[string]bool), make(map[string]bool), make(map[string]bool), make(map[string]bool)
	for i := range 1000 {
		e := f.Event(i, time.Duration(i)*time.Second)
		require.Equal(t, principal(given[0]), principal(e))
		require.Equal(t, "GetObject", e.Name)
		require.Equal(t, given[0].Time.Add(time.Duration(i)*time.Second), e.Time)
		require.True(t, e.IP.IsValid())
		texts[e.Text], agents[e.UserAgent], keys[e.ObjectKey()], addresses[e.SourceAddress] = true, true, true, true
	}
	assert.Len(t, texts, 1000, "no two are equal")
	for _, values := range []map[string]bool{agents, keys, addresses} {
		assert.Greater(t, len(values), 250, "each value is flooded")
	}

	assert.Nil(t, NewFlood(func(*event.Event) string { return "" }, given), "no key")
	line := &event.Event{Category: event.AccessLog, Text: "not JSON", Principal: event.Principal{Key: "k"}}
	assert.Nil(t, NewFlood(principal, []*event.Event{line}), "no record to make others of")
}
