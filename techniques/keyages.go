package techniques

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/event"
)

// keyAges remembers the days on which a principal's long-term keys appeared, by
// being used or by being made by the principal itself, for as long as they are
// among the last that were used, however long ago. A user may have two keys at a
// time.
var keyAges = baseline.Custom(
	fmt.Sprintf("key ages/1 keys=%d", maxKeys), maxKeys*keyBytes,
	func() *keysCell { return &keysCell{} },
	func(c *keysCell, v *baseline.View) keyAge { return c.age(v.Event) },
).Where(func(e *event.Event) bool { return keyOf(e) != "" })

const maxKeys = 4

// A keyAge says since when a key has been known.
type keyAge struct {
	// Since is midnight UTC of the first day, and Days the number of days from
	// then to the event's day.
	Since time.Time
	Days  int
	// First reports that the event is the key's first of its day.
	First bool
}

type knownKey struct {
	hash  uint64
	first int32 // day
	last  int32 // day
	start int64 // Unix milliseconds of the first event on that last day
}

type keysCell struct {
	keys []knownKey // ascending by hash
}

// keyOf returns the long-term key that an event used or made.
func keyOf(e *event.Event) string {
	switch {
	case !direct(e):
		return ""
	case e.Is("iam", "CreateAccessKey") && ownKey(e):
		return e.Response.At("accessKey").At("accessKeyId").Text()
	case longTermKey(e):
		return e.Identity.AccessKeyID
	}
	return ""
}

// ownKey reports whether who makes a key makes it for itself.
func ownKey(e *event.Event) bool {
	return e.Response.At("accessKey").At("userName").Text() == e.Principal.Name
}

func (c *keysCell) Fold(e *event.Event, _ time.Time) {
	key := keyOf(e)
	if key == "" {
		return
	}
	k := knownKey{hash: baseline.Hash(key), first: dayOf(e.Time), last: dayOf(e.Time), start: e.Time.UnixMilli()}
	i, found := c.find(k.hash)
	if found {
		have := &c.keys[i]
		switch {
		case k.last > have.last:
			have.last, have.start = k.last, k.start
		case k.last == have.last:
			have.start = min(have.start, k.start)
		}
		have.first = min(have.first, k.first)
		return
	}
	if len(c.keys) == maxKeys {
		oldest := 0
		for j := range c.keys {
			if c.keys[j].last < c.keys[oldest].last {
				oldest = j
			}
		}
		if o := &c.keys[oldest]; k.last < o.last || k.last == o.last && k.hash < o.hash {
			return
		}
		c.keys = slices.Delete(c.keys, oldest, oldest+1)
		i, _ = c.find(k.hash)
	}
	c.keys = slices.Insert(c.keys, i, k)
}

func (c *keysCell) find(hash uint64) (int, bool) {
	return slices.BinarySearchFunc(c.keys, hash, func(k knownKey, h uint64) int { return cmp.Compare(k.hash, h) })
}

// age returns the age of the key that an event was made with.
func (c *keysCell) age(e *event.Event) keyAge {
	i, found := c.find(baseline.Hash(e.Identity.AccessKeyID))
	if !found {
		return keyAge{}
	}
	k := &c.keys[i]
	return keyAge{
		Since: time.Unix(int64(k.first)*int64(day/time.Second), 0).UTC(),
		Days:  int(dayOf(e.Time) - k.first),
		First: e.Time.UnixMilli() == k.start,
	}
}

const keyBytes = 8 + 4 + 4 + 8

func (c *keysCell) AppendBinary(b []byte) ([]byte, error) {
	for _, k := range c.keys {
		b = binary.BigEndian.AppendUint64(b, k.hash)
		b = binary.BigEndian.AppendUint32(b, uint32(k.first))
		b = binary.BigEndian.AppendUint32(b, uint32(k.last))
		b = binary.BigEndian.AppendUint64(b, uint64(k.start))
	}
	return b, nil
}

var errKeys = errors.New("techniques: malformed key ages")

func (c *keysCell) UnmarshalBinary(data []byte) error {
	if len(data)%keyBytes != 0 || len(data) > maxKeys*keyBytes {
		return errKeys
	}
	var keys []knownKey
	for ; len(data) > 0; data = data[keyBytes:] {
		first, last := binary.BigEndian.Uint32(data[8:]), binary.BigEndian.Uint32(data[12:])
		k := knownKey{binary.BigEndian.Uint64(data), int32(first), int32(last), int64(binary.BigEndian.Uint64(data[16:]))}
		if first > last || last > math.MaxInt32 || dayOf(time.UnixMilli(k.start)) != k.last ||
			len(keys) > 0 && k.hash <= keys[len(keys)-1].hash {
			return errKeys
		}
		keys = append(keys, k)
	}
	c.keys = keys
	return nil
}
