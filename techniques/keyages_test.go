package techniques

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline/baselinetest"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/event/eventtest"
)

// uses makes an event of a user with a key.
func uses(t *testing.T, key string, at time.Time) *event.Event {
	return eventtest.Record{
		Call: "sts:GetCallerIdentity", By: eventtest.User(eventtest.Account, "alice").With("accessKeyId", key), At: at,
	}.Event(t)
}

func TestKeyAges(t *testing.T) {
	at := func(day, hour int) time.Time { return dayOne.AddDate(0, 0, day).Add(time.Duration(hour) * time.Hour) }
	made := func(user, key string) *event.Event {
		return eventtest.Record{Call: "iam:CreateAccessKey", By: eventtest.User(eventtest.Account, "alice").With("accessKeyId", "AKIAOLD"), At: at(0, 9),
			Response: map[string]any{"accessKey": map[string]any{"userName": user, "accessKeyId": key, "status": "Active"}}}.Event(t)
	}
	known := func(days int, first bool) keyAge { return keyAge{Since: dayOne, Days: days, First: first} }
	for name, test := range map[string]struct {
		events []*event.Event
		want   keyAge // at the last event
	}{
		"the first use":                 {[]*event.Event{uses(t, "AKIAA", at(0, 9))}, known(0, true)},
		"again on that day":             {[]*event.Event{uses(t, "AKIAA", at(0, 9)), uses(t, "AKIAA", at(0, 10))}, known(0, false)},
		"the first of a later day":      {[]*event.Event{uses(t, "AKIAA", at(0, 9)), uses(t, "AKIAA", at(95, 10))}, known(95, true)},
		"an earlier one, come late":     {[]*event.Event{uses(t, "AKIAA", at(0, 9)), uses(t, "AKIAA", at(95, 10)), uses(t, "AKIAA", at(95, 9))}, known(95, true)},
		"yesterday's, come late":        {[]*event.Event{uses(t, "AKIAA", at(0, 9)), uses(t, "AKIAA", at(2, 0)), uses(t, "AKIAA", at(1, 23))}, known(1, false)},
		"another key":                   {[]*event.Event{uses(t, "AKIAB", at(-50, 9)), uses(t, "AKIAA", at(0, 9)), uses(t, "AKIAA", at(5, 10))}, known(5, true)},
		"a key that the user made":      {[]*event.Event{made("alice", "AKIAA"), uses(t, "AKIAA", at(100, 9))}, known(100, true)},
		"a key that was made for one":   {[]*event.Event{made("bob", "AKIAA"), uses(t, "AKIAA", at(100, 9))}, keyAge{Since: at(100, 0), First: true}},
		"a key of a session":            {[]*event.Event{uses(t, "ASIAA", at(0, 9))}, keyAge{}},
		"the last four keys are enough": {[]*event.Event{uses(t, "AKIAA", at(0, 9)), uses(t, "AKIAB", at(1, 9)), uses(t, "AKIAC", at(2, 9)), uses(t, "AKIAD", at(3, 9)), uses(t, "AKIAE", at(4, 9)), uses(t, "AKIAA", at(5, 9))}, keyAge{Since: at(5, 0), First: true}},
	} {
		t.Run(name, func(t *testing.T) {
			c := keyAges.NewCell().(*keysCell)
			for _, e := range test.events {
				c.Fold(e, e.Time)
			}
			assert.Equal(t, test.want, c.age(test.events[len(test.events)-1]))
		})
	}
}

func TestKeyAgesKeepTheContract(t *testing.T) {
	var events []*event.Event
	for i := range 300 {
		events = append(events, uses(t, fmt.Sprint("AKIA", i/100+i%2), dayOne.Add(time.Duration(i)*7*time.Hour)))
	}
	baselinetest.Feature(t, keyAges, events)

	encode := func(events []*event.Event) []byte {
		c := keyAges.NewCell()
		for _, e := range events {
			c.Fold(e, e.Time)
		}
		b, err := c.AppendBinary(nil)
		require.NoError(t, err)
		return b
	}
	want := encode(events)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		shuffled := slices.Clone(events)
		rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		require.Equal(t, want, encode(shuffled))
	}
	for _, days := range []int{1, 2, 3} {
		t.Run(fmt.Sprintf("of six keys, the same four are kept: %d", days), func(t *testing.T) {
			var events []*event.Event
			for i := range 24 { // each key on one day
				events = append(events, uses(t, fmt.Sprint("AKIA", i%6), dayOne.AddDate(0, 0, i%6%days).Add(time.Duration(i)*time.Hour)))
			}
			want := encode(events)
			for range 20 {
				rng.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
				require.Equal(t, want, encode(events))
			}
		})
	}
	t.Run("what is no long-term key takes no room", func(t *testing.T) {
		require.Empty(t, encode([]*event.Event{uses(t, "ASIAA", dayOne), uses(t, "", dayOne)}))
	})
	tooMany := bytes.Repeat(want[:keyBytes], maxKeys+1)
	for i := range maxKeys + 1 {
		tooMany[i*keyBytes] = byte(i) // of the hash, by which keys ascend
	}
	require.NoError(t, keyAges.NewCell().UnmarshalBinary(tooMany[:maxKeys*keyBytes]))
	for name, bad := range map[string][]byte{
		"short": want[:len(want)-1], "long": append(slices.Clone(want), 0), "too many": tooMany,
		"twice the same": bytes.Repeat(want[:keyBytes], 2), "used before it was": slices.Concat(want[:8], []byte{0x7f, 0, 0, 0}, want[12:]),
		"before all time":        slices.Concat(want[:12], binary.BigEndian.AppendUint64([]byte{0xff, 0xff, 0xff, 0xff}, ^uint64(24*60*60*1000-1))),
		"a start on another day": slices.Concat(want[:16], make([]byte, 8)),
	} {
		t.Run(name, func(t *testing.T) { require.ErrorIs(t, keyAges.NewCell().UnmarshalBinary(bad), errKeys) })
	}
}

// A key that is used all day is told of once a day, not once a call.
func TestOldKeysAreToldOfOnceADay(t *testing.T) {
	set, err := detect.NewSet([]detect.Detector{complete(&Config{}, oldKeyInUse(&Config{}))}, nil)
	require.NoError(t, err)
	engine, err := detect.NewEngine(set, nil, &detect.EngineOptions{Shards: 1, Updates: true})
	require.NoError(t, err)
	told := 0
	for _, e := range calls(t, `day 91-92 10:00 alice s3:ListBuckets times 20`) {
		findings, err := engine.Process(t.Context(), []*event.Event{e})
		require.NoError(t, err)
		told += len(findings)
	}
	require.Equal(t, 2, told)
}
